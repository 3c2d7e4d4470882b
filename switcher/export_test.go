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
