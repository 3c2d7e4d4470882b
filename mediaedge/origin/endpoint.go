package origin

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck"
)

// endpoint is a place with its connections and its health.
type endpoint struct {
	place
	index     int
	slots     chan struct{} // holds a token for each request under way
	transport *http.Transport
	prober    *http.Transport // nil: there is no check

	attempts atomic.Uint64
	failures atomic.Uint64

	mu      sync.Mutex
	passive health              // guarded by mu, as is the rest
	active  *healthcheck.Status // nil: no probe has been answered
	failure string              // the last one of an attempt
	healthy bool                // by both
	since   time.Time           // when healthy last changed
}

// probedLocked reports what probes say: nothing against it, without a verdict.
func (e *endpoint) probedLocked() bool { return e.active == nil || !e.active.Known || e.active.Healthy }

func (e *endpoint) fit() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.passive.in() && e.probedLocked()
}

// admit reports whether to ask the endpoint now; force: whatever its health.
// The answer to a probe decides whether it comes back.
func (e *endpoint) admit(now time.Time, force bool) (ok, probe bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.probedLocked() && !force {
		return false, false
	}
	if ok, probe = e.passive.admit(now); ok {
		return ok, probe
	}
	return force, force
}

// observe changes what is known of an endpoint's health, and logs it if that
// makes a difference.
func (o *Origin) observe(e *endpoint, change func(now time.Time)) {
	now := o.now()
	e.mu.Lock()
	change(now)
	healthy := e.passive.in() && e.probedLocked()
	changed := healthy != e.healthy
	if changed {
		e.healthy, e.since = healthy, now
	}
	reason := e.reasonLocked()
	e.mu.Unlock()
	switch {
	case changed && healthy:
		o.log.Info("endpoint of an origin is healthy again", "origin", o.name, "endpoint", e.place.String())
	case changed:
		o.log.Warn("endpoint of an origin is not healthy; others are asked", "origin", o.name, "endpoint", e.place.String(), "reason", reason)
	}
}

func (e *endpoint) reasonLocked() string {
	switch {
	case !e.passive.in():
		return e.failure
	case !e.probedLocked():
		return e.active.Reason
	}
	return ""
}

// lease finds the first endpoint that is not in tried, by its index: a healthy
// one with a free connection, else a healthy one, for which it waits, else any.
// Without an error and an attempt, all have been tried.
func (o *Origin) lease(ctx context.Context, tried uint32, wait time.Duration) (*attempt, error) {
	for _, force := range []bool{false, true} {
		var busy *endpoint
		for _, e := range o.endpoints {
			if tried&(1<<e.index) != 0 {
				continue
			}
			select {
			case e.slots <- struct{}{}:
				if ok, probe := e.admit(o.now(), force); ok {
					return &attempt{o: o, e: e, probe: probe}, nil
				}
				<-e.slots
			default:
				if busy == nil && (force || e.fit()) {
					busy = e
				}
			}
		}
		if busy != nil {
			return o.await(ctx, busy, wait)
		}
	}
	return nil, nil
}

// await waits for a connection to be free.
func (o *Origin) await(ctx context.Context, e *endpoint, wait time.Duration) (*attempt, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case e.slots <- struct{}{}:
		_, probe := e.admit(o.now(), true)
		return &attempt{o: o, e: e, probe: probe}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, &Error{Origin: o.name, Endpoint: e.place.String(), Reason: "all connections are in use: raise max_conns, or ask it for less", status: http.StatusServiceUnavailable}
	}
}
