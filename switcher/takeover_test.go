package switcher_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// succeed starts another Switcher on the bed's store, as a process does that is
// to take over. It stops with the test.
func (b *bed) succeed(hooks switcher.Hooks, services ...string) *bed {
	b.Helper()
	next := &bed{TB: b.TB, store: b.store, hooks: hooks, configs: map[string]switcher.Config{}, endpoints: map[string]switcher.PerColor[[]*switcher.Endpoint]{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	sw := switcher.New(b.store, hooks, nil)
	ended := make(chan struct{})
	go func() { defer close(ended); sw.Run(ctx) }()
	next.Switcher = sw
	next.stop = sync.OnceFunc(func() { cancel(); <-ended })
	b.Cleanup(next.stop)
	b.must(sw.Understudy(ctx))
	b.must(sw.Restore(ctx))
	for _, name := range services {
		next.configs[name] = b.configs[name]
	}
	b.must(sw.Configure(ctx, next.configs))
	for _, name := range services {
		next.pools(name, 2, 2)
	}
	return next
}

// give hands over to next.
func (b *bed) give(next *bed) {
	b.Helper()
	b.must(b.HandOver(b.Context(), func() error { return next.TakeOver(b.Context()) }))
}

func TestAnUnderstudyServesAsTheOwnerDoesAndMovesAndSavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.cutover(green, "10:1m,50:1m", "app")
		b.must(err)
		saves := b.store.written()
		next := b.succeed(switcher.Hooks{}, "app")
		b.stop() // or its ramp would go on
		pass(10 * time.Minute)
		next.at("app", switcher.Ramping, 10)
		if n := b.store.written(); n != saves {
			t.Errorf("an understudy wrote %d times", n-saves)
		}
		next.announce("app", 3, 1)
		next.health("app", green, false)
		v := next.view("app")
		if v.Blue.Total != 3 || v.Green.Total != 1 || v.Green.Healthy != 0 {
			t.Errorf("pools and health do not pass: %+v, %+v", v.Blue, v.Green)
		}
		pass(time.Minute)
		next.at("app", switcher.Ramping, 10) // though green is ill
	})
}

func TestATakeoverTakesARampUpWithoutAHoldAndADrainAsItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "ramp", "drain", "still")
		elsewhere := func(service string, c switcher.Color) int64 { return b.Service(service).Inflight(c) }
		next := b.succeed(switcher.Hooks{Elsewhere: elsewhere}, "ramp", "drain", "still")
		_, err := b.cutover(green, "10:1m,50:1m", "ramp")
		b.must(err)
		release := b.work("drain", 0, 1)
		_, err = b.cutover(green, "", "drain")
		b.must(err)
		b.give(next)
		next.at("ramp", switcher.Ramping, 10)
		next.at("drain", switcher.Draining, 100)
		next.at("still", switcher.Steady, 0)
		if held := next.view("ramp").Cutover.Held; held != nil {
			t.Errorf("the ramp is held: %+v", held)
		}
		pass(2*time.Minute + time.Second)
		next.at("ramp", switcher.Steady, 100)
		next.stored("ramp")
		next.at("drain", switcher.Draining, 100)
		release()
		pass(time.Second)
		next.at("drain", switcher.Steady, 100)
	})
}

// It hears of it while it cannot follow yet, and follows when it has handed over.
func TestSessionsThatWereHeldAtATakeoverMoveInTheProcessBeforeToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, pinning, "app", "still")
		b.goes("app", blue, "one", "two")
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.goes("app", blue, "one", "two")
		heard := make(map[string]switcher.Followed)
		next := b.succeed(switcher.Hooks{
			Elsewhere: func(service string, c switcher.Color) int64 { return b.Service(service).Inflight(c) },
			Moved: func(moved []switcher.Followed) {
				for _, f := range moved {
					heard[f.Service] = f
				}
			},
		}, "app", "still")
		b.give(next)
		next.goes("app", green, "one", "two")
		for service, want := range map[string]switcher.Followed{
			"app":   {Service: "app", Generation: next.view("app").Generation, Active: green, Split: switcher.All(green), Phase: switcher.Draining},
			"still": {Service: "still", Generation: next.view("still").Generation, Active: blue, Split: switcher.All(blue), Phase: switcher.Steady},
		} {
			if got := heard[service]; got != want {
				t.Errorf("the process before heard %+v, want %+v", got, want)
			}
		}
		b.must(b.Follow(slices.Collect(maps.Values(heard))))
		b.goes("app", green, "one", "two")
		b.goes("still", blue, "one")
		release()
		pass(time.Second)
		next.at("app", switcher.Steady, 100)
	})
}

