package cmcd

import "time"

// Viewers is what the sessions of one scope add up to, so that two colors can be
// compared: each starts to count with its second report, and starves once.
type Viewers struct {
	Joined   uint64 // sessions that ever counted
	Starved  uint64 // of those, that starved
	Watching int    // sessions that count now: they are alive, and have not starved
}

// Viewers returns what is known at now of the scope. A session may count for a
// quarter of the window longer than it is alive.
func (m *Meter) Viewers(scope Scope, now time.Time) (sum Viewers) {
	id, ok := m.scopes.Load().ids[scope]
	if !ok {
		return Viewers{}
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		if now.UnixNano()-s.swept >= int64(m.options.Window)/4 {
			m.sweep(s, now.UnixNano())
		}
		if id < len(s.tallies) && s.tallies[id] != nil {
			v := s.tallies[id].viewers
			sum.Joined += v.Joined
			sum.Starved += v.Starved
			sum.Watching += v.Watching
		}
		s.mu.Unlock()
	}
	return sum
}

// reported counts one more report of a session in the scope.
func (v *Viewers) reported(was standing, starving bool) standing {
	if was == arrived {
		v.Joined++
		v.Watching++
		was = watching
	}
	if was == watching && starving {
		v.Starved++
		v.Watching--
		was = suffered
	}
	return was
}

// leave takes a session out of its scope. The caller holds s.mu.
func (s *shard) leave(was session) {
	if was.stands == watching {
		s.tallies[was.scope].viewers.Watching--
	}
}
