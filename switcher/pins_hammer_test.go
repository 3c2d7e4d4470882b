package switcher_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// era is what has been acknowledged: 0 while a move is under way, else a number
// and two colors.
type era uint64

func eraOf(n int, serves, held switcher.Color) era {
	return era(n+1)<<4 | era(serves)<<2 | era(held)
}

func (e era) serves() switcher.Color { return switcher.Color(e >> 2 & 3) }
func (e era) held() switcher.Color   { return switcher.Color(e & 3) }

// Old sessions come to the color that was left until there is no traffic, and
// then never; new ones and those without a session never do.
func TestAfterAnAcknowledgementOnlyPinnedSessionsReachTheOldColorAndThenNone(t *testing.T) {
	b := newBed(t, switcher.Config{Pins: switcher.PinConfig{Idle: time.Hour, Max: 100000}}, "app")
	svc := b.Service("app")
	var now atomic.Uint64
	var fresh, kept, swept atomic.Int64
	regulars := make([]switcher.Session, 64)
	for i := range regulars {
		regulars[i] = switcher.SessionOf(fmt.Sprint("regular ", i))
	}
	var c crowd
	c.start(t, func(n int) {
		before := era(now.Load())
		var session switcher.Session
		switch n % 4 {
		case 0:
			session = switcher.SessionOf(fmt.Sprint("new ", fresh.Add(1)))
		case 1, 2:
			session = regulars[n%len(regulars)]
		}
		l, ok := svc.AcquireSession(bucketAt(n), session)
		if !ok {
			t.Error("no lease of a configured service")
			return
		}
		defer l.Release()
		if after := era(now.Load()); before == 0 || before != after || l.Color == before.serves() {
			return
		}
		switch regular := n%4 == 1 || n%4 == 2; {
		case regular && l.Color == before.held():
			kept.Add(1)
		case regular:
			t.Errorf("a pinned session reached %s, which had no traffic any more", l.Color)
		default:
			t.Errorf("a lease of %s without a pin after another color was acknowledged", l.Color)
		}
	})
	to := green
	for i := range flips {
		c.work(200)
		now.Store(0)
		if i%3 == 2 {
			_, err := b.rollback("app")
			b.must(err)
			now.Store(uint64(eraOf(3*i, to, 0)))
		} else {
			_, err := b.cutover(to, "", "app")
			b.must(err)
			now.Store(uint64(eraOf(3*i, to, to.Other())))
			c.work(200)
			_, err = b.Drain(b.Context(), switcher.DrainRequest{Request: request("app"), Options: switcher.Options{Pins: switcher.PinsDrop}})
			b.must(err)
			now.Store(uint64(eraOf(3*i+1, to, 0)))
			for v := b.view("app"); !v.Pool(to.Other()).SafeToStop; v = b.view("app") {
				runtime.Gosched()
			}
			swept.Add(1)
		}
		to = to.Other()
	}
	c.end()
	b.empty("app")
	if kept.Load() == 0 {
		t.Error("no pinned session ever came to the color that was left")
	}
	if v := b.view("app"); v.Pool(to).Pinned != 0 && v.Pool(to).Weight == 0 {
		t.Errorf("%d sessions are pinned to %s, which serves none", v.Pool(to).Pinned, to)
	}
}

func TestPinsAreNeverMoreThanTheirBoundHoweverManyComeAtOnce(t *testing.T) {
	const bound = 500
	b := newBed(t, switcher.Config{Pins: switcher.PinConfig{Idle: time.Hour, Max: bound}}, "app")
	svc := b.Service("app")
	var fresh atomic.Int64
	var c crowd
	c.start(t, func(n int) {
		l, _ := svc.AcquireSession(bucketAt(n), switcher.SessionOf(fmt.Sprint(fresh.Add(1))))
		l.Release()
	})
	for range 100 {
		c.work(100)
		if v := b.view("app"); v.Blue.Pinned > bound || svc.PinsKept() > bound {
			t.Fatalf("%d sessions are pinned, %d remembered, want at most %d", v.Blue.Pinned, svc.PinsKept(), bound)
		}
	}
	c.end()
	v := b.view("app")
	if v.Blue.Pinned != bound || int64(v.Pins.Refused) != fresh.Load()-bound {
		t.Errorf("of %d sessions %d are pinned and %d refused, want %d pinned", fresh.Load(), v.Blue.Pinned, v.Pins.Refused, bound)
	}
}

func TestAPinnedRequestCostsNoAllocation(t *testing.T) {
	b := newBed(t, pinning, "app")
	svc, session := b.Service("app"), switcher.SessionOf("viewer")
	if n := testing.AllocsPerRun(1000, func() {
		l, _ := svc.AcquireSession(0, session)
		l.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func nothing() {}

func TestASessionThatWasPinnedAsItsColorWasLeftDoesNotStayThere(t *testing.T) {
	for _, before := range []bool{true, false} { // the pin is written
		b := newBed(t, pinning, "app")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		back := func() {
			_, err := b.rollback("app")
			b.must(err)
		}
		early, late := back, nothing
		if !before {
			early, late = nothing, back
		}
		l, ok := b.Service("app").AcquireSessionMeanwhile(switcher.SessionOf("a"), early, late)
		if !ok || l.Color != blue {
			t.Errorf("got a lease of %s, want blue", l.Color)
		}
		l.Release()
		b.goes("app", blue, "a")
		b.pinned("app", 1, 0)
		b.empty("app")
	}
}

func TestAPinnedRequestThatIsNotYetCountedAsTheTrafficEndsGoesElsewhere(t *testing.T) {
	for _, others := range []int{0, 1} { // without any in-flight the drain ends too
		b := newBed(t, pinning, "app")
		b.goes("app", blue, "a")
		release := b.work("app", 0, others)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		l, ok := b.Service("app").AcquireSessionMeanwhile(switcher.SessionOf("a"), nothing, func() {
			_, err := b.Drain(b.Context(), switcher.DrainRequest{Request: request("app"), Options: switcher.Options{Pins: switcher.PinsDrop}})
			b.must(err)
		})
		if !ok || l.Color != green {
			t.Errorf("with %d others in-flight: a lease of %s, which had no traffic any more", others, l.Color)
		}
		l.Release()
		release()
		b.empty("app")
	}
}