func TestATakeoverKnowsServicesThatAreNewInItsConfig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "gone")
		b.configs["new"] = switcher.Config{Active: green}
		next := b.succeed(switcher.Hooks{}, "app", "new")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		_, err = b.cutover(green, "", "gone")
		b.must(err)
		b.give(next)
		pass(time.Second)
		next.at("app", switcher.Steady, 100)
		next.at("new", switcher.Steady, 100)
		_, err = next.cutover(blue, "", "new")
		next.must(err)
		if st := b.store.state(t, "gone"); st.Active != green {
			t.Errorf("the state of a service that is not in the config became %+v", st)
		}
	})
}

func TestWhatWasNeverMovedIsTakenOverAsItIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.configs["app"] = switcher.Config{Active: green} // in the next process's config
		next := b.succeed(switcher.Hooks{}, "app")
		b.give(next)
		next.at("app", switcher.Steady, 0)
	})
}

func TestARollbackThatIsNotOnTheDiskKeepsTheStateFromBeingHandedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(time.Second)
		b.store.failWith(errDisk)
		_, err = b.rollback("app")
		b.must(err)
		given := false
		err = b.HandOver(t.Context(), func() error { given = true; return nil })
		b.is(err, switcher.ErrStore)
		if given {
			t.Fatal("a state was handed over that lacks an acknowledged rollback")
		}
		b.store.failWith(nil)
		next := b.succeed(switcher.Hooks{}, "app")
		b.give(next)
		next.at("app", switcher.Steady, 0)
	})
}

func TestAHandoverThatFailsLeavesAllAsItWasAndCommandsThatWaitedGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		no := errors.New("no")
		began, refuse := make(chan struct{}), make(chan struct{})
		over := make(chan error, 1)
		go func() {
			over <- b.HandOver(context.Background(), func() error { close(began); <-refuse; return no })
		}()
		<-began
		command := later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
		synctest.Wait()
		select {
		case a := <-command:
			t.Fatalf("a command was answered while another process may have the state: %+v", a)
		default:
		}
		if b.Follow(nil) == nil {
			t.Error("a process that owns its state follows another")
		}
		close(refuse)
		b.is(<-over, no)
		b.must(b.answered(command).err)
		b.at("app", switcher.Steady, 100)
		b.stored("app")
	})
}

func TestAHandoverEndsCommandsAndNotLeases(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		began, agree := make(chan struct{}), make(chan struct{})
		over := make(chan error, 1)
		go func() {
			over <- b.HandOver(context.Background(), func() error { close(began); <-agree; return nil })
		}()
		<-began
		command := later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
		synctest.Wait()
		close(agree)
		b.must(<-over)
		b.is(b.answered(command).err, switcher.ErrClosed)
		_, err := b.rollback("app")
		b.is(err, switcher.ErrClosed)
		b.is(b.HandOver(t.Context(), func() error { return nil }), switcher.ErrClosed)
		b.work("app", 0, 3)()
		b.empty("app")
		b.must(b.Follow([]switcher.Followed{{Service: "app", Generation: 2, Active: green, Split: switcher.All(green)}})) // at once
	})
}

func TestAStoreThatHangsIsNotHandedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		release := b.store.hang()
		err := b.HandOver(t.Context(), func() error { t.Error("given while a write is under way"); return nil })
		b.is(err, switcher.ErrStore)
		if err := b.HandOver(t.Context(), func() error { t.Error("given while a write is under way"); return nil }); err == nil {
			t.Error("no error")
		}
		release()
		pass(2 * time.Second)
		b.must(b.HandOver(t.Context(), func() error { return nil }))
	})
}

func TestATakeoverOfAStateThatCannotBeReadChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		next := b.succeed(switcher.Hooks{}, "app")
		b.store.mu.Lock()
		b.store.text = []byte("{")
		b.store.mu.Unlock()
		if err := next.TakeOver(t.Context()); err == nil {
			t.Error("no error")
		}
		pass(time.Second)
		next.at("app", switcher.Steady, 0)
	})
}
