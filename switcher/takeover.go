package switcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Understudy makes the Switcher serve by the state that Restore reads, and move
// nothing, while another process still owns that state. It must be called before
// Restore, with Run running. TakeOver ends it.
func (s *Switcher) Understudy(ctx context.Context) error {
	return s.do(ctx, func() { s.understudy = true })
}

// TakeOver makes this process the owner of the state: it is read anew, and moves
// that were under way in the other process go on here. That one hears how all is
// served: it may still hold a color for sessions, of which nothing is known here.
func (s *Switcher) TakeOver(ctx context.Context) error {
	state, err := s.load(ctx)
	if err != nil {
		return err
	}
	return s.do(ctx, func() {
		s.understudy = false
		s.dormant = maps.Clone(state.Services)
		if s.dormant == nil {
			s.dormant = make(map[string]ServiceState)
		}
		tables := make(map[int]*Table)
		all := make([]change, 0, len(s.machines))
		for name, m := range s.machines {
			if stored, ok := s.dormant[name]; ok {
				m.state, m.doubt = stored, ""
				delete(s.dormant, name)
			}
			tables[m.svc.slot] = m.table()
			all = append(all, change{m: m})
		}
		s.board.Store(s.board.Load().with(tables))
		s.resume(true)
		s.tell(all)
	})
}

// HandOver gives the state to another process: give runs while no move can begin
// or go on, and what is served is in the Store. If it returns nil the Switcher has
// no say any more: Run returns, and the tables in force stay, but for what Follow
// changes. Else all goes on as if nothing had been.
func (s *Switcher) HandOver(ctx context.Context, give func() error) error {
	var err error
	closed := s.do(ctx, func() {
		if !s.saver.free(savePatience) {
			err = errors.New("the state store has not finished an earlier write")
			return
		}
		// The other one goes by what it reads: a rollback that went through while
		// the Store failed, and services that have never moved.
		if err = s.save(nil, false); err != nil {
			return
		}
		if err = give(); err == nil {
			s.ceded = true
		}
	})
	if err := errors.Join(closed, err); err != nil {
		return err
	}
	<-s.stopped // from here on Follow works
	return nil
}

// Followed is what the process that owns the state has moved.
type Followed struct {
	Service    string `json:"service"`
	Generation uint64 `json:"generation"`
	Active     Color  `json:"active"`
	Split      Split  `json:"split"`
	Phase      Phase  `json:"phase"`
}

// Follow moves the traffic that still comes here to where the owner of the state
// has moved its own. It works only after HandOver, and knows no pools but those
// of then. When it returns, no request that starts later goes by what was before.
func (s *Switcher) Follow(moved []Followed) error {
	select {
	case <-s.stopped:
	default:
		return errors.New("this process owns its state and follows nobody")
	}
	for _, f := range moved {
		if err := f.Split.Validate(); err != nil || !f.Active.Valid() {
			return errors.Join(err, fmt.Errorf("service %q: active %s, %s", f.Service, f.Active, f.Split))
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.following.Lock()
	defer s.following.Unlock()
	tables := make(map[int]*Table)
	for _, f := range moved {
		svc := s.services[f.Service]
		if svc == nil || svc.Table() == nil {
			continue // it is new there
		}
		next := *svc.Table()
		next.Held = 0 // pins are the owner's
		next.Generation, next.Active, next.Split, next.phase = f.Generation, f.Active, f.Split, f.Phase
		tables[svc.slot] = &next
	}
	s.board.Store(s.board.Load().with(tables))
	return nil
}

// tell makes the hook for other processes hear of what has just been put on the
// board.
func (s *Switcher) tell(changes []change) {
	if s.hooks.Moved == nil {
		return
	}
	moved := make([]Followed, len(changes))
	for i, c := range changes {
		st := c.m.state
		moved[i] = Followed{c.m.name, st.Generation, st.Active, st.Split, st.Phase}
	}
	s.hooks.Moved(moved)
}

// inflight is what a color of the service has under way, here and elsewhere.
func (m *machine) inflight(c Color) int64 {
	n := m.svc.Inflight(c)
	if m.elsewhere != nil {
		n += m.elsewhere(m.name, c)
	}
	return n
}

// resumeRamp lets a ramp go on that was under way when the process ended. After
// a restart nobody knows how long the step has held: somebody is to look first.
func (s *Switcher) resumeRamp(r *run, planned bool) {
	r.restored = true
	next := r.cut
	if next.Held == nil && !planned {
		next.Held = &Hold{Reason: "the edge restarted during the ramp: resume or abort", By: greenroom}
	}
	_ = s.commit(r.members, true, func(_ *machine, st *ServiceState) { st.Cutover = &next })
	r.cut = next
}
