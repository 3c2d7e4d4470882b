package switcher

import "time"

func (s *Switcher) advanceDrain(r *run, now time.Time) {
	r.drain.Inflight = r.inflight()
	if r.drain.Inflight == 0 {
		s.end(r, r.resultOr(ResultDone), r.cut.Detail, nil)
		return
	}
	if now.Before(r.cutAt) || s.hooks.Evict == nil {
		return
	}
	r.cutAt = now.Add(time.Second)
	for _, m := range r.members {
		r.drain.Evicted += s.hooks.Evict(m.name, r.cut.Drain)
	}
}
