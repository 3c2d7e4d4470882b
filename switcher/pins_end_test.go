package switcher_test

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAnOperatorEndsTheWaitForSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		b.goes("app", blue, "a", "b")
		_, err := b.Cutover(t.Context(), switcher.CutoverRequest{
			Request: request("app"), To: green, Options: switcher.Options{Pins: switcher.PinsDrop},
		})
		b.must(err)
		b.goes("app", green, "a", "b")
		pass(time.Second)
		b.at("app", switcher.Steady, 100)

		_, err = b.cutover(blue, "", "app")
		b.must(err)
		b.goes("app", green, "a", "b")
		_, err = b.Drain(t.Context(), switcher.DrainRequest{Request: request("app")})
		b.is(err, switcher.ErrConflict)
		drop := switcher.DrainRequest{Request: request("app"), Options: switcher.Options{Pins: switcher.PinsDrop}}
		r, err := b.Drain(t.Context(), drop)
		b.must(err)
		if !r.Changed || r.ID == "" {
			t.Errorf("got %+v", r)
		}
		b.goes("app", blue, "a", "b")
		pass(time.Second)
		b.at("app", switcher.Steady, 0)
	})
}

func TestAnUnpinnedSessionGoesWhereTheSplitSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		l, _ := b.Service("app").AcquireSession(0, switcher.SessionOf("a"))
		if l.Kept {
			t.Error("a session on the only color is called kept")
		}
		_, err := b.cutover(green, "", "app")
		b.must(err)
		kept, _ := b.Service("app").AcquireSession(0, switcher.SessionOf("a"))
		if !kept.Kept || kept.Color != blue {
			t.Errorf("got a lease of %s, kept %t", kept.Color, kept.Kept)
		}
		kept.Unpin()
		b.goes("app", green, "a")
		kept.Unpin() // it is pinned to another color now
		b.pinned("app", 0, 1)
		l.Release()
		kept.Release()
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestPinsOutliveAReloadAndEndWhereTheNewConfigHasNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		b.goes("app", blue, "a", "b")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		config := pinning
		config.Pins.Max = 1
		b.must(b.Configure(t.Context(), map[string]switcher.Config{"app": config}))
		b.goes("app", blue, "a", "b")
		b.goes("app", green, "c")
		b.pinned("app", 2, 0)
		lease, _ := b.Service("app").AcquireSession(0, switcher.SessionOf("a"))
		b.must(b.Configure(t.Context(), map[string]switcher.Config{"app": {}}))
		pass(time.Second)
		b.goes("app", green, "a", "b")
		lease.Release()
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
		if b.view("app").Pins != nil {
			t.Error("pins are shown of a service that has none")
		}
	})
}

func TestARestartForgetsPinsAndTheDrainGoesOnWithoutThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		stream, _ := b.Service("app").AcquireSession(0, switcher.SessionOf("a"))
		defer stream.Release()
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.restart()
		b.goes("app", green, "a")
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAGroupWaitsForTheSessionsOfAllItsMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "a", "b")
		b.goes("a", blue, "viewer")
		_, err := b.cutover(green, "", "a", "b")
		b.must(err)
		pass(30 * time.Second)
		b.at("b", switcher.Draining, 100)
		b.goes("a", blue, "viewer")
		b.goes("b", green, "viewer")
		pass(62 * time.Second)
		b.at("a", switcher.Steady, 100)
		b.at("b", switcher.Steady, 100)
	})
}

func TestTheNextCutoverEndsTheWaitForSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		b.goes("app", blue, "a")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		_, err = b.cutover(blue, "50:hold", "app")
		b.must(err)
		b.pinned("app", 0, 0)
		_, err = b.Abort(t.Context(), request("app"))
		b.must(err)
		b.goes("app", green, "a")
	})
}

func TestTheSameBytesAreTheSameSession(t *testing.T) {
	if switcher.SessionOf("abc") != switcher.SessionOf([]byte("abc")) || switcher.SessionOf("abc") == switcher.SessionOf("abd") || switcher.SessionOf("") == 0 {
		t.Error("sessions are not told apart by their bytes")
	}
}
