package switcher

// AcquireBy is Acquire with a choice of the test's own, which may let things
// happen between the first look at the table and the count.
func (s *Service) AcquireBy(choose func(*Table) Color) (Lease, bool) { return s.acquire(choose) }

// Transitions are the legal changes of phase.
func Transitions() map[Phase][]Phase { return transitions }

// Phases lists all phases.
var Phases = []Phase{Steady, Preparing, Ramping, Draining}

// Backlog is how far a subscriber may fall behind.
const Backlog = backlog

// Force commits a phase to a service as no command would, and says what the
// check of transitions has to say.
func (s *Switcher) Force(service string, from, to Phase) error {
	m := &machine{name: service, svc: s.Service(service)}
	m.state = ServiceState{Active: Blue, Split: All(Blue), Phase: from}
	return s.commit([]*machine{m}, true, func(_ *machine, st *ServiceState) { st.Phase = to })
}

// PinsKept is how many sessions the service remembers, pinned or dropped.
func (s *Service) PinsKept() (n int) {
	p := s.pins.Load()
	for i := range p.shards {
		p.shards[i].mu.Lock()
		n += len(p.shards[i].entries)
		p.shards[i].mu.Unlock()
	}
	return n
}

// AcquireSessionMeanwhile is AcquireSession with what happens after the first
// look at the table, before the pin is written or afterwards.
func (s *Service) AcquireSessionMeanwhile(session Session, before, after func()) (Lease, bool) {
	p, v := s.pins.Load(), visit{}
	l, ok := s.acquire(func(t *Table) (c Color) {
		before()
		c, v = p.enter(session, t, 0, v)
		after()
		before, after = func() {}, func() {}
		return c
	})
	l.pins, l.session, l.Kept = p, session, v.kept
	return l, ok
}

// TidyPins looks through all pins, however lately that was done.
func (s *Service) TidyPins() {
	p := s.pins.Load()
	p.tidied.Store(0)
	p.tidy()
}
