package switcher

import "time"

// evictEvery is how often what is left after a deadline is ended.
const evictEvery = time.Second

func (s *Switcher) advanceDrain(r *run, now time.Time) {
	r.drain.Inflight = r.inflight()
	if r.drain.Inflight == 0 {
		if r.evicting {
			s.evict(r) // for the last count
		}
		s.end(r, r.resultOr(ResultDone), r.cut.Detail, nil)
		return
	}
	if now.Before(r.cutAt) || s.hooks.Evict == nil {
		return
	}
	r.cutAt, r.evicting = now.Add(evictEvery), true
	s.evict(r)
}

func (s *Switcher) evict(r *run) {
	r.drain.Evicted = 0
	for _, m := range r.members {
		r.drain.Evicted += s.hooks.Evict(m.name, r.drains())
	}
}

// drains is what the hooks are told of a run that is draining.
func (r *run) drains() Drain { return Drain{r.cut.Drain, r.drain.Started, r.cut.Options} }
