package switcher_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// numbers are in every telling of a verdict.
var numbers = []string{"green is worse than blue: errors: green 30% of ", " requests, blue 0% of ", "; by chance in one of ", " such ramps at most"}

func TestAColorThatDoesWorseIsTakenBackWithTheNumbersInHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, "", "10:10m,50:10m", "app")
		w.set(wellBlue, badGreen)
		pass(time.Minute)
		b.at("app", switcher.Steady, 0)
		m := b.last("app")
		text(t, m.Detail, numbers...)
		if m.Result != switcher.ResultAborted || len(m.Compared) != 1 || m.Compared[0].State != compare.Worse || m.Compared[0].Service != "app" {
			t.Fatalf("history says %+v", m)
		}
		f := m.Compared[0].Findings[0]
		if f.Metric != compare.Errors || f.Long.New.Failures == 0 || f.Long.Old.Samples < 100 || f.P > f.Level {
			t.Errorf("the finding is %+v", f)
		}
		for _, f := range m.Compared[0].Findings {
			if f.Metric == compare.Starvation {
				t.Error("history tells of a metric without samples")
			}
		}
		b.stored("app")
	})
}

func TestAColorThatIsNoWorseGoesToTheEndAndHistorySaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, _ := compared(t, "", "10:10m,50:10m", "app")
		events, cancel := b.Subscribe()
		defer cancel()
		pass(25 * time.Minute)
		b.at("app", switcher.Steady, 100)
		m := b.last("app")
		if m.Result != switcher.ResultDone || len(m.Compared) != 1 || m.Compared[0].State != compare.NoWorse {
			t.Fatalf("history says %+v", m)
		}
		said := told(events, switcher.EventCompare, "")
		if len(said) != 2 || !strings.HasPrefix(said[0], "no worse so far: errors: green 0% of ") || !strings.Contains(said[1], "ended as no worse so far; blue serves no traffic") {
			t.Errorf("told %q", said)
		}
	})
}

func TestAfterTheFlipNothingIsCompared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, "", "10:1m", "app")
		release := b.work("app", 9999, 1)
		defer release()
		pass(61 * time.Second)
		b.at("app", switcher.Draining, 100)
		before := b.view("app").Cutover.Compared
		w.set(wellBlue, load{0, 100})
		pass(5 * time.Minute)
		b.at("app", switcher.Draining, 100)
		after := b.view("app").Cutover.Compared
		if len(before) != 1 || len(after) != 1 || !after[0].At.Equal(before[0].At) || after[0].State != compare.NoWorse {
			t.Errorf("status said %+v, and says %+v", before, after)
		}
	})
}

func TestWithoutTrafficBesideItAColorIsNeitherGoodNorBad(t *testing.T) {
	for name, loads := range map[string][2]load{"none at all": {}, "only new": {{}, {0, 50}}, "only old": {{50, 0}, {}}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, w := compared(t, "", "10:10m", "app")
				w.set(loads[0], loads[1])
				pass(9 * time.Minute)
				b.at("app", switcher.Ramping, 10)
				if c := b.view("app").Cutover.Compared; len(c) != 1 || c[0].State != compare.TooFew {
					t.Errorf("status says %+v", c)
				}
				pass(2 * time.Minute)
				b.at("app", switcher.Steady, 100)
				if m := b.last("app"); len(m.Compared) != 1 || m.Compared[0].State != compare.TooFew || len(m.Compared[0].Findings) != 0 {
					t.Errorf("history says %+v", m)
				}
			})
		})
	}
}

