package switcher_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestARestartResumesWhatWasServed(t *testing.T) {
	for phase, want := range map[switcher.Phase]switcher.Phase{
		switcher.Steady: switcher.Steady, switcher.Preparing: switcher.Steady,
		switcher.Ramping: switcher.Ramping, switcher.Draining: switcher.Steady, // nothing is in-flight in a new process
	} {
		t.Run(phase.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
				b.bring(phase)
				before := b.view("app")
				b.restart()
				after := b.view("app")
				if after.Split != before.Split || after.Active != before.Active || after.Previous != before.Previous || after.Generation < before.Generation {
					t.Errorf("was %+v, is %+v", before, after)
				}
				if after.Phase != want {
					t.Errorf("it resumes as %s, want %s", after.Phase, want)
				}
				b.stored("app")
			})
		})
	}
}

func TestARestartDuringARampHoldsItAndWaitsForTheProbes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "a", "b")
		_, err := b.cutover(green, "30:1m", "a", "b")
		b.must(err)
		b.restart()
		pass(time.Second) // no source has spoken yet
		b.announce("a", 2, 2)
		b.announce("b", 2, 2)
		b.health("a", blue, true) // blue is probed first
		b.health("b", blue, true)
		pass(time.Second)
		b.at("a", switcher.Ramping, 30)
		b.at("b", switcher.Ramping, 30)
		if h := b.view("a").Cutover.Held; h == nil || !strings.Contains(h.Reason, "restarted") {
			t.Errorf("the ramp is held: %+v", h)
		}
		b.health("a", green, true)
		b.health("b", green, true)
		pass(time.Hour)
		b.at("a", switcher.Ramping, 30)
		_, err = b.Resume(t.Context(), request("b"))
		b.must(err)
		pass(time.Minute + time.Second)
		b.at("a", switcher.Steady, 100)
		b.at("b", switcher.Steady, 100)
	})
}

func TestARampThatFindsItsTargetDeadAfterARestartIsUndone(t *testing.T) {
	for name, find := range map[string]func(*bed){
		"dead":      func(b *bed) { b.health("app", green, false) },
		"dead soon": func(b *bed) { b.health("app", green, true); pass(time.Second); b.announce("app", 2, 2) },
		"empty":     func(b *bed) { b.announce("app", 2, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBed(t, switcher.Config{}, "app")
				_, err := b.cutover(green, "30:1m", "app")
				b.must(err)
				b.restart()
				b.announce("app", 2, 2)
				find(b)
				if name == "dead soon" { // other addresses, of which nothing is known
					_, err = b.SetPools(t.Context(), "app", switcher.Pools{Green: []switcher.Upstream{{Address: "new:80"}}})
					b.must(err)
				}
				pass(time.Second)
				b.at("app", switcher.Steady, 0)
			})
		})
	}
}

func TestAnOperatorsHoldOutlivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.bring(switcher.Ramping)
		req := request("app")
		req.Reason = "looks odd"
		_, err := b.Hold(t.Context(), req)
		b.must(err)
		b.restart()
		if h := b.view("app").Cutover.Held; h == nil || h.Reason != "looks odd" || h.By != "tester" {
			t.Errorf("after the restart the ramp is held by %+v", h)
		}
	})
}

func TestALockAndTheHistoryOutliveARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		for range 15 {
			_, err := b.cutover(b.view("app").Active.Other(), "", "app")
			b.must(err)
			pass(time.Second)
		}
		req := request("app")
		req.Reason = "match day"
		for range 4 {
			_, err := b.Lock(t.Context(), req)
			b.must(err)
			_, err = b.Unlock(t.Context(), req)
			b.must(err)
		}
		_, err := b.Lock(t.Context(), req)
		b.must(err)
		before, err := b.History(t.Context(), "app")
		b.must(err)
		b.restart()
		after, err := b.History(t.Context(), "app")
		b.must(err)
		if len(after) != switcher.MaxHistory || len(before) != len(after) || before[7].ID != after[7].ID {
			t.Errorf("the history had %d moves and has %d", len(before), len(after))
		}
		if l := b.view("app").Lock; l == nil || l.Reason != "match day" {
			t.Errorf("the lock is %+v", l)
		}
	})
}

