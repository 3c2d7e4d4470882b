package switcher

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Services returns all services, sorted by name.
func (s *Switcher) Services(ctx context.Context) (views []ServiceView, err error) {
	err = s.do(ctx, func() {
		for _, name := range slices.Sorted(maps.Keys(s.machines)) {
			views = append(views, s.show(s.machines[name]))
		}
	})
	return views, err
}

// View returns one service.
func (s *Switcher) View(ctx context.Context, name string) (view ServiceView, err error) {
	closed := s.do(ctx, func() {
		var m *machine
		if m, err = s.machine(name); err == nil {
			view = s.show(m)
		}
	})
	if closed != nil {
		return ServiceView{}, closed
	}
	return view, err
}

// History returns the latest moves of a service, newest first; one that is
// under way is not among them.
func (s *Switcher) History(ctx context.Context, name string) (moves []Move, err error) {
	closed := s.do(ctx, func() {
		var m *machine
		if m, err = s.machine(name); err == nil {
			moves = slices.Clone(m.state.History)
		}
	})
	if closed != nil {
		return nil, closed
	}
	return moves, err
}

// Unsaved reports whether the state in the Store is older than what is served,
// because the last write failed; it is tried again.
func (s *Switcher) Unsaved() bool { return s.dirty.Load() }

func (s *Switcher) receipt(members []*machine, id string, changed bool) Receipt {
	r := Receipt{ID: id, Changed: changed}
	for _, m := range members {
		r.Services = append(r.Services, s.view(m))
	}
	return r
}

// show is view with what only status tells: paths of clients' requests have no
// place in receipts, which scripts keep.
func (s *Switcher) show(m *machine) ServiceView {
	v := s.view(m)
	if s.hooks.MediaLeak != nil {
		v.MediaLeak = s.hooks.MediaLeak(m.name)
	}
	return v
}

func (s *Switcher) view(m *machine) ServiceView {
	v := ServiceView{
		Name: m.name, Generation: m.state.Generation, Phase: m.state.Phase, Active: m.state.Active,
		Previous: m.state.Previous, Split: m.state.Split, Lock: m.state.Lock, Source: m.viewSource(),
		Blue: m.viewPool(Blue), Green: m.viewPool(Green),
	}
	v.Pins, v.RollbackWindow = m.viewPins(), m.rollbackWindow(time.Now())
	if m.run != nil {
		v.Cutover = s.viewRun(m.run)
	}
	if len(m.state.History) > 0 {
		last := m.state.History[0]
		v.Last = &last
	}
	if s.dirty.Load() {
		v.Warnings = append(v.Warnings, "the state on disk is older than what is served: the last write failed and is tried again")
	}
	if m.doubt != "" {
		v.Warnings = append(v.Warnings, m.doubt)
	}
	if m.source.Error != "" {
		v.Warnings = append(v.Warnings, v.Source.standing()+": "+m.source.Error)
	}
	if s.hooks.Warn != nil {
		v.Warnings = append(v.Warnings, s.hooks.Warn(m.name)...)
	}
	switch h := v.Pool(v.Active).PoolHealth; {
	case h.Total == 0 && m.pools.Of(v.Active).announced:
		v.Warnings = append(v.Warnings, v.Active.String()+" is active and its pool is empty: requests get 503")
	case h.Healthy == 0 && h.Total > h.Unknown:
		v.Warnings = append(v.Warnings, v.Active.String()+" is active and has no healthy upstream: "+h.Reason)
	}
	return v
}

func (m *machine) viewSource() SourceView {
	v := m.source
	if m.reporter != nil {
		v.SourceReport = m.reporter.Report()
		v.Remembered = v.Answered.IsZero() && !v.Updated.IsZero()
	}
	return v
}

// standing says, of a source that fails, which pools there are.
func (v SourceView) standing() string {
	switch {
	case v.Remembered:
		return "the pools are those of before this edge started"
	case !v.Answered.IsZero():
		return "the pools are those of " + v.Answered.Format(time.RFC3339)
	case v.Updated.IsZero():
		return "there are no pools yet"
	}
	return "the pools are those of " + v.Updated.Format(time.RFC3339)
}

func (m *machine) viewPool(c Color) PoolView {
	pool := m.pools.Of(c)
	v := PoolView{
		Role: "idle", Weight: m.state.Split.Weight(c), Inflight: m.inflight(c),
		PoolHealth: pool.Health(), Upstreams: make([]UpstreamView, 0, len(pool.endpoints)),
	}
	if c == m.state.Active {
		v.Role = "active"
	}
	v.Pinned, _ = m.svc.pinned(c)
	v.SafeToStop = v.Weight == 0 && v.Inflight == 0 && m.held() != c &&
		(m.run == nil || m.run.phase == Draining && m.run.cut.Drain == c)
	now := time.Now()
	for _, e := range pool.endpoints {
		u := UpstreamView{Upstream: e.Upstream(), Health: e.Health(), Inflight: e.Inflight()}
		if until := time.Unix(0, e.ejected.Load()); until.After(now) {
			u.EjectedUntil = until
		}
		v.Upstreams = append(v.Upstreams, u)
	}
	return v
}