func TestUnderFreezeAWorseColorIsHeldUntilAnOperatorDecides(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, switcher.OnFailureFreeze, "10:2m", "app")
		w.set(wellBlue, badGreen)
		pass(time.Minute)
		b.at("app", switcher.Ramping, 10)
		text(t, b.view("app").Cutover.Held.Reason, append(numbers, "frozen")...)
		pass(30 * time.Minute)
		b.at("app", switcher.Ramping, 10)
		// Mended, and resumed: it is judged by new samples.
		w.set(wellBlue, wellGreen)
		_, err := b.Resume(b.Context(), request("app"))
		b.must(err)
		pass(3 * time.Minute)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAResumedColorThatIsStillWorseIsHeldAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, switcher.OnFailureFreeze, "10:10m", "app")
		w.set(wellBlue, badGreen)
		pass(time.Minute)
		_, err := b.Resume(b.Context(), request("app"))
		b.must(err)
		pass(2 * time.Second)
		if b.view("app").Cutover.Held != nil {
			t.Error("held at once, by samples of before")
		}
		pass(time.Minute)
		text(t, b.view("app").Cutover.Held.Reason, numbers...)
		_, err = b.cutover(green, "", "app") // an operator completes it all the same
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestUnderForwardOnlyAWorseColorWaitsAndGoesOnWhenItIsMended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, switcher.OnFailureForwardOnly, "10:2m", "app")
		events, cancel := b.Subscribe()
		defer cancel()
		w.set(wellBlue, badGreen)
		pass(10 * time.Minute)
		b.at("app", switcher.Ramping, 10)
		if n := len(told(events, switcher.EventGate, "forward_only")); n != 1 {
			t.Errorf("told %d times", n)
		}
		w.set(wellBlue, wellGreen)
		pass(10 * time.Minute)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAGroupGoesBackTogetherWhenOneOfItIsWorse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, "", "10:10m", "api", "web")
		pass(30 * time.Second)
		w.mu.Lock()
		w.counts["web"].Green.Bad = 1 // counts grow, and so the judge is the same
		w.mu.Unlock()
		for range 60 {
			w.mu.Lock()
			w.counts["web"].Green.Bad += 5
			for g := range 5 {
				w.counts["web"].Green.BadOf[g]++
			}
			w.mu.Unlock()
			pass(time.Second)
		}
		for _, name := range []string{"api", "web"} {
			b.at(name, switcher.Steady, 0)
			m := b.last(name)
			text(t, m.Detail, "web: green is worse than blue: errors: ")
			if len(m.Compared) != 1 || m.Compared[0].Service != name || (m.Compared[0].State == compare.Worse) != (name == "web") {
				t.Fatalf("%s: history has %+v", name, m.Compared)
			}
			if level := m.Compared[0].Findings[0].Level; level > 0.00013 {
				t.Errorf("%s: two services share a risk of 0.001 by levels of %g", name, level)
			}
		}
	})
}

func TestAHeldStepIsCompared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, "", "10:hold", "app")
		pass(10 * time.Minute)
		b.at("app", switcher.Ramping, 10)
		w.set(wellBlue, badGreen)
		pass(2 * time.Minute)
		b.at("app", switcher.Steady, 0)
		text(t, b.last("app").Detail, "green is worse than blue: errors")
	})
}

func TestAServiceThatComparesNothingIsNotJudged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, "", "10:5m", "app")
		b.must(b.Configure(b.Context(), map[string]switcher.Config{"app": {}}))
		w.set(wellBlue, badGreen)
		pass(6 * time.Minute)
		b.at("app", switcher.Steady, 100)
		if m := b.last("app"); m.Compared != nil {
			t.Errorf("history says %+v", m.Compared)
		}
	})
}

func TestAfterARestartColorsAreComparedAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, w := compared(t, "", "10:hold", "app")
		pass(time.Minute)
		b.restart()
		b.pools("app", 2, 2)
		pass(time.Second)
		if c := b.view("app").Cutover.Compared; len(c) != 1 || c[0].State != compare.TooFew {
			t.Errorf("status says %+v", c)
		}
		w.set(wellBlue, badGreen)
		pass(time.Minute)
		b.at("app", switcher.Steady, 0)
	})
}

func TestAPlanSaysWhatAColorWillBeJudgedBy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, _ := compared(t, "", "10:1s", "app")
		pass(time.Minute)
		for ramp, want := range map[string]string{"": "app: nothing: without a step", "10:5m": "app: errors (2 times as many, and 0.5% more), connect"} {
			r, err := switcher.ParseRamp(ramp)
			b.must(err)
			p, err := b.Plan(b.Context(), switcher.CutoverRequest{Request: request("app"), To: blue, Ramp: &r})
			b.must(err)
			if len(p.Compare) != 1 || !strings.HasPrefix(p.Compare[0], want) {
				t.Errorf("ramp %q: %q", ramp, p.Compare)
			}
		}
	})
}

func TestLimitsThatAreNoneAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		err := b.Configure(b.Context(), map[string]switcher.Config{"app": {Compare: &compare.Limits{Risk: 1}}})
		says(t, err, `"app"`, "risk is 1")
	})
}