func TestNothingStartsHealthy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
		b.announce("app", 3, 3)
		now := b.Service("app").Table()
		for range 10 { // the third ones are new
			for _, c := range switcher.Colors {
				e := now.Pools.Of(c).Pick(switcher.RoundRobin, 0, nil, time.Now())
				if e == nil || strings.Contains(e.Address(), "-3:") {
					t.Fatalf("picked %v", e)
				}
			}
		}
		b.restart()
		b.announce("app", 3, 3)
		now = b.Service("app").Table()
		for _, c := range switcher.Colors {
			if e := now.Pools.Of(c).Pick(switcher.LeastInflight, 0, nil, time.Now()); e != nil {
				t.Errorf("after a restart %s took traffic without a probe", e.Address())
			}
		}
		b.health("app", blue, true)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(time.Minute)
		b.at("app", switcher.Steady, 0)
		text(t, b.last("app").Detail, "app-green-1:80: not probed yet")
	})
}

func TestAPoolIsSettledWhenNothingIsLeftToLearn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		settled := func() bool { return b.Service("app").Table().Pools.Blue.Settled() }
		b.restart()
		if settled() {
			t.Error("settled before a source has spoken")
		}
		b.announce("app", 2, 0)
		b.health("app", blue, false, 1)
		if settled() {
			t.Error("settled before each upstream has a verdict")
		}
		b.health("app", blue, false)
		if !settled() {
			t.Error("not settled, though all is known")
		}
		b.announce("app", 0, 0)
		if !settled() {
			t.Error("an empty pool is not settled")
		}
	})
}

func TestAReloadDropsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "other")
		release := b.work("app", 0, 3)
		_, err := b.cutover(green, "30:1m", "app")
		b.must(err)
		svc, before, table := b.Service("app"), b.view("app"), b.Service("app").Table()
		b.must(b.Configure(t.Context(), map[string]switcher.Config{"app": {Active: green, Gates: healthyAll()}, "new": {Active: green}}))
		if b.Service("app") != svc {
			t.Error("the handle is another")
		}
		after := b.view("app")
		if after.Split != before.Split || after.Generation != before.Generation || after.Green.Healthy != 2 || after.Blue.Inflight+after.Green.Inflight != 3 {
			t.Errorf("was %+v, is %+v", before, after)
		}
		if now := svc.Table(); now.Pools != table.Pools {
			t.Error("the pools are others")
		}
		b.at("new", switcher.Steady, 100)
		pass(time.Minute + time.Second)
		release()
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAFailedSourceKeepsTheLastGoodPools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		table := b.Service("app").Table()
		updated := b.view("app").Source.Updated
		pass(time.Minute)
		for range 2 {
			b.must(b.SourceFailed(t.Context(), "app", errDisk))
			pass(time.Minute)
		}
		v := b.view("app")
		if b.Service("app").Table() != table || !v.Source.Updated.Equal(updated) || time.Since(v.Source.ErrorSince) != 2*time.Minute {
			t.Errorf("the source is shown as %+v", v.Source)
		}
		text(t, strings.Join(v.Warnings, "\n"), errDisk.Error())
		_, err := b.SetPools(t.Context(), "app", switcher.Pools{Blue: []switcher.Upstream{{Address: "nonsense"}}})
		if err == nil || b.Service("app").Table() != table {
			t.Errorf("bad pools: %v", err)
		}
		b.pools("app", 0, 0) // an empty list is not an error
		if v = b.view("app"); v.Source.Error != "" || v.Blue.Total != 0 {
			t.Errorf("status says %+v", v)
		}
	})
}

