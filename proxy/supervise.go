package proxy

import (
	"context"
	"log/slog"
	"sync"

	"github.com/greenroom-proxy/greenroom/healthcheck"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// supervisor keeps the source of a service's pools running, and the checks of
// each upstream that the source names. A reload that changes neither leaves
// both alone.
type supervisor struct {
	switcher *switcher.Switcher
	service  string
	log      *slog.Logger

	edge *edge // as last configured; guarded by the runtime's mu

	mu         sync.Mutex
	sourceKey  string                        // guarded by mu
	stopSource func()                        // guarded by mu; waits for the source
	checks     checkSet                      // guarded by mu
	endpoints  []*switcher.Endpoint          // guarded by mu; as last announced
	watches    map[*switcher.Endpoint]*watch // guarded by mu
}

// watch is the checks of one upstream while they run.
type watch struct {
	stop func()              // waits for the checks
	last *healthcheck.Status // as last published; nil: nothing yet; to be read when stopped
}

func newSupervisor(sw *switcher.Switcher, service string, log *slog.Logger) *supervisor {
	return &supervisor{
		switcher: sw, service: service, log: log.With("service", service),
		stopSource: func() {}, watches: make(map[*switcher.Endpoint]*watch),
	}
}

// configure goes on by e's settings.
func (sv *supervisor) configure(ctx context.Context, e *edge) error {
	sv.edge = e
	sv.mu.Lock()
	changed := e.sourceKey != sv.sourceKey
	stop := sv.stopSource
	rewatch := e.checks.fingerprint != sv.checks.fingerprint
	sv.checks = e.checks
	if rewatch {
		sv.watch(true)
	}
	sv.mu.Unlock()
	if !changed {
		return nil
	}
	stop() // without the lock, which its last report may wait for
	sv.mu.Lock()
	defer sv.mu.Unlock()
	source := e.source
	sv.sourceKey = e.sourceKey
	sv.stopSource = goUntilStopped(func(ctx context.Context) { _ = source.Run(ctx, sv) })
	return sv.switcher.SetSource(ctx, sv.service, source)
}

// Update implements switcher.Sink.
func (sv *supervisor) Update(pools switcher.Pools) {
	endpoints, err := sv.switcher.SetPools(context.Background(), sv.service, pools)
	if err != nil {
		sv.log.Error("pools refused", "error", err)
		return
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	sv.endpoints = endpoints
	sv.watch(false)
}

// Fail implements switcher.Sink.
func (sv *supervisor) Fail(cause error) {
	sv.log.Warn("pools cannot be read: the last good ones stay", "error", cause)
	_ = sv.switcher.SourceFailed(context.Background(), sv.service, cause)
}

// watch makes the running checks those of the endpoints; all anew if the
// checks themselves have changed. The caller holds mu.
func (sv *supervisor) watch(anew bool) {
	keep := make(map[*switcher.Endpoint]bool, len(sv.endpoints))
	for _, e := range sv.endpoints {
		keep[e] = true
	}
	stopped := make(map[*switcher.Endpoint]*watch)
	var stopping sync.WaitGroup
	for e, w := range sv.watches {
		if keep[e] && !anew {
			continue
		}
		stopping.Go(w.stop)
		stopped[e] = w
		delete(sv.watches, e)
	}
	stopping.Wait() // their last reports count
	for _, e := range sv.endpoints {
		if sv.watches[e] == nil {
			sv.watches[e] = sv.check(e, stopped[e])
		}
	}
}

// check begins the checks of an upstream, with the verdict of those before, if
// there were any.
func (sv *supervisor) check(e *switcher.Endpoint, before *watch) *watch {
	w := new(watch)
	if before != nil {
		w.last = before.last
	}
	checker := healthcheck.NewChecker(e.Address(), sv.checks.checks.Of(e.Color), w.last, func(s healthcheck.Status) {
		w.last = &s
		sv.switcher.SetHealth(e, healthOf(s))
	})
	w.stop = goUntilStopped(checker.Run)
	return w
}

// stop ends the source and all checks, and waits for them.
func (sv *supervisor) stop() {
	sv.mu.Lock()
	stop := sv.stopSource
	sv.mu.Unlock()
	stop()
	sv.mu.Lock()
	defer sv.mu.Unlock()
	sv.endpoints = nil
	sv.watch(true)
}

// goUntilStopped runs f beside the caller; the result ends it and waits.
func goUntilStopped(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// healthOf says in the switcher's words what the checks have found.
func healthOf(s healthcheck.Status) switcher.Health {
	h := switcher.Health{Healthy: s.Healthy, Known: s.Known, Since: s.Since, Reason: s.Reason, Held: s.Held}
	for _, r := range s.Checks {
		c := switcher.CheckHealth{
			Check: r.Check, Healthy: r.Healthy, Since: r.Since, Passes: r.Passes, Fails: r.Fails,
			Needed: r.Needed, HeldUntil: r.HeldUntil,
		}
		for _, l := range r.Last {
			c.Last = append(c.Last, switcher.CheckResult{At: l.At, Took: switcher.Duration(l.Took), OK: l.OK, Detail: l.Detail})
		}
		h.Checks = append(h.Checks, c)
	}
	return h
}

var _ switcher.Sink = (*supervisor)(nil)
