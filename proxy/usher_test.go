package proxy

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// parting is an exchange that notes when it was asked to end, and ends.
type parting struct {
	mu    sync.Mutex
	at    []time.Time            // guarded by mu
	kinds []switcher.StreamKind  // guarded by mu
	ends  map[switcher.Color]int // guarded by mu
}

func (p *parting) enter(t *testing.T, l *ledger, s *switcher.Service, idle bool, kind switcher.StreamKind) *entry {
	e := enter(t, l, s, idle)
	e.Became(kind)
	e.OnEnd(func(cause error) {
		if !errors.Is(cause, errEvicted) {
			t.Errorf("asked to end because of %v", cause)
		}
		p.mu.Lock()
		p.at, p.kinds = append(p.at, time.Now()), append(p.kinds, kind)
		p.ends[e.lease.Color]++
		p.mu.Unlock()
		e.close()
	})
	return e
}

func (p *parting) of(c switcher.Color) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ends[c]
}

func newUsher(l *ledger, pace Pace, healthy func() bool) *usher {
	return &usher{
		ledger: l, pace: func(string) Pace { return pace },
		healthy: func(string, switcher.Color) bool { return healthy() },
		ended:   func(string, switcher.Color, int) {},
	}
}

func yesAlways() bool { return true }

func everything(*entry) bool { return true }

// mostIn is how many of times fall into a second, at most.
func mostIn(second time.Duration, times []time.Time) (most int) {
	for i, from := range times {
		n := 0
		for _, at := range times[i:] {
			if at.Sub(from) < second {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestStreamsAreEndedAtThePaceAndSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l, p := new(ledger), &parting{ends: map[switcher.Color]int{}}
		for range 1000 {
			p.enter(t, l, s, false, switcher.StreamWebSocket)
		}
		for range 10 {
			p.enter(t, l, s, true, switcher.StreamWebSocket)
		}
		u := newUsher(l, Pace{PerSecond: 50}, yesAlways)
		began := time.Now()
		added, ended := u.show("app", switcher.Blue, began, everything)
		equal(t, "chosen", added, 1000)
		equal(t, "ended at once", ended, 0)
		added, _ = u.show("app", switcher.Blue, began, everything)
		equal(t, "chosen again", added, 0)
		equal(t, "of another service", len(l.of("other", everything)), 0)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		equal(t, "ended", p.of(switcher.Blue), 1000)
		equal(t, "ended of the other color", p.of(switcher.Green), 0)
		_, ended = u.show("app", switcher.Blue, began, everything)
		equal(t, "counted", ended, 1000)
		if took := p.at[999].Sub(began); took < 19*time.Second || took > 22*time.Second {
			t.Errorf("1000 streams at 50 a second took %s", took)
		}
		if most := mostIn(time.Second, p.at); most > 50 { // in any second, not only in a whole one
			t.Errorf("%d ended within one second", most)
		}
		gaps := make(map[time.Duration]bool)
		for i := range p.at[1:] {
			gaps[p.at[i+1].Sub(p.at[i])] = true
		}
		if len(gaps) < 40 { // one second may look like the one before
			t.Errorf("only %d different gaps: they are not spread by chance", len(gaps))
		}
	})
}

func TestThePaceIsAShareOfWhatThereWasAndSlowsDownWhileTheOtherColorIsIll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l, p := new(ledger), &parting{ends: map[switcher.Color]int{}}
		for range 400 {
			p.enter(t, l, s, false, switcher.StreamSSE)
		}
		var mu sync.Mutex
		ill := true
		u := newUsher(l, Pace{Percent: 10}, func() bool { mu.Lock(); defer mu.Unlock(); return !ill })
		u.show("app", switcher.Blue, time.Now(), everything)
		time.Sleep(3900 * time.Millisecond)
		synctest.Wait()
		if n := p.of(switcher.Blue); n < 39 || n > 40 { // the last may be late in its second
			t.Errorf("%d ended in 4 s while the other color is ill", n)
		}
		mu.Lock()
		ill = false
		mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		equal(t, "in 9 s more", p.of(switcher.Blue), 400)
	})
}

