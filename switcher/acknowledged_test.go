package switcher_test

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

const flips = 200

// crowd is 16 goroutines that acquire and release as fast as they can.
type crowd struct {
	workers sync.WaitGroup
	stop    atomic.Bool
	turns   atomic.Int64
}

func (c *crowd) start(t *testing.T, turn func(n int)) {
	t.Cleanup(c.end)
	for i := range 16 {
		c.workers.Go(func() {
			for n := i; !c.stop.Load(); n++ {
				turn(n)
				if c.turns.Add(1)%8 == 0 {
					runtime.Gosched() // or the flipper starves on two cores
				}
			}
		})
	}
}

// work lets the crowd do so many turns.
func (c *crowd) work(turns int64) {
	for until := c.turns.Load() + turns; c.turns.Load() < until; {
		runtime.Gosched()
	}
}

func (c *crowd) end() {
	c.stop.Store(true)
	c.workers.Wait()
}

// flip moves services to the other side, each third time by a rollback.
func (b *bed) flip(i int, to switcher.Color, services ...string) {
	b.Helper()
	var err error
	if i%3 == 2 {
		_, err = b.rollback(services...)
	} else {
		_, err = b.cutover(to, "", services...)
	}
	b.must(err)
}

func (b *bed) empty(service string) {
	b.Helper()
	for _, c := range switcher.Colors {
		if n := b.Service(service).Inflight(c); n != 0 {
			b.Errorf("%d leases of %s are counted after all were released", n, c)
		}
	}
}

func bucketAt(n int) uint16 { return uint16(n * 641 % switcher.Buckets) }

func TestAfterAnAcknowledgementNoLeaseNamesTheOldColor(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	svc := b.Service("app")
	var epoch atomic.Uint64 // number of the acknowledgement, and its color; 0 while a move is under way
	var c crowd
	c.start(t, func(n int) {
		before := epoch.Load()
		l, ok := svc.Acquire(bucketAt(n))
		if !ok {
			t.Error("no lease of a configured service")
			return
		}
		defer l.Release()
		if after := epoch.Load(); before != 0 && before == after && l.Color != switcher.Color(before&3) {
			t.Errorf("a lease of %s after another color was acknowledged", l.Color)
		}
	})
	to := green
	for i := range flips {
		epoch.Store(0)
		b.flip(i, to, "app")
		epoch.Store(uint64(i+1)<<2 | uint64(to))
		to = to.Other()
		c.work(200)
	}
	c.end()
	b.empty("app")
}

func TestADrainIsNotDoneWhileALeaseIsOut(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	svc := b.Service("app")
	var safe atomic.Uint32 // the color that is safe to stop
	var c crowd
	c.start(t, func(n int) {
		l, _ := svc.AcquireBy(func(table *switcher.Table) switcher.Color {
			if n%4 == 0 {
				runtime.Gosched() // here a flip may come between look and count
			}
			return table.Split.Pick(bucketAt(n))
		})
		defer l.Release()
		if n%16 == 0 {
			runtime.Gosched()
		}
		if switcher.Color(safe.Load()) == l.Color {
			t.Errorf("a lease of %s is out, and it was called safe to stop", l.Color)
		}
	})
	to := green
	for i := range flips {
		safe.Store(0)
		b.flip(i, to, "app")
		for v := b.view("app"); !v.Pool(to.Other()).SafeToStop; v = b.view("app") {
			runtime.Gosched()
		}
		safe.Store(uint32(to.Other()))
		to = to.Other()
		c.work(200)
	}
	c.end()
	b.empty("app")
}

// Here the kernel stops threads wherever they are, between the look and the
// count too, since there are more of them than cores.
func TestAThreadStoppedInAcquireDoesNotSlipThroughADrain(t *testing.T) {
	const threads = 8
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	b := newBed(t, switcher.Config{}, "app")
	svc := b.Service("app")
	var safe, wrong, turns atomic.Uint32
	var stop atomic.Bool
	var workers sync.WaitGroup
	for range threads - 1 {
		workers.Go(func() {
			for !stop.Load() {
				l, _ := svc.Acquire(0)
				if switcher.Color(safe.Load()) == l.Color {
					wrong.Add(1)
				}
				l.Release()
				turns.Add(1)
			}
		})
	}
	to := green
	for i := 0; i < 2*flips && wrong.Load() == 0; i++ {
		safe.Store(0)
		_, err := b.cutover(to, "", "app")
		if err != nil {
			t.Error(err)
			break
		}
		for v := b.view("app"); !v.Pool(to.Other()).SafeToStop; v = b.view("app") {
			runtime.Gosched()
		}
		safe.Store(uint32(to.Other()))
		to = to.Other()
		for until := turns.Load() + 1000; turns.Load() < until; {
			runtime.Gosched()
		}
	}
	stop.Store(true)
	workers.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d leases were out of a color that was called safe to stop", n)
	}
	b.empty("app")
}

func TestAFlipBetweenTheLookAndTheCountIsNoticed(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	looks := 0
	l, ok := b.Service("app").AcquireBy(func(table *switcher.Table) switcher.Color {
		if looks++; looks == 1 {
			_, err := b.cutover(green, "", "app")
			b.must(err)
		}
		return table.Active.Other().Other() // the color as it was when we looked
	})
	if !ok || l.Color != green || l.Table.Active != green || looks < 2 { // 3: the drain ended meanwhile
		t.Errorf("got a lease of %s after %d looks, want green after 2", l.Color, looks)
	}
	if n := b.Service("app").Inflight(blue); n != 0 {
		t.Errorf("%d counted on blue, which nobody holds", n)
	}
	l.Release()
}

func TestAGroupIsNeverSeenHalfMoved(t *testing.T) {
	b := newBed(t, switcher.Config{}, "a", "b", "c")
	names := []string{"a", "b", "c"}
	var moved atomic.Uint64 // number of moves acknowledged
	var c crowd
	c.start(t, func(n int) {
		first, second := b.Service(names[n%3]), b.Service(names[(n+1)%3])
		acknowledged := moved.Load()
		one, _ := first.Acquire(bucketAt(n))
		two, _ := second.Acquire(bucketAt(n))
		defer one.Release()
		defer two.Release()
		// Each move adds one to the generation of all: what is looked at later
		// may be newer, and never older.
		if two.Table.Generation < one.Table.Generation {
			t.Errorf("a group member at generation %d was seen after another at %d", two.Table.Generation, one.Table.Generation)
		}
		if one.Table.Generation < acknowledged+1 {
			t.Errorf("generation %d was seen after %d was acknowledged", one.Table.Generation, acknowledged+1)
		}
	})
	to := green
	for i := range flips {
		b.flip(i, to, names...)
		moved.Store(uint64(i + 1))
		to = to.Other()
		c.work(100)
	}
	c.end()
	for _, name := range names {
		b.empty(name)
	}
}

func TestATableIsNeverEdited(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	table := b.Service("app").Table()
	was, endpoints := *table, slices.Clone(table.Pools.Green.Endpoints())
	_, err := b.cutover(green, "10:hold", "app")
	b.must(err)
	b.announce("app", 3, 1)
	_, err = b.Abort(t.Context(), request("app"))
	b.must(err)
	if *table != was || !slices.Equal(table.Pools.Green.Endpoints(), endpoints) {
		t.Errorf("the table was %+v, and is %+v", was, *table)
	}
	if now := b.Service("app").Table(); now == table || len(now.Pools.Green.Endpoints()) != 1 {
		t.Error("no new table took its place")
	}
}