func (s *Switcher) viewRun(r *run) *CutoverView {
	v := &CutoverView{Cutover: r.cut, Gates: slices.Clone(r.verdicts)}
	v.Services, v.Ramp, v.Compared = slices.Clone(r.cut.Services), slices.Clone(r.cut.Ramp), r.comparisons()
	switch r.phase {
	case Draining:
		d := r.drain
		d.Inflight = r.inflight()
		if n, oldest := r.pinned(); r.holds {
			d.Held = &HeldView{Sessions: n, Oldest: oldest, Until: r.pinsEnd}
		}
		if done := d.Initial - d.Inflight; done > 0 && !r.holds {
			pace := time.Since(d.Started) / time.Duration(done)
			d.ETA = time.Now().Add(pace * time.Duration(d.Inflight))
			if d.ETA.After(d.Deadline) {
				d.ETA = d.Deadline
			}
		}
		d.Streams = s.countStreams(r)
		v.Draining = &d
	default:
		if !r.waiting.IsZero() {
			v.WaitsUntil = r.waiting.Add(time.Duration(r.cut.GateTimeout))
		}
		if r.cut.Held == nil && r.cut.hold() > 0 {
			v.NextStep = r.stepAt.Add(r.cut.hold())
		}
	}
	return v
}

// countStreams adds up what the members of a drain wait for.
func (s *Switcher) countStreams(r *run) []StreamCount {
	if s.hooks.Streams == nil {
		return nil
	}
	var kinds [streamKinds]StreamCount
	for _, m := range r.members {
		for _, c := range s.hooks.Streams(m.name, r.drains()) {
			sum := &kinds[c.Kind]
			if sum.Count == 0 || c.Oldest.Before(sum.Oldest) {
				sum.Oldest = c.Oldest
			}
			switch { // the last of all, or unknown
			case c.ETA.IsZero() || sum.Count > 0 && sum.ETA.IsZero():
				sum.ETA = time.Time{}
			case c.ETA.After(sum.ETA):
				sum.ETA = c.ETA
			}
			sum.Count += c.Count
			sum.Ending += c.Ending
		}
	}
	var counts []StreamCount
	for k, c := range kinds {
		if c.Count > 0 {
			c.Kind = StreamKind(k)
			c.Deadline = later(r.drain.Started, c.Oldest).Add(r.cut.Deadline(c.Kind))
			counts = append(counts, c)
		}
	}
	return counts
}

// later is the later one of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Plan says what a cutover would do now, and which gates would refuse it or
// keep it waiting. It changes nothing.
func (s *Switcher) Plan(ctx context.Context, req CutoverRequest) (Plan, error) {
	if err := req.validate(); err != nil {
		return Plan{}, err
	}
	var plan Plan
	var calls []gateCall
	_, err := s.command(ctx, req.Request, func(members []*machine) (Receipt, error) {
		r := newRun(KindCutover, members, req.To, req.rampFor(members[0].config), req.Options, req.Request)
		plan = Plan{Services: r.cut.Services, From: r.cut.From, To: r.cut.To, Ramp: r.cut.Ramp, Options: r.cut.Options}
		for _, m := range members {
			plan.Inflight += m.inflight(r.cut.From)
			pinned, _ := m.svc.pinned(r.cut.From)
			plan.Pinned += pinned
			plan.Blocked = append(plan.Blocked, m.blocked(req.To)...)
			plan.Compare = append(plan.Compare, s.planComparison(m, r.cut.Ramp)...)
			in := r.input(m, time.Now())
			in.ID = ""
			calls = append(calls, gateCall{m.config.Gates, in})
		}
		return Receipt{}, nil
	})
	if err != nil {
		return Plan{}, err
	}
	plan.Gates = askAll(ctx, calls, gatePatience)
	for _, v := range plan.Gates {
		if v.Decision != Pass {
			plan.Blocked = append(plan.Blocked, v.String())
		}
	}
	return plan, nil
}

func (m *machine) blocked(to Color) (reasons []string) {
	if err := m.unlocked(); err != nil {
		reasons = append(reasons, err.Error())
	}
	if m.run != nil && m.run.phase != Draining && !m.run.completes(to) {
		reasons = append(reasons, m.name+": "+string(m.run.cut.Kind)+" "+m.run.cut.ID+" is "+m.run.phase.String())
	}
	if m.state.Active == to {
		reasons = append(reasons, m.name+": is on "+to.String()+" already")
	}
	return reasons
}
