package proxy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// evict is the switcher's hook for a drain with deadlines that have passed.
func (rt *runtime) evict(service string, d switcher.Drain) int {
	now := time.Now()
	_, ended := rt.usher.show(service, d.Color, d.Started, func(e *entry) bool {
		return now.Sub(lastOf(d.Started, e.started)) >= d.Deadline(e.streamKind())
	})
	return ended + rt.elders.drain(service, d)
}

// counts is what a color still has under way, in processes before this one too.
func (rt *runtime) counts(service string, c switcher.Color, now time.Time) []switcher.StreamCount {
	return rt.elders.counts(service, c, rt.ledger.counts(service, c, now))
}

// lastOf returns the later one: what a pinned session began after the flip has
// its own time to end.
func lastOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pace is that of the service in the config in force.
func (rt *runtime) pace(service string) Pace {
	if l := rt.leaving.Load(); l != nil {
		return l.paces[service] // there may be no config any more
	}
	if r, ok := rt.retired.Load(service); ok {
		return r.(*retired).pace
	}
	if app := rt.inForce.Load(); app != nil && app.edges[service] != nil && app.edges[service].config.Evict != nil {
		return *app.edges[service].config.Evict
	}
	return Pace{}
}

// wellWithout reports whether the other color is healthy as a whole, so that it
// can take what comes back.
func (rt *runtime) wellWithout(service string, c switcher.Color) bool {
	if rt.leaving.Load() != nil {
		return true // what comes back comes to another process
	}
	t := rt.switcher.Service(service).Table()
	if t == nil {
		return true // a service that was removed: nothing comes back to it
	}
	h := t.Pools.Of(c.Other()).Health()
	return h.Total > 0 && h.Healthy == h.Total
}

// Streams implements control.Streams.
func (rt *runtime) Streams(ctx context.Context, service string, q switcher.StreamQuery) (switcher.StreamPage, error) {
	if err := rt.knows(ctx, service); err != nil {
		return switcher.StreamPage{}, err
	}
	return rt.page(service, q), nil
}

// page is a page of what this process and those before it have under way.
func (rt *runtime) page(service string, q switcher.StreamQuery) switcher.StreamPage {
	return rt.elders.streams(service, q, rt.ledger.streams(service, q, time.Now()))
}

// Evict implements control.Streams.
func (rt *runtime) Evict(ctx context.Context, req switcher.EvictRequest) (switcher.Eviction, error) {
	if len(req.Services) != 1 {
		return switcher.Eviction{}, fmt.Errorf("%w: evict wants one service, not %d", switcher.ErrInvalid, len(req.Services))
	}
	if len(req.IDs) > switcher.MaxStreams {
		return switcher.Eviction{}, fmt.Errorf("%w: %d streams are named, at most %d", switcher.ErrInvalid, len(req.IDs), switcher.MaxStreams)
	}
	service := req.Services[0]
	view, err := rt.switcher.View(ctx, service)
	if err != nil {
		return switcher.Eviction{}, err
	}
	if req.IfGeneration != nil && *req.IfGeneration != view.Generation {
		return switcher.Eviction{}, fmt.Errorf("%w: service %q is at generation %d, not %d", switcher.ErrConflict, service, view.Generation, *req.IfGeneration)
	}
	c := req.Color
	if c == 0 {
		c = view.Active.Other()
	}
	added := rt.evictChosen(elderEvict{service, c, req.Kinds, req.IDs})
	return switcher.Eviction{Streams: added, Color: c, Pace: rt.pace(service).quota(added, rt.wellWithout(service, c))}, nil
}

// evictChosen asks streams of this process and of those before it to end, and
// returns how many.
func (rt *runtime) evictChosen(req elderEvict) int {
	now := time.Now()
	added, _ := rt.usher.show(req.Service, req.Color, rt.usher.sinceOf(req.Service, req.Color), func(e *entry) bool {
		chosen := slices.Contains(req.IDs, e.id()) || len(req.IDs) == 0 && e.isStream(now)
		return chosen && e.isOf(req.Kinds)
	})
	return added + rt.elders.evict(req)
}

var _ control.Streams = (*runtime)(nil)
