package switcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// Restore loads the state that Configure resumes from. It must be called
// before the first Configure, with Run running. A state that is older than the
// newest one written is used, and the error wraps ErrStale. After any other
// error nothing is resumed. Either way status warns of it for each service
// until somebody has moved that one.
func (s *Switcher) Restore(ctx context.Context) error {
	state, err := s.load(ctx)
	doubt := ""
	switch {
	case errors.Is(err, ErrStale):
		doubt = "the newest state could not be read when the edge started, and an older one is in force: " + err.Error()
	case err != nil:
		doubt = "the state could not be read when the edge started, and the service began on the color of the config: " + err.Error()
	}
	closed := s.do(ctx, func() {
		s.doubt = doubt
		if state.Services != nil {
			s.dormant = maps.Clone(state.Services)
		}
	})
	return errors.Join(closed, err)
}

// load returns a state only if all of it can be used.
func (s *Switcher) load(ctx context.Context) (State, error) {
	state, err := s.saver.store.Load(ctx)
	switch {
	case errors.Is(err, ErrNoState):
		return State{}, nil
	case err != nil && !errors.Is(err, ErrStale):
		return State{}, err
	}
	for name, st := range state.Services {
		if invalid := st.Validate(); invalid != nil {
			return State{}, fmt.Errorf("stored state of service %q: %w", name, invalid)
		}
	}
	return state, err
}

