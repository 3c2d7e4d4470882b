package switcher_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestADrainWaitsForWhatIsInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		two, one := b.work("app", 0, 2), b.work("app", 9999, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.at("app", switcher.Draining, 100)
		d := b.view("app").Cutover.Draining
		if d.Color != blue || d.Initial != 3 || d.Inflight != 3 || time.Until(d.Deadline) != 10*time.Minute || !d.ETA.IsZero() {
			t.Errorf("the drain is shown as %+v", d)
		}
		pass(10 * time.Second)
		two()
		if d = b.view("app").Cutover.Draining; d.Inflight != 1 || time.Until(d.ETA) != 5*time.Second {
			t.Errorf("2 of 3 took 10s; the drain is shown as %+v, %s to go", d, time.Until(d.ETA))
		}
		if b.view("app").Blue.SafeToStop {
			t.Error("blue is called safe to stop with work in-flight")
		}
		one()
		if !b.view("app").Blue.SafeToStop {
			t.Error("blue is not called safe to stop as soon as it is")
		}
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
		if m := b.last("app"); m.Result != switcher.ResultDone || m.Evicted != 0 {
			t.Errorf("history says %+v", m)
		}
	})
}

func TestSafeToStopIsTrueExactlyWhenItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &valve{}
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}}, "app")
		want := func(when string, blueSafe, greenSafe bool) {
			t.Helper()
			now := b.view("app")
			if now.Blue.SafeToStop != blueSafe || now.Green.SafeToStop != greenSafe {
				t.Errorf("%s: blue %t, green %t", when, now.Blue.SafeToStop, now.Green.SafeToStop)
			}
		}
		want("steady", false, true)
		preview, _ := b.Service("app").AcquireIdle()
		want("steady with a preview", false, false)
		preview.Release()
		_, err := b.cutover(green, "10:hold", "app")
		b.must(err)
		want("preparing", false, false)
		v.say(switcher.Pass, "")
		pass(time.Second)
		want("ramping", false, false)
		release := b.work("app", 0, 1) // on green
		_, err = b.Abort(t.Context(), request("app"))
		b.must(err)
		want("undone", false, false)
		release()
		want("undone and empty", false, true)
		pass(time.Second)
		want("steady again", false, true)
	})
}

func TestTheDeadlineCutsWhatIsLeftEachSecondUntilNothingIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var release []func()
		var calls, ended atomic.Int64
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{
			"app": {Options: switcher.Options{DrainTimeout: switcher.Duration(time.Minute)}},
		}}
		b.hooks.Evict = func(service string, d switcher.Drain) int {
			calls.Add(1)
			if service != "app" || d.Color != blue || d.DrainTimeout != switcher.Duration(time.Minute) {
				t.Errorf("asked to cut %+v of %s", d, service)
			}
			if len(release) > 0 {
				release[0]()
				release = release[1:]
				ended.Add(1)
			}
			return int(ended.Load())
		}
		b.open()
		release = []func(){b.work("app", 0, 1), b.work("app", 0, 1), b.work("app", 0, 1)}
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(59 * time.Second)
		if calls.Load() != 0 {
			t.Fatal("cut before the deadline")
		}
		pass(1100 * time.Millisecond)
		if d := b.view("app").Cutover.Draining; calls.Load() != 1 || d.Evicted != 1 || d.Inflight != 2 {
			t.Errorf("after %d cuts the drain is shown as %+v", calls.Load(), d)
		}
		pass(3 * time.Second)
		b.at("app", switcher.Steady, 100)
		if m := b.last("app"); calls.Load() != 4 || m.Evicted != 3 || m.Result != switcher.ResultDone {
			t.Errorf("after %d cuts history says %+v", calls.Load(), m)
		}
	})
}

func TestWithoutAnEvictHookADrainWaitsOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(time.Hour)
		b.at("app", switcher.Draining, 100)
		release()
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestANewCutoverSupersedesADrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "other")
		release := b.work("app", 0, 2)
		_, err := b.cutover(green, "", "app", "other")
		b.must(err)
		_, err = b.cutover(blue, "30:hold", "app")
		b.must(err)
		b.at("app", switcher.Ramping, 70)
		b.at("other", switcher.Steady, 100)
		for _, name := range []string{"app", "other"} {
			if m := b.last(name); m.Result != switcher.ResultSuperseded || m.Detail != "2 still in-flight on blue" {
				t.Errorf("history of %s says %+v", name, m)
			}
			b.stored(name)
		}
		release()
	})
}

func TestARefusedFlipLeavesADrainAsItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		release := b.work("app", 0, 1)
		receipt, err := b.cutover(green, "", "app")
		b.must(err)
		b.store.failWith(errDisk)
		_, err = b.cutover(blue, "", "app")
		b.is(err, switcher.ErrStore)
		b.at("app", switcher.Draining, 100)
		if v := b.view("app"); v.Cutover.ID != receipt.ID || v.Last != nil {
			t.Errorf("the drain was ended for a move that did not begin: %+v", v.Last)
		}
		b.store.failWith(nil)
		release()
		pass(2 * time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestADrainThatUndoesIsSupersededAsUndone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.cutover(green, "50:hold", "app")
		b.must(err)
		release := b.work("app", 0, 1)
		_, err = b.Abort(t.Context(), request("app"))
		b.must(err)
		_, err = b.cutover(green, "50:hold", "app")
		b.must(err)
		if m := b.last("app"); m.Result != switcher.ResultAborted {
			t.Errorf("history says %+v", m)
		}
		release()
	})
}

func TestTheDrainCommandWaitsForTheIdleColor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cut := 0
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"app": {}}}
		var release func()
		b.hooks.Evict = func(_ string, d switcher.Drain) int {
			if d.Color != green {
				t.Errorf("asked to cut %s", d.Color)
			}
			if cut == 0 {
				release()
			}
			cut++
			return 1
		}
		b.open()
		l, _ := b.Service("app").AcquireIdle()
		release = l.Release
		receipt, err := b.Drain(t.Context(), switcher.DrainRequest{
			Request: request("app"), Options: switcher.Options{DrainTimeout: switcher.Duration(5 * time.Second)},
		})
		b.must(err)
		if v := receipt.Services[0]; !receipt.Changed || v.Phase != switcher.Draining || v.Cutover.Draining.Color != green {
			t.Errorf("the receipt says %+v", receipt)
		}
		b.stored("app")
		pass(6 * time.Second)
		b.at("app", switcher.Steady, 0)
		if m := b.last("app"); cut != 2 || m.Evicted != 1 || m.Kind != switcher.KindDrain || m.Result != switcher.ResultDone || m.Generation != 1 {
			t.Errorf("cut %d times; history says %+v", cut, m)
		}
	})
}

func TestADrainCommandIsAborted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "other")
		_, err := b.cutover(green, "", "app", "other")
		b.must(err)
		pass(time.Second)
		l, _ := b.Service("app").AcquireIdle()
		defer l.Release()
		_, err = b.Drain(t.Context(), switcher.DrainRequest{Request: request("app")})
		b.must(err)
		_, err = b.Abort(t.Context(), request("app"))
		b.must(err)
		b.at("app", switcher.Steady, 100)
		if m := b.last("app"); m.Result != switcher.ResultAborted {
			t.Errorf("history says %+v", m)
		}
		_, err = b.rollback("app") // and the group is still one
		b.must(err)
		if v := b.view("other"); v.Split != switcher.All(blue) {
			t.Errorf("other stayed behind: %s", v.Split)
		}
	})
}

func TestAServiceThatIsRemovedWhileItDrainsLeavesTheOthersDraining(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "other")
		mine, others := b.work("app", 0, 1), b.work("other", 0, 1)
		_, err := b.cutover(green, "", "app", "other")
		b.must(err)
		b.must(b.Configure(t.Context(), map[string]switcher.Config{"other": {}}))
		if _, ok := b.Service("app").Acquire(0); ok {
			t.Error("a removed service gave a lease")
		}
		_, err = b.View(t.Context(), "app")
		b.is(err, switcher.ErrUnknownService)
		pass(time.Minute)
		b.at("other", switcher.Draining, 100)
		others()
		pass(time.Second)
		b.at("other", switcher.Steady, 100)
		if m := b.last("other"); m.Result != switcher.ResultDone {
			t.Errorf("history of the other says %+v", m)
		}
		b.must(b.Configure(t.Context(), b.configs))
		b.at("app", switcher.Steady, 100) // it resumes where it was
		if v := b.view("app"); v.Blue.Inflight != 1 || v.Last.Result != switcher.ResultInterrupted {
			t.Errorf("status says %+v", v)
		}
		mine()
		b.empty("app")
	})
}

func TestAServiceThatIsRemovedDuringARampBringsTheGroupBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "other")
		_, err := b.cutover(green, "50:hold", "app", "other")
		b.must(err)
		release := b.work("other", 0, 1)
		b.must(b.Configure(t.Context(), map[string]switcher.Config{"other": {}}))
		b.at("other", switcher.Draining, 0)
		release()
		pass(time.Second)
		if m := b.last("other"); m.Result != switcher.ResultAborted {
			t.Errorf("history of the other says %+v", m)
		}
		b.must(b.Configure(t.Context(), b.configs))
		b.at("app", switcher.Steady, 0)
		if m := b.last("app"); m.Result != switcher.ResultAborted {
			t.Errorf("history says %+v", m)
		}
	})
}
