package consul

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Run takes part until ctx ends, with all services that the Switcher has at the
// time; it blocks, and leaves nothing running. It returns ctx's error, or
// switcher.ErrClosed when the Switcher stops. It runs once at a time.
func (f *Fleet) Run(ctx context.Context, m Mover) error {
	ctx, stop := context.WithCancel(ctx)
	events, unsubscribe := m.Subscribe()
	defer unsubscribe()
	r := &round{Fleet: f, mover: m, seats: make(map[string]*seat), heard: make(chan tree, 1)}
	defer r.work.Wait()
	defer stop()
	r.work.Go(func() { f.client.follow(ctx, r, &r.urgent) })
	r.sync(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case t := <-r.heard:
			r.hand(t)
		case e, open := <-events:
			if !open {
				return switcher.ErrClosed
			}
			r.on(ctx, e)
		}
	}
}

// round is the state of one Run.
type round struct {
	*Fleet
	mover Mover
	work  sync.WaitGroup
	seats map[string]*seat // by service; of Run's goroutine
	last  tree             // handed to the seats; of Run's goroutine

	asked  api.KVPairs // by the last poll; of follow's goroutine
	unsure bool        // the last answer may lack keys; of follow's goroutine
	urgent urgency     // while unsure
	heard  chan tree   // has room for the latest
}

// ask implements inquiry.
func (r *round) ask(o *api.QueryOptions) (meta *api.QueryMeta, err error) {
	r.asked, meta, err = r.client.api.KV().List(r.prefix, o)
	return meta, err
}

// tell implements inquiry. An answer that nobody has taken yet is replaced.
func (r *round) tell(s sight) {
	t := treeOf(r.asked, r.prefix, r.config.Edge)
	r.asked = nil
	t.sight = s
	if s.err != nil {
		t.err = r.client.explain("keys below "+r.config.Prefix, s.err)
	}
	if s.err == nil {
		r.doubt(s.filtered || !s.vouched)
	}
	select {
	case <-r.heard:
	default:
	}
	r.heard <- t
}

// doubt has the keys read more often while an answer may lack some. Consul takes
// the permissions that a query has when it begins: one that blocks does not learn
// that they are back, and the next one blocks on an index that is not news.
func (r *round) doubt(unsure bool) {
	if unsure == r.unsure {
		return
	}
	r.unsure = unsure
	if unsure {
		r.urgent.hold(1)
	} else {
		r.urgent.hold(-1)
	}
}

// hand passes an answer on to the seats. A failure leaves them what they had.
func (r *round) hand(t tree) {
	r.seen(&t)
	if t.err != nil || !t.vouched {
		t.services = r.last.services
	}
	r.last = t
	for name, s := range r.seats {
		s.deliver(&t, t.services[name])
	}
}

// on wakes the seats that an event is for.
func (r *round) on(ctx context.Context, e switcher.Event) {
	switch e.Type {
	case switcher.EventServices:
		r.sync(ctx)
	case switcher.EventLost:
		r.sync(ctx)
		for _, s := range r.seats {
			s.signal()
		}
	case switcher.EventPhase, switcher.EventSplit, switcher.EventGate, switcher.EventHold, switcher.EventLock, switcher.EventEnd:
		if s := r.seats[e.Service]; s != nil {
			s.signal()
		}
	}
}

// sync seats the services that there are.
func (r *round) sync(ctx context.Context) {
	views, err := r.mover.Services(ctx)
	if err != nil {
		return // the Switcher or ctx ends, and Run with it
	}
	present := make(map[string]bool, len(views))
	for _, v := range views {
		if err := validateName(v.Name); err != nil {
			continue // it can have no key
		}
		present[v.Name] = true
		if r.seats[v.Name] == nil {
			r.seat(ctx, v.Name)
		}
	}
	for name, s := range maps.Clone(r.seats) {
		if !present[name] {
			s.leave()
			delete(r.seats, name)
			r.forget(name)
		}
	}
}

func (r *round) seat(ctx context.Context, service string) {
	ctx, cancel := context.WithCancel(ctx)
	s := newSeat(r.Fleet, r.mover, service)
	s.leave = func() { cancel(); <-s.gone }
	r.seats[service] = s
	if !r.last.at.IsZero() {
		s.deliver(&r.last, r.last.services[service])
	}
	r.work.Go(func() {
		defer cancel()
		defer close(s.gone)
		s.run(ctx)
	})
}

// stopping reports an error that is about this process's end, or a service's, and
// not about what was asked.
func stopping(err error) bool {
	return errors.Is(err, switcher.ErrClosed) || errors.Is(err, switcher.ErrUnknownService) || errors.Is(err, context.Canceled)
}
