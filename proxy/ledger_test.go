package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// stage is a switcher with one service "app", whose pools have the given
// upstreams each, all of them healthy; by default one.
func stage(t testing.TB, addresses ...string) (*switcher.Switcher, *switcher.Service) {
	t.Helper()
	if addresses == nil {
		addresses = []string{"10.0.0.1:1"}
	}
	sw := switcher.New(new(memory), switcher.Hooks{}, nil)
	t.Cleanup(goUntilStopped(sw.Run))
	mustTB(t, sw.Configure(context.Background(), map[string]switcher.Config{"app": {}}))
	var upstreams []switcher.Upstream
	for _, a := range addresses {
		upstreams = append(upstreams, switcher.Upstream{Address: a})
	}
	endpoints, err := sw.SetPools(context.Background(), "app", switcher.Pools{Blue: upstreams, Green: upstreams})
	mustTB(t, err)
	for _, e := range endpoints {
		sw.SetHealth(e, switcher.Health{Healthy: true, Known: true})
	}
	return sw, sw.Service("app")
}

// mustTB is must for benchmarks too.
func mustTB(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memory is a store that keeps nothing.
type memory struct{}

func (*memory) Load(context.Context) (switcher.State, error) {
	return switcher.State{}, switcher.ErrNoState
}
func (*memory) Save(context.Context, switcher.State) error { return nil }

// enter opens an exchange on the active color, or on the idle one.
func enter(t testing.TB, l *ledger, s *switcher.Service, idle bool) *entry {
	t.Helper()
	lease, ok := s.Acquire(0)
	if idle {
		lease.Release()
		lease, ok = s.AcquireIdle()
	}
	if !ok {
		t.Fatal("no lease")
	}
	return l.open(s.Name(), about{}, time.Now(), lease, lease.Pool().Endpoints()[0])
}

func (l *ledger) count() (n int) {
	for i := range l.parts {
		n += len(l.parts[i].those(func(*entry) bool { return true }))
	}
	return n
}

func TestAnExchangeCountsUntilItIsClosed(t *testing.T) {
	_, s := stage(t)
	l := new(ledger)
	var open []*entry
	for n := range 100 {
		open = append(open, enter(t, l, s, n%2 == 1))
	}
	blue, green := s.Inflight(switcher.Blue), s.Inflight(switcher.Green)
	equal(t, "in-flight on blue", blue, 50)
	equal(t, "in-flight on green", green, 50)
	equal(t, "in the ledger", l.count(), 100)
	equal(t, "on the endpoint", open[0].endpoint.Inflight(), 50)
	rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	for i, e := range open {
		e.close()
		equal(t, "in the ledger", l.count(), 99-i)
	}
	equal(t, "in-flight after", s.Inflight(switcher.Blue)+s.Inflight(switcher.Green)+open[0].endpoint.Inflight()+open[1].endpoint.Inflight(), 0)
}

func TestAtTheEndAllIsCut(t *testing.T) {
	_, s := stage(t)
	l := new(ledger)
	var cut atomic.Int64
	for n := range 10 {
		enter(t, l, s, n%2 == 0).OnCut(func(cause error) {
			if errors.Is(cause, errExit) {
				cut.Add(1)
			}
		})
	}
	l.cutAll(errExit)
	equal(t, "cut", cut.Load(), 10)
}

func TestALedgerUsedByManyLosesNothing(t *testing.T) {
	_, s := stage(t)
	l := new(ledger)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := range 300 {
				e := enter(t, l, s, n%2 == 0)
				e.OnCut(func(error) {})
				e.OnCut(nil)
				e.close()
			}
		})
	}
	group.Go(func() {
		for range 50 {
			l.counts("app", switcher.Blue, time.Now())
			l.streams("app", switcher.StreamQuery{}, time.Now())
			l.cutAll(errExit)
		}
	})
	group.Wait()
	equal(t, "in the ledger", l.count(), 0)
	equal(t, "in-flight", s.Inflight(switcher.Blue)+s.Inflight(switcher.Green), 0)
}

func TestAnExchangeCostsTwoAllocations(t *testing.T) {
	_, s := stage(t)
	l := new(ledger)
	if n := testing.AllocsPerRun(1000, func() { enter(t, l, s, false).close() }); n > 2 { // the entry, and its finish
		t.Errorf("%v allocations", n)
	}
}

func TestAStreamCostsLessThanAKibibyte(t *testing.T) {
	if size := unsafe.Sizeof(entry{}); size > 768 { // the rest is for its tunnel's lanes
		t.Errorf("an entry has %d bytes", size)
	}
	t.Logf("an entry has %d bytes, a tunnel's lanes %d", unsafe.Sizeof(entry{}), unsafe.Sizeof(lanes{}))
}

func TestNumbersGoOnAboveThoseOfTheProcessBefore(t *testing.T) {
	_, s := stage(t)
	old, next := new(ledger), new(ledger)
	var last uint64
	for range 1000 {
		e := enter(t, old, s, false)
		defer e.close()
		last = max(last, e.number)
	}
	highest := old.highest()
	if highest <= last {
		t.Errorf("highest is %d, and there was %d", highest, last)
	}
	offered := highest + lastNumbers
	next.beginAt(offered)
	next.beginAt(5) // never back
	first, late := enter(t, next, s, false), enter(t, old, s, false)
	defer first.close()
	defer late.close()
	if first.number <= offered {
		t.Errorf("the new process began at %d, and was offered %d", first.number, offered)
	}
	if late.number > offered {
		t.Errorf("what comes late to the old process got %d, and the new one began at %d", late.number, offered)
	}
	if fresh := new(ledger).highest(); fresh == 0 || fresh > 1000 {
		t.Errorf("highest of an empty ledger: %d", fresh)
	}
}

func TestPostsAreTheServicesAndColorsThatHaveExchanges(t *testing.T) {
	_, s := stage(t)
	l := new(ledger)
	equal(t, "of an empty ledger", len(l.posts()), 0)
	for range 3 {
		defer enter(t, l, s, false).close()
	}
	gone := enter(t, l, s, true)
	equal(t, "on green", l.posts()[post{"app", switcher.Green}], 1)
	gone.close()
	posts := l.posts()
	if len(posts) != 1 || posts[post{"app", switcher.Blue}] != 3 {
		t.Errorf("got %v", posts)
	}
}
