package switcher_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestOnlyAProcessThatHasHandedOverFollows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		toGreen := []switcher.Followed{{Service: "app", Generation: 9, Active: green, Split: switcher.All(green), Phase: switcher.Draining}}
		if b.Follow(toGreen) == nil {
			t.Error("a process that owns its state followed another")
		}
		b.at("app", switcher.Steady, 0)
		b.must(b.HandOver(t.Context(), func() error { return nil }))
		for name, bad := range map[string]switcher.Followed{
			"a split that is none":          {Service: "app", Generation: 3, Active: green, Split: switcher.Split{Blue: 60, Green: 60}},
			"no split":                      {Service: "app", Generation: 3, Active: green},
			"an active color that is none":  {Service: "app", Generation: 3, Active: 7, Split: switcher.All(green)},
			"no active color":               {Service: "app", Generation: 3, Split: switcher.All(green)},
			"a good one beside a bad split": {Service: "other", Generation: 3, Active: green, Split: switcher.Split{Blue: 1}},
		} {
			if b.Follow(append(slices.Clone(toGreen), bad)) == nil {
				t.Errorf("%s: no error", name)
			}
			if table := b.Service("app").Table(); table.Active != blue || table.Generation != 1 {
				t.Fatalf("%s: the table became %+v", name, table)
			}
		}
		was := b.Service("app").Table()
		b.must(b.Follow(append(toGreen, switcher.Followed{Service: "unknown", Active: blue, Split: switcher.All(blue)})))
		table := b.Service("app").Table()
		if table.Active != green || table.Generation != 9 || table.Split != switcher.All(green) || table.Pools != was.Pools || was.Active != blue {
			t.Errorf("the table became %+v", table)
		}
		if b.Service("unknown").Table() != nil {
			t.Error("a service came up that there was not")
		}
	})
}

// As a request in TestAfterAnAcknowledgementNoLeaseNamesTheOldColor, but here it
// comes to a process that follows.
func TestAfterAMoveThatWasFollowedNoLeaseNamesTheOldColor(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	svc := b.Service("app")
	follow := func(moved []switcher.Followed) {
		if err := b.Follow(moved); err != nil {
			t.Error(err)
		}
	}
	var given atomic.Bool // before, it hears and cannot follow
	next := b.succeed(switcher.Hooks{Moved: func(moved []switcher.Followed) {
		if given.Load() {
			follow(moved)
		}
	}}, "app")
	b.give(next)
	given.Store(true)
	var epoch, safe atomic.Uint64
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
		if switcher.Color(safe.Load()) == l.Color {
			t.Errorf("a lease of %s is out, and it was drained", l.Color)
		}
	})
	to := green
	for i := range flips {
		epoch.Store(0)
		safe.Store(0)
		next.flip(i, to, "app")
		epoch.Store(uint64(i+1)<<2 | uint64(to))
		for svc.Inflight(to.Other()) > 0 { // as an elder's report says
			c.work(1)
		}
		safe.Store(uint64(to.Other()))
		to = to.Other()
		c.work(100)
	}
	c.end()
	b.empty("app")
}

func TestWhatIsElsewhereCountsUntilItIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var blues atomic.Int64
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"app": {}, "other": {}}}
		b.hooks.Elsewhere = func(service string, c switcher.Color) int64 {
			if service != "app" || c != blue {
				return 0
			}
			return blues.Load()
		}
		b.open()
		blues.Store(3)
		release := b.work("app", 0, 2)
		plan, err := b.Plan(t.Context(), switcher.CutoverRequest{Request: request("app"), To: green})
		b.must(err)
		if plan.Inflight != 5 {
			t.Errorf("the plan speaks of %d in-flight, want 5", plan.Inflight)
		}
		_, err = b.cutover(green, "", "app")
		b.must(err)
		release()
		pass(time.Minute)
		v := b.view("app")
		if v.Phase != switcher.Draining || v.Blue.Inflight != 3 || v.Blue.SafeToStop || v.Cutover.Draining.Inflight != 3 || v.Cutover.Draining.Initial != 5 {
			t.Errorf("with 3 elsewhere: %+v", v)
		}
		blues.Store(0)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
		if !b.view("app").Blue.SafeToStop {
			t.Error("blue is not safe to stop when nothing is left anywhere")
		}
		blues.Store(1)
		if b.view("app").Blue.SafeToStop {
			t.Error("blue is safe to stop while there is something elsewhere")
		}
	})
}

func TestOthersHearOfAMoveBeforeItsCommandIsAnswered(t *testing.T) {
	b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"a": {}, "b": {}}}
	var mu sync.Mutex
	var heard []switcher.Followed
	b.hooks.Moved = func(moved []switcher.Followed) {
		mu.Lock()
		defer mu.Unlock()
		for _, f := range moved {
			if table := b.Service(f.Service).Table(); table.Generation != f.Generation || table.Split != f.Split || table.Active != f.Active {
				t.Errorf("heard of %+v, and the table is %+v", f, table)
			}
		}
		heard = append(heard, moved...)
	}
	b.open()
	expect := func(split switcher.Split) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"a", "b"} {
			if !slices.ContainsFunc(heard, func(f switcher.Followed) bool { return f.Service == name && f.Split == split }) {
				t.Errorf("nobody heard that %s went to %s: %+v", name, split, heard)
			}
		}
		heard = nil
	}
	_, err := b.cutover(green, "", "a", "b")
	b.must(err)
	expect(switcher.All(green))
	b.store.failWith(errDisk)
	_, err = b.rollback("a", "b")
	b.must(err)
	expect(switcher.All(blue))
	b.store.failWith(nil)
}

func TestAProcessFollowsFromTheMomentItHasHandedOver(t *testing.T) {
	for range 500 {
		b := newBed(t, switcher.Config{}, "app")
		b.must(b.HandOver(t.Context(), func() error { return nil }))
		b.must(b.Follow([]switcher.Followed{{Service: "app", Generation: 2, Active: green, Split: switcher.All(green)}}))
	}
}