func TestAStateThatCannotHaveBeenWrittenIsNotResumed(t *testing.T) {
	for name, text := range map[string]string{
		"no color":         `{"generation":3,"split":{"blue":100,"green":0},"phase":"steady"}`,
		"weights":          `{"active":"blue","split":{"blue":90,"green":0},"phase":"steady"}`,
		"split in steady":  `{"active":"blue","split":{"blue":90,"green":10},"phase":"steady"}`,
		"wrong side":       `{"active":"blue","split":{"blue":0,"green":100},"phase":"steady"}`,
		"phase without":    `{"active":"blue","split":{"blue":90,"green":10},"phase":"ramping"}`,
		"cutover in peace": `{"active":"blue","split":{"blue":100,"green":0},"phase":"steady","cutover":{"id":"x","from":"blue","to":"green","services":["app"]}}`,
		"ramp at rest":     `{"active":"blue","split":{"blue":100,"green":0},"phase":"ramping","cutover":{"id":"x","from":"blue","to":"green","services":["app"]}}`,
		"blue to blue":     `{"active":"blue","split":{"blue":90,"green":10},"phase":"ramping","cutover":{"id":"x","from":"blue","to":"blue","services":["app"]}}`,
		"beyond the ramp":  `{"active":"blue","split":{"blue":90,"green":10},"phase":"ramping","cutover":{"id":"x","from":"blue","to":"green","step":9,"services":["app"]}}`,
		"nobody":           `{"active":"blue","split":{"blue":90,"green":10},"phase":"ramping","cutover":{"id":"x","from":"blue","to":"green"}}`,
		"drains nothing":   `{"active":"blue","split":{"blue":100,"green":0},"phase":"draining","cutover":{"id":"x","from":"blue","to":"green","services":["app"]}}`,
		"drains active":    `{"active":"blue","split":{"blue":100,"green":0},"phase":"draining","cutover":{"id":"x","from":"blue","to":"green","drain":"blue","services":["app"]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var st switcher.ServiceState
			if err := json.Unmarshal([]byte(text), &st); err != nil {
				t.Fatal(err)
			}
			if st.Validate() == nil {
				t.Fatal("it is called valid")
			}
			b := newBed(t, switcher.Config{}, "app")
			b.stop()
			b.store.text = []byte(`{"services":{"app":` + text + `}}`)
			sw := switcher.New(b.store, switcher.Hooks{}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { sw.Run(ctx) })
			defer running.Wait()
			defer cancel()
			if err := sw.Restore(ctx); err == nil || !strings.Contains(err.Error(), `"app"`) {
				t.Errorf("Restore says %v", err)
			}
			b.must(sw.Configure(ctx, map[string]switcher.Config{"app": {}}))
			v, err := sw.View(ctx, "app")
			if b.must(err); v.Generation != 1 || len(v.Warnings) == 0 || !strings.Contains(v.Warnings[0], "began on the color of the config") {
				t.Errorf("generation %d, warnings %q", v.Generation, v.Warnings)
			}
		})
	}
}

func TestAPoolIsSettledOnceItsSourceHasSpokenOrFailedForTheFirstTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.must(b.Configure(t.Context(), map[string]switcher.Config{"app": {}, "other": {}}))
		pool := func() *switcher.Pool { return b.Service("other").Table().Pools.Of(switcher.Blue) }
		if pool().Settled() {
			t.Error("settled before the source has said anything")
		}
		b.must(b.SourceFailed(t.Context(), "other", errDisk))
		if !pool().Settled() {
			t.Error("not settled although the source has failed: requests would wait for nothing")
		}
		if w := strings.Join(b.view("other").Warnings, "\n"); !strings.Contains(w, "there are no pools yet: "+errDisk.Error()) {
			t.Errorf("of pools that there never were, status says %q", w)
		}
	})
}
