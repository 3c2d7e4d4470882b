package proxy

import (
	"errors"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// serveElder answers the process that has taken over.
func (rt *runtime) serveElder(s *handover.Successor) {
	defer s.Close() // or it would wait for answers
	for {
		var c elderCall
		if s.Receive(&c, 0) != nil {
			return // it has ended; what is here goes on
		}
		if s.Send(rt.answerElder(c), elderPatience) != nil {
			return
		}
	}
}

func (rt *runtime) answerElder(c elderCall) *elderReport {
	r := new(elderReport)
	if len(c.Follow) > 0 {
		err := rt.switcher.Follow(c.Follow)
		if err = errors.Join(err, rt.elders.tell(c.Follow)); err != nil {
			r.Error = err.Error()
		}
	}
	for _, d := range c.Drains {
		rt.evict(d.Service, d.Drain)
	}
	if q := c.Streams; q != nil {
		page := rt.page(q.Service, q.Query)
		r.Page = &page
	}
	if c.Evict != nil {
		r.Evicted = rt.evictChosen(*c.Evict)
	}
	if l := rt.leaving.Load(); c.Leave > 0 && l != nil {
		l.within(c.Leave)
		rt.elders.leave(c.Leave)
	}
	r.Listening, r.Under = rt.accepting.Load(), rt.under()
	return r
}

// under is what this process and those before it have under way.
func (rt *runtime) under() map[string]switcher.PerColor[elderColor] {
	under := make(map[string]switcher.PerColor[elderColor])
	add := func(service string) {
		if _, done := under[service]; done {
			return
		}
		var both switcher.PerColor[elderColor]
		for _, c := range switcher.Colors {
			*both.At(c) = elderColor{
				Inflight: rt.switcher.Service(service).Inflight(c) + rt.elders.inflight(service, c),
				Streams:  rt.counts(service, c, time.Now()),
				Evicted:  rt.usher.endedOf(post{service, c}),
			}
		}
		under[service] = both
	}
	for at := range rt.ledger.posts() {
		add(at.service)
	}
	for _, name := range rt.switcher.Names() {
		add(name)
	}
	return under
}
