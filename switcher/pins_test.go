package switcher_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// pinning remembers 100 sessions for a minute.
var pinning = switcher.Config{Pins: switcher.PinConfig{Idle: time.Minute, Max: 100}}

// visit makes one request of a session, and says where it went.
func (b *bed) visit(service, session string) switcher.Color {
	b.Helper()
	l, ok := b.Service(service).AcquireSession(bucketAt(len(session)), switcher.SessionOf(session))
	if !ok {
		b.Fatalf("no lease of %s", service)
	}
	defer l.Release()
	return l.Color
}

// goes checks where the sessions go.
func (b *bed) goes(service string, want switcher.Color, sessions ...string) {
	b.Helper()
	for _, s := range sessions {
		if got := b.visit(service, s); got != want {
			b.Errorf("%s of %s goes to %s, want %s", s, service, got, want)
		}
	}
}

func (b *bed) pinned(service string, blues, greens int64) {
	b.Helper()
	v := b.view(service)
	if v.Blue.Pinned != blues || v.Green.Pinned != greens {
		b.Errorf("%d sessions are pinned to blue and %d to green, want %d and %d", v.Blue.Pinned, v.Green.Pinned, blues, greens)
	}
}

func TestAfterAFlipSessionsStayAndNewOnesGoToTheNewColor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		b.goes("app", blue, "old", "older")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.goes("app", blue, "old", "older")
		b.goes("app", green, "new")
		if l, _ := b.Service("app").Acquire(9999); l.Color != green {
			t.Error("a request without a session reached the old color")
		} else {
			l.Release()
		}
		b.at("app", switcher.Draining, 100)
		pass(30 * time.Second)
		v := b.view("app")
		if d := v.Cutover.Draining; d.Held == nil || d.Held.Sessions != 2 || time.Since(d.Held.Oldest) != 30*time.Second ||
			time.Until(d.Held.Until) != 14*time.Minute+30*time.Second || !d.ETA.IsZero() {
			t.Errorf("the drain is shown as %+v", d)
		}
		if v.Blue.SafeToStop {
			t.Error("blue is called safe to stop while sessions are pinned to it")
		}
		b.goes("app", blue, "old")
		pass(45 * time.Second) // "older" has ended
		b.pinned("app", 1, 0)
		pass(20 * time.Second)
		b.at("app", switcher.Steady, 100)
		if !b.view("app").Blue.SafeToStop || b.last("app").Result != switcher.ResultDone {
			t.Errorf("the drain of blue ended so: %+v", b.last("app"))
		}
		b.goes("app", green, "old", "older", "new")
	})
}

func TestAtTheirDeadlineSessionsMoveAndThenTheDrainWaitsForWhatIsInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		config := pinning
		config.PinDeadline = switcher.Duration(90 * time.Second)
		b := newBed(t, config, "app")
		b.goes("app", blue, "busy")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		for range 89 {
			pass(time.Second)
			b.goes("app", blue, "busy")
		}
		lease, _ := b.Service("app").AcquireSession(0, switcher.SessionOf("busy"))
		pass(time.Second)
		b.goes("app", green, "busy", "new")
		d := b.view("app").Cutover.Draining
		if d.Held != nil || d.Inflight != 1 || b.view("app").Blue.SafeToStop {
			t.Errorf("the drain is shown as %+v", d)
		}
		if until := time.Until(d.Deadline); until > 10*time.Minute || until < 9*time.Minute {
			t.Errorf("what began late has %s to end", until)
		}
		lease.Release()
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
		if p := b.view("app").Pins; p.Moved != 1 {
			t.Errorf("%d sessions have moved, want 1", p.Moved)
		}
	})
}

func TestASessionLivesWhileAStreamOfItIsOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		stream, _ := b.Service("app").AcquireSession(0, switcher.SessionOf("viewer"))
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(5 * time.Minute)
		b.goes("app", blue, "viewer")
		stream.Release()
		pass(59 * time.Second)
		b.at("app", switcher.Draining, 100)
		pass(3 * time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestARollbackDropsThePinsToTheColorThatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		b.goes("app", blue, "old")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.goes("app", green, "new", "newer")
		b.goes("app", blue, "old")
		_, err = b.rollback("app")
		b.must(err)
		b.goes("app", blue, "new", "old")
		b.pinned("app", 2, 0)
		pass(time.Second)
		b.at("app", switcher.Steady, 0)

		_, err = b.cutover(green, "", "app")
		b.must(err)
		pass(2 * time.Minute)
		b.at("app", switcher.Steady, 100)
		b.goes("app", green, "new", "old")
		_, err = b.rollback("app")
		b.must(err)
		b.goes("app", blue, "new", "old", "newer")
		pass(time.Second)
		b.at("app", switcher.Steady, 0) // it waits for no session
	})
}

func TestDuringARampSessionsStayAndAnAbortBringsThemBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		var sessions []string
		for i := range 40 {
			sessions = append(sessions, fmt.Sprintf("%0*d", i+1, 0))
		}
		b.goes("app", blue, sessions...)
		_, err := b.cutover(green, "50:hold", "app")
		b.must(err)
		b.goes("app", blue, sessions...)
		var moved, stayed []string
		for i := range 40 {
			s := "new" + strings.Repeat("x", i)
			if b.visit("app", s) == green {
				moved = append(moved, s)
			} else {
				stayed = append(stayed, s)
			}
		}
		if len(moved) == 0 || len(stayed) == 0 {
			t.Fatalf("of the new sessions %d went to green and %d to blue", len(moved), len(stayed))
		}
		_, err = b.split(green, 1, "app")
		b.must(err)
		b.goes("app", green, moved...)
		b.goes("app", blue, sessions...)
		_, err = b.Abort(t.Context(), request("app"))
		b.must(err)
		b.goes("app", blue, moved...)
		b.goes("app", blue, stayed...)
		b.pinned("app", 80, 0)
	})
}

func TestNoMoreSessionsArePinnedThanThereMayBeAndIdleOnesMakeRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app")
		for i := range 100 {
			b.goes("app", blue, fmt.Sprint("early", i))
		}
		stream, _ := b.Service("app").AcquireSession(0, switcher.SessionOf("early7"))
		defer stream.Release()
		pass(30 * time.Second)
		for i := range 20 {
			b.goes("app", blue, fmt.Sprint("late", i), "early1")
		}
		b.pinned("app", 100, 0)
		if p := b.view("app").Pins; p.Refused != 20 || p.Max != 100 {
			t.Errorf("shown as %+v, want 20 refused", p)
		}
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.goes("app", green, "late0")
		b.goes("app", blue, "early1")
		pass(40 * time.Second) // all but early1 and early7 have ended
		for i := range 98 {
			b.goes("app", green, fmt.Sprint("late", i))
		}
		b.goes("app", blue, "early1", "early7")
		b.pinned("app", 2, 98)
		if p := b.view("app").Pins; p.Refused != 21 {
			t.Errorf("%d were refused, want 21", p.Refused)
		}
	})
}