func TestUploadsGoLastAndWhatHasEndedByItselfCostsNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l, p := new(ledger), &parting{ends: map[switcher.Color]int{}}
		var gone []*entry
		for range 10 {
			p.enter(t, l, s, false, switcher.StreamUpload)
			p.enter(t, l, s, false, switcher.StreamDownload)
			gone = append(gone, p.enter(t, l, s, false, switcher.StreamDownload))
		}
		u := newUsher(l, Pace{PerSecond: 5}, yesAlways)
		u.show("app", switcher.Blue, time.Now(), everything)
		for _, e := range gone {
			e.close()
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		equal(t, "ended", len(p.kinds), 20)
		if !slices.IsSortedFunc(p.kinds, func(a, b switcher.StreamKind) int { return int(a) - int(b) }) {
			t.Errorf("the order was %v", p.kinds)
		}
	})
}

func TestAStreamThatDoesNotEndIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l := new(ledger)
		e := enter(t, l, s, false)
		cut := 0
		e.OnEnd(func(error) {})
		e.OnCut(func(error) { cut++; e.close() })
		u := newUsher(l, Pace{}, yesAlways)
		u.show("app", switcher.Blue, time.Now(), everything)
		time.Sleep(time.Second + endPatience - time.Millisecond)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		equal(t, "cut", cut, 1)
		equal(t, "in the ledger", l.count(), 0)
	})
}

func TestADrainThatBeginsAnewCountsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		l, p := new(ledger), &parting{ends: map[switcher.Color]int{}}
		u := newUsher(l, Pace{PerSecond: 100}, yesAlways)
		for round := range 3 {
			for range 7 {
				p.enter(t, l, s, false, switcher.StreamLive)
			}
			since := time.Now()
			_, before := u.show("app", switcher.Blue, since, everything)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			_, ended := u.show("app", switcher.Blue, since, everything)
			if before != 0 || ended != 7 {
				t.Errorf("round %d: %d before, %d after", round, before, ended)
			}
		}
	})
}

// moveIdle moves an exchange to the idle color, as a download does.
func moveIdle(t *testing.T, e *entry, s *switcher.Service) {
	t.Helper()
	lease, ok := s.AcquireIdle()
	if !ok {
		t.Fatal("no lease")
	}
	e.moves(lease.Pool().Endpoints()[0], &lease)
}

func TestAStreamThatHasMovedToTheOtherColorIsNotEnded(t *testing.T) {
	for name, pace := range map[string]int{"while it waits for its second": 1, "within its second": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, s := stage(t)
				l, p := new(ledger), &parting{ends: map[switcher.Color]int{}}
				p.enter(t, l, s, false, switcher.StreamDownload)
				time.Sleep(time.Millisecond)
				moved := p.enter(t, l, s, false, switcher.StreamDownload)
				u := newUsher(l, Pace{PerSecond: pace}, yesAlways)
				u.show("app", switcher.Blue, time.Now(), everything)
				synctest.Wait()
				moveIdle(t, moved, s)
				time.Sleep(time.Minute)
				synctest.Wait()
				equal(t, "ended", p.of(switcher.Blue), 1)
				equal(t, "ended of the other color", p.of(switcher.Green), 0)
				equal(t, "counted", u.endedOf(post{"app", switcher.Blue}), 1)
				u.show("app", switcher.Green, time.Now(), everything)
				time.Sleep(time.Minute)
				synctest.Wait()
				equal(t, "ended there when it is to", p.of(switcher.Green), 1)
			})
		})
	}
}

func TestAStreamThatMovesIsNotCutBecauseOfWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := stage(t)
		e := enter(t, new(ledger), s, false)
		defer e.close()
		var cut atomic.Bool
		e.OnEnd(func(error) {})
		e.OnCut(func(error) { cut.Store(true) })
		equal(t, "asked", e.End(errEvicted, endPatience), true)
		moveIdle(t, e, s)
		time.Sleep(endPatience / 2)
		equal(t, "asked there", e.End(errEvicted, endPatience), true)
		time.Sleep(endPatience - time.Millisecond)
		synctest.Wait()
		equal(t, "cut", cut.Load(), false)
		time.Sleep(time.Second)
		synctest.Wait()
		equal(t, "cut when it was late there", cut.Load(), true)
	})
}
