package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/healthcheck"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// flipflop is a source that announces two pools in turn, and fails in between.
type flipflop struct{ rounds *atomic.Int64 }

func (f flipflop) Run(ctx context.Context, sink switcher.Sink) error {
	for n := 0; ctx.Err() == nil; n++ {
		pools := switcher.Pools{Blue: []switcher.Upstream{{Address: "stays:1"}, {Address: "goes:1"}}}
		if n%2 == 1 {
			pools.Blue = pools.Blue[:1]
			sink.Fail(errors.New("no catalog today"))
		}
		sink.Update(pools)
		f.rounds.Add(1)
	}
	return ctx.Err()
}

func (flipflop) String() string { return "flipflop" }

// yes is a probe that passes.
type yes struct{ name string }

func (yes) Probe(context.Context, string) error { return nil }
func (y yes) String() string                    { return y.name }

// always is checks that pass, of the given name.
func always(name string) checkSet {
	check := healthcheck.Check{Name: name, Probe: yes{name}}
	return checkSet{
		checks:      switcher.PerColor[[]healthcheck.Check]{Blue: []healthcheck.Check{check}, Green: []healthcheck.Check{check}},
		fingerprint: name,
	}
}

func TestASupervisorIsReconfiguredWhileItsSourceReports(t *testing.T) {
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	sw := switcher.New(new(memory), switcher.Hooks{}, nil)
	var group sync.WaitGroup
	group.Go(func() { sw.Run(ctx) })
	must(t, sw.Configure(ctx, map[string]switcher.Config{"app": {}}))
	sv := newSupervisor(sw, "app", (&runtime{}).logger())
	rounds := new(atomic.Int64)
	healthy := func() bool {
		v, err := sw.View(ctx, "app")
		must(t, err)
		return v.Blue.Total > 0 && v.Blue.Upstreams[0].Healthy
	}
	for n := range 40 {
		key := []string{"one", "two"}[n/2%2]
		must(t, sv.configure(ctx, &edge{source: flipflop{rounds}, sourceKey: key, checks: always([]string{"a", "b"}[n%2])}))
		if goal := rounds.Load() + 3; n == 0 {
			until(t, "the upstream that stays is healthy", healthy)
		} else {
			until(t, "the source goes on", func() bool { return rounds.Load() >= goal })
			equal(t, "the upstream that stays is healthy", healthy(), true)
		}
	}
	sv.stop()
	equal(t, "checks left", len(sv.watches), 0)
	after := rounds.Load()
	sv.stop() // again is harmless
	equal(t, "reports after the stop", rounds.Load(), after)
	cancel()
	group.Wait()
	goleak.VerifyNone(t, before)
}

func TestChecksThatAreReplacedHandTheirVerdictOn(t *testing.T) {
	sw, _ := stage(t)
	sv := newSupervisor(sw, "app", (&runtime{}).logger())
	t.Cleanup(sv.stop)
	source := switcher.Static{Blue: []switcher.Upstream{{Address: "a:1"}}}
	must(t, sv.configure(t.Context(), &edge{source: source, sourceKey: "k", checks: always("old")}))
	blue := func() switcher.UpstreamView {
		v, err := sw.View(t.Context(), "app")
		must(t, err)
		if len(v.Blue.Upstreams) == 0 || v.Blue.Upstreams[0].Address != "a:1" {
			return switcher.UpstreamView{}
		}
		return v.Blue.Upstreams[0]
	}
	until(t, "it is healthy", func() bool { return blue().Healthy })
	since := blue().Since
	events, cancel := sw.Subscribe()
	defer cancel()
	must(t, sv.configure(t.Context(), &edge{source: source, sourceKey: "k", checks: always("new")}))
	until(t, "the new check has reported", func() bool { c := blue().Checks; return len(c) == 1 && c[0].Check == "new" && c[0].Healthy })
	equal(t, "healthy since", blue().Since, since)
	for len(events) > 0 {
		if e := <-events; e.Type == switcher.EventHealth {
			t.Errorf("the verdict changed: %s", e.Detail)
		}
	}
}
