package switcher_test

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

func TestAVerdictThatHasFadedIsForgottenWhenAnOperatorResumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, switcher.OnFailureFreeze, "10:1h", "app")
		w.set(wellBlue, badGreen)
		pass(time.Minute)
		w.set(wellBlue, wellGreen)
		pass(6 * time.Minute) // the windows are clean, and the evidence is not forgotten yet
		c := b.view("app").Cutover
		if c.Held == nil || c.Compared[0].State != compare.NoWorse || c.Compared[0].Findings[0].P > c.Compared[0].Findings[0].Level {
			t.Fatalf("held %+v, compared %+v", c.Held, c.Compared)
		}
		_, err := b.Resume(b.Context(), request("app"))
		b.must(err)
		pass(3 * time.Second)
		if f := b.view("app").Cutover.Compared[0].Findings[0]; f.P != 1 || f.Long.Seconds > 3 {
			t.Errorf("what was held against it before counts on: %+v", f)
		}
	})
}

func TestAFrozenRampIsHeldByTheOperatorWhoHoldsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, switcher.OnFailureFreeze, "10:10m", "app")
		w.set(wellBlue, badGreen)
		pass(time.Minute)
		r := request("app")
		r.By, r.Reason = "ann", "we look into it"
		_, err := b.Hold(b.Context(), r)
		b.must(err)
		pass(time.Minute)
		if h := b.view("app").Cutover.Held; h == nil || h.By != "ann" || h.Reason != "we look into it" {
			t.Errorf("held %+v", h)
		}
		// Whoever holds it first reads why it is frozen.
		b, w = compared(t, switcher.OnFailureFreeze, "10:10m", "app")
		_, err = b.Hold(b.Context(), r)
		b.must(err)
		w.set(wellBlue, badGreen)
		pass(time.Minute)
		text(t, b.view("app").Cutover.Held.Reason, append(numbers, "frozen")...)
	})
}

func TestUnderForwardOnlyEachTimeThatAColorIsWorseIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, switcher.OnFailureForwardOnly, "10:1h", "app")
		events, cancel := b.Subscribe()
		defer cancel()
		for range 2 {
			w.set(wellBlue, badGreen)
			pass(5 * time.Minute)
			w.set(wellBlue, wellGreen)
			pass(10 * time.Minute)
		}
		if n := len(told(events, switcher.EventGate, "forward_only")); n != 2 {
			t.Errorf("told %d times", n)
		}
	})
}