// Configure makes configs the services there are. Services that stay keep
// all they are; a new one resumes from its stored state or starts on
// Config.Active; one that is gone takes no new work, and what runs on it ends
// by itself. A move under way goes on by the ramp and the timeouts it began
// with, and asks the new gates.
func (s *Switcher) Configure(ctx context.Context, configs map[string]Config) error {
	for name, c := range configs {
		if err := c.validate(); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return s.do(ctx, func() {
		for _, name := range slices.Sorted(maps.Keys(s.machines)) {
			if _, stays := configs[name]; !stays {
				s.remove(s.machines[name])
			}
		}
		tables := make(map[int]*Table)
		for _, name := range slices.Sorted(maps.Keys(configs)) {
			m := s.machines[name]
			if m == nil {
				m = s.add(name, configs[name])
				tables[m.svc.slot] = m.table()
			}
			m.config = configs[name]
			m.svc.setPins(m.config.Pins)
		}
		s.board.Store(s.board.Load().with(tables))
		for _, r := range s.runs {
			told := r.failing
			r.again() // of the new gates
			r.failing = told
		}
		s.doubt = ""
		if !s.understudy {
			s.resume(false)
		}
	})
}

// Knows reports whether a service is there, or its state is stored.
func (s *Switcher) Knows(ctx context.Context, service string) (known bool, err error) {
	err = s.do(ctx, func() {
		_, stored := s.dormant[service]
		known = stored || s.machines[service] != nil
	})
	return known, err
}

func (c Config) validate() error {
	if c.Active != 0 && !c.Active.Valid() {
		return fmt.Errorf("active color %d", c.Active)
	}
	errs := []error{c.Ramp.Validate(), c.Options.Validate(), c.Pins.validate()}
	if c.Compare != nil {
		errs = append(errs, c.Compare.Validate())
	}
	return errors.Join(errs...)
}

func (s *Switcher) add(name string, c Config) *machine {
	active := c.Active
	if active == 0 {
		active = Blue
	}
	m := &machine{name: name, svc: s.Service(name), config: c, doubt: s.doubt, elsewhere: s.hooks.Elsewhere}
	m.state = ServiceState{Generation: 1, Active: active, Split: All(active)}
	if stored, ok := s.dormant[name]; ok {
		m.state = stored
		delete(s.dormant, name)
	}
	for _, color := range Colors {
		*m.pools.At(color) = &Pool{turn: new(atomic.Uint64)}
	}
	s.machines[name] = m
	s.emit(m, Event{Type: EventServices, Detail: "service added"})
	return m
}

// remove takes a service off the board. Its state stays stored.
func (s *Switcher) remove(m *machine) {
	why := fmt.Sprintf("service %q was removed from the config", m.name)
	if r := m.run; r != nil && r.phase != Draining {
		s.undo(r, ResultAborted, UndoneByFailure, greenroom+": "+why, fmt.Errorf("%w: %s", ErrConflict, why))
	}
	if m.run != nil {
		s.leave(m, why)
	}
	delete(s.machines, m.name)
	m.svc.setPins(PinConfig{})
	s.dormant[m.name] = m.state
	s.board.Store(s.board.Load().with(map[int]*Table{m.svc.slot: nil}))
	s.emit(m, Event{Type: EventServices, Detail: "service removed"})
}

// leave ends a drain for one member of its group; the others drain on.
func (s *Switcher) leave(m *machine, why string) {
	r := m.run
	alone := *r
	alone.members, alone.replies = []*machine{m}, nil
	r.members = slices.DeleteFunc(slices.Clone(r.members), func(other *machine) bool { return other == m })
	if len(r.members) == 0 {
		s.runs = slices.DeleteFunc(s.runs, func(other *run) bool { return other == r })
	}
	m.run = &alone
	if alone.cut.Ending != "" {
		why = alone.cut.Detail
	}
	s.end(&alone, alone.resultOr(ResultInterrupted), why, nil)
}

// resume takes up the moves that were under way when the process ended, as had
// been planned or not.
func (s *Switcher) resume(planned bool) {
	found := make(map[string]*run)
	for _, name := range slices.Sorted(maps.Keys(s.machines)) {
		m := s.machines[name]
		if m.run != nil || m.state.Cutover == nil {
			continue
		}
		r := found[m.state.Cutover.ID]
		if r == nil {
			r = &run{}
			found[m.state.Cutover.ID] = r
			s.runs = append(s.runs, r)
		}
		r.members = append(r.members, m)
		m.run = r
		r.enter(*m.state.Cutover, m.state.Phase)
	}
	for _, r := range found {
		s.resumeRun(r, planned)
	}
}

func (s *Switcher) resumeRun(r *run, planned bool) {
	id, kind := r.cut.ID, r.cut.Kind
	s.log.Warn("a move was under way when the process ended",
		"id", id, "kind", kind, "to", r.cut.To, "phase", r.phase, "services", r.cut.Services)
	switch r.phase {
	case Preparing:
		s.end(r, ResultInterrupted, "the edge ended before any traffic moved", nil)
	case Ramping:
		s.resumeRamp(r, planned)
	}
}

// SetPools replaces both pools of a service and returns the endpoints that
// should now be probed. Endpoints whose address stays keep their health and
// counts; new ones are not healthy.
func (s *Switcher) SetPools(ctx context.Context, service string, pools Pools) ([]*Endpoint, error) {
	if err := ValidatePools(pools); err != nil {
		return nil, fmt.Errorf("service %q: %w", service, err)
	}
	var endpoints []*Endpoint
	var err error
	closed := s.do(ctx, func() {
		var m *machine
		if m, err = s.machine(service); err != nil {
			return
		}
		endpoints = m.setPools(pools)
		s.board.Store(s.board.Load().with(map[int]*Table{m.svc.slot: m.table()}))
		if m.source.Error != "" {
			s.emit(m, Event{Type: EventSource, Detail: "works again"})
		}
		m.source.Updated, m.source.Error, m.source.ErrorSince = time.Now(), "", time.Time{}
		s.emit(m, Event{Type: EventPools, Detail: fmt.Sprintf("%d blue, %d green upstreams", len(pools.Blue), len(pools.Green))})
	})
	return endpoints, errors.Join(closed, err)
}

func (m *machine) setPools(pools Pools) (all []*Endpoint) {
	for _, color := range Colors {
		before, after := *m.endpoints.At(color), make(map[string]*Endpoint)
		pool := &Pool{announced: true, turn: m.pools.Of(color).turn}
		for _, u := range pools.Of(color) {
			e := before[u.Address]
			if e == nil {
				e = &Endpoint{Service: m.name, Color: color, seed: fnv(fnvOffset, u.Address)}
			}
			e.upstream.Store(&u)
			after[u.Address] = e
			pool.endpoints = append(pool.endpoints, e)
		}
		*m.endpoints.At(color), *m.pools.At(color) = after, pool
		all = append(all, pool.endpoints...)
	}
	return all
}

// SetSource tells status where a service's pools come from. A source that is a
// Reporter is asked with each view.
func (s *Switcher) SetSource(ctx context.Context, service string, source Source) error {
	return s.do(ctx, func() {
		if m := s.machines[service]; m != nil {
			m.source.Name = source.String()
			m.reporter, _ = source.(Reporter)
		}
	})
}

// SourceFailed says that a service's pools could not be read anew: the last
// good ones stay.
func (s *Switcher) SourceFailed(ctx context.Context, service string, cause error) error {
	return s.do(ctx, func() {
		m := s.machines[service]
		if m == nil || m.source.Error == cause.Error() {
			return
		}
		if m.source.Error == "" {
			m.source.ErrorSince = time.Now()
		}
		m.source.Error = cause.Error()
		if m.source.Updated.IsZero() { // that there are no upstreams is a fact now
			for _, color := range Colors {
				*m.pools.At(color) = &Pool{announced: true, turn: m.pools.Of(color).turn}
			}
			s.board.Store(s.board.Load().with(map[int]*Table{m.svc.slot: m.table()}))
		}
		s.emit(m, Event{Type: EventSource, Detail: "the last good pools stay: " + cause.Error()})
	})
}
