package switcher_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// commands calls everything that a Switcher does for a caller.
func commands(ctx context.Context, sw *switcher.Switcher) map[string]func() error {
	req := request("app")
	req.Reason = "because"
	second := func(_ any, err error) error { return err }
	return map[string]func() error{
		"cutover": func() error {
			return second(sw.Cutover(ctx, switcher.CutoverRequest{Request: req, To: green}))
		},
		"split": func() error {
			return second(sw.Split(ctx, switcher.SplitRequest{Request: req, Color: green, Weight: 5}))
		},
		"plan": func() error {
			return second(sw.Plan(ctx, switcher.CutoverRequest{Request: req, To: green}))
		},
		"drain":         func() error { return second(sw.Drain(ctx, switcher.DrainRequest{Request: req})) },
		"rollback":      func() error { return second(sw.Rollback(ctx, switcher.RollbackRequest{Request: req})) },
		"abort":         func() error { return second(sw.Abort(ctx, req)) },
		"hold":          func() error { return second(sw.Hold(ctx, req)) },
		"resume":        func() error { return second(sw.Resume(ctx, req)) },
		"lock":          func() error { return second(sw.Lock(ctx, req)) },
		"unlock":        func() error { return second(sw.Unlock(ctx, req)) },
		"services":      func() error { return second(sw.Services(ctx)) },
		"view":          func() error { return second(sw.View(ctx, "app")) },
		"history":       func() error { return second(sw.History(ctx, "app")) },
		"configure":     func() error { return sw.Configure(ctx, nil) },
		"set pools":     func() error { return second(sw.SetPools(ctx, "app", switcher.Pools{})) },
		"set source":    func() error { return sw.SetSource(ctx, "app", "x") },
		"source failed": func() error { return sw.SourceFailed(ctx, "app", errDisk) },
	}
}

func TestAStoppedSwitcherSaysSoAndStillServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.stop()
		for name, f := range commands(t.Context(), b.Switcher) {
			if err := f(); !errors.Is(err, switcher.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.work("app", 0, 1)()
		b.health("app", green, false)
	})
}

func TestACommandEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sw := switcher.New(&memory{}, switcher.Hooks{}, nil) // and Run is not called
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for name, f := range commands(ctx, sw) {
			if err := f(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestACutoverWhoseCallerLeavesGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &slowGate{open: make(chan struct{})}
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{g}}, "app")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Cutover(ctx, switcher.CutoverRequest{Request: request("app"), To: green})
		b.is(err, context.DeadlineExceeded)
		close(g.open)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAStopDoesNotHangCommandsWhileTheStoreHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		release := b.store.hang()
		_, err := b.cutover(green, "", "app")
		b.is(err, switcher.ErrStore)
		stopped := make(chan struct{})
		go func() { b.stop(); close(stopped) }()
		synctest.Wait()
		for name, f := range commands(t.Context(), b.Switcher) {
			if err := f(); !errors.Is(err, switcher.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		select {
		case <-stopped:
			t.Error("Run did not wait for the write under way")
		default:
		}
		release()
		<-stopped
	})
}

func TestEventsAreOrderedWithoutAGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var hooked []uint64
		b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"a": {}, "b": {}}}
		b.hooks.Event = func(e switcher.Event) { hooked = append(hooked, e.Seq) }
		b.open()
		events, cancel := b.Subscribe()
		defer cancel()
		receipt, err := b.cutover(green, "10:1s,50:1s", "a", "b")
		b.must(err)
		pass(3 * time.Second)
		synctest.Wait()
		var seq, generation uint64
		got := map[switcher.EventType]int{}
		for len(events) > 0 {
			e := <-events
			if seq > 0 && e.Seq != seq+1 {
				t.Errorf("event %d after %d", e.Seq, seq)
			}
			seq = e.Seq
			if e.Service == "a" {
				got[e.Type]++
				if e.ID != receipt.ID || e.Kind != switcher.KindCutover || e.Generation < generation {
					t.Errorf("an event of the cutover says %+v", e)
				}
				generation = e.Generation
			}
			if e.Type == switcher.EventEnd && (e.Result != switcher.ResultDone || e.Took < switcher.Duration(2*time.Second) || e.Phase != switcher.Steady) {
				t.Errorf("the end says %+v", e)
			}
		}
		want := map[switcher.EventType]int{switcher.EventSplit: 3, switcher.EventPhase: 4, switcher.EventEnd: 1}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for i, n := range hooked {
			if n != uint64(i+1) {
				t.Fatalf("the hook got event %d as number %d", n, i+1)
			}
		}
		b.stop()
		if _, open := <-events; open {
			t.Error("the channel is open after the stop")
		}
		if late, _ := b.Subscribe(); late != nil {
			if _, open := <-late; open {
				t.Error("a late subscriber's channel is open")
			}
		}
	})
}

func TestASlowSubscriberHearsThatItMissedSomething(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		events, cancel := b.Subscribe()
		defer cancel()
		flap := func(n int) {
			for i := range n {
				b.health("app", green, i%2 == 1, 1)
			}
		}
		flap(switcher.Backlog + 50)
		var got []switcher.Event
		for len(events) > 0 {
			got = append(got, <-events)
		}
		last := got[len(got)-1]
		if len(got) != switcher.Backlog+1 || last.Type != switcher.EventLost || last.Seq != got[len(got)-2].Seq+1 {
			t.Fatalf("got %d events, the last one %+v", len(got), last)
		}
		flap(2)
		if e := <-events; e.Type != switcher.EventHealth || e.Seq != last.Seq+50 {
			t.Errorf("then came %+v", e)
		}
		cancel()
		cancel()
		<-events
		if _, open := <-events; open {
			t.Error("the channel is open after cancel")
		}
	})
}

func TestAHealthEventSaysWhereTheServiceStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.bring(switcher.Ramping)
		events, cancel := b.Subscribe()
		defer cancel()
		b.health("app", green, false, 1)
		e := <-events
		if e.Type != switcher.EventHealth || e.Color != green || e.Phase != switcher.Ramping || e.Split.Green != 30 || e.Active != blue || e.Generation != 2 {
			t.Errorf("got %+v", e)
		}
		text(t, e.Detail, "app-green-1:80", "got 500")
	})
}

func TestAPlanChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll(), Ramp: switcher.Ramp{{Weight: 5}}}, "app")
		defer b.work("app", 0, 2)()
		b.health("app", green, false, 1)
		before, writes := b.view("app"), b.store.written()
		plan, err := b.Plan(t.Context(), switcher.CutoverRequest{Request: request("app"), To: green})
		b.must(err)
		if plan.From != blue || len(plan.Ramp) != 1 || plan.Inflight != 2 || plan.GateTimeout != switcher.DefaultGateTimeout || len(plan.Gates) != 1 {
			t.Errorf("the plan is %+v", plan)
		}
		if len(plan.Blocked) != 1 {
			t.Fatalf("it is blocked by %q", plan.Blocked)
		}
		text(t, plan.Blocked[0], "app", "1 of 2", "app-green-1:80")
		if after := b.view("app"); !reflect.DeepEqual(before, after) || b.store.written() != writes {
			t.Errorf("was %+v, is %+v", before, after)
		}
		req := request("app")
		req.Reason = "match day"
		_, err = b.Lock(t.Context(), req)
		b.must(err)
		plan, err = b.Plan(t.Context(), switcher.CutoverRequest{Request: request("app"), To: blue})
		b.must(err)
		if len(plan.Blocked) != 2 {
			t.Errorf("it is blocked by %q", plan.Blocked)
		}
	})
}

func TestACommandForAnotherGenerationIsAConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		for _, generation := range []uint64{0, 2} {
			req := request("app")
			req.IfGeneration = &generation
			_, err := b.Cutover(t.Context(), switcher.CutoverRequest{Request: req, To: green})
			b.is(err, switcher.ErrConflict)
			says(t, err, "app", "generation 1")
			_, err = b.Rollback(t.Context(), switcher.RollbackRequest{Request: req})
			b.is(err, switcher.ErrConflict)
		}
		one := uint64(1)
		req := request("app")
		req.IfGeneration = &one
		_, err := b.Cutover(t.Context(), switcher.CutoverRequest{Request: req, To: green})
		b.must(err)
	})
}

func TestABadRequestIsRefusedWithTheReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		for word, req := range map[string]switcher.CutoverRequest{
			"no service":    {To: green},
			"twice":         {Request: request("app", "app"), To: green},
			"blue or green": {Request: request("app")},
			"reason":        {Request: switcher.Request{Services: []string{"app"}, Reason: string(make([]byte, 501))}, To: green},
			"must rise":     {Request: request("app"), To: green, Ramp: &switcher.Ramp{{Weight: 20}, {Weight: 10}}},
			"gate timeout":  {Request: request("app"), To: green, Options: switcher.Options{GateTimeout: -1}},
			"drain timeout": {Request: request("app"), To: green, Options: switcher.Options{DrainTimeout: switcher.Duration(8 * 24 * time.Hour)}},
		} {
			_, err := b.Cutover(t.Context(), req)
			b.is(err, switcher.ErrInvalid)
			says(t, err, word)
			_, err = b.Plan(t.Context(), req)
			b.is(err, switcher.ErrInvalid)
		}
		_, err := b.cutover(green, "", "app", "nobody")
		b.is(err, switcher.ErrUnknownService)
		_, err = b.split(0, 50, "app")
		b.is(err, switcher.ErrInvalid)
		_, err = b.split(green, 101, "app")
		b.is(err, switcher.ErrInvalid)
		if err := b.Configure(t.Context(), map[string]switcher.Config{"app": {Active: 9}}); err == nil {
			t.Error("color 9 was taken")
		}
		b.at("app", switcher.Steady, 0)
		if v := b.view("app"); v.Generation != 1 || v.Last != nil {
			t.Errorf("a bad request left %+v", v)
		}
	})
}

func TestWhatStatusReturnsIsACopy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		ramp := switcher.Ramp{{Weight: 10, Hold: time.Minute}, {Weight: 20}}
		_, err := b.Cutover(t.Context(), switcher.CutoverRequest{Request: request("app"), To: green, Ramp: &ramp})
		b.must(err)
		before, err := json.Marshal(b.view("app"))
		b.must(err)
		ramp[1].Weight = 99
		v := b.view("app")
		v.Cutover.Ramp[1].Weight, v.Cutover.Services[0] = 77, "x"
		after, err := json.Marshal(b.view("app"))
		b.must(err)
		if string(before) != string(after) {
			t.Errorf("was %s, is %s", before, after)
		}
	})
}
