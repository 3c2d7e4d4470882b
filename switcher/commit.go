package switcher

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// change is a service's state within a commit, before and after.
type change struct {
	m    *machine
	next ServiceState
}

// commit is the only way in which state changes: the states of some services
// are computed, stored, and then put on the board in one step.
//
// A commit that must go through (a rollback, the end of a drain) does so even
// if the Store fails: the Switcher then says so in status and tries again.
func (s *Switcher) commit(members []*machine, must bool, compute func(*machine, *ServiceState)) error {
	changes := make([]change, len(members))
	for i, m := range members {
		next := m.state
		next.History = slices.Clone(next.History)
		compute(m, &next)
		if next.Phase != m.state.Phase && !m.state.Phase.CanBecome(next.Phase) {
			return fmt.Errorf("service %q: from %s to %s is not a legal move; nothing was changed", m.name, m.state.Phase, next.Phase)
		}
		if next.Split != m.state.Split || next.Lock != m.state.Lock {
			next.Generation++
		}
		changes[i] = change{m, next}
	}
	if err := s.save(changes, must); err != nil && !must {
		return err
	}
	s.apply(changes)
	return nil
}

// save writes the state as it will be, changes included.
func (s *Switcher) save(changes []change, must bool) error {
	patience := savePatience
	if must {
		patience = rollbackPatience
	}
	err := s.saver.save(s.document(changes), patience)
	was := s.dirty.Swap(err != nil)
	s.retryAt = time.Now().Add(time.Second)
	switch {
	case err != nil && !was:
		s.log.Error("state not stored; it is tried again each second", "error", err, "goes_on", must)
	case err == nil && was:
		s.log.Info("state stored again")
	}
	return err
}

func (s *Switcher) document(changes []change) State {
	doc := State{Services: maps.Clone(s.dormant)}
	if doc.Services == nil {
		doc.Services = make(map[string]ServiceState)
	}
	for name, m := range s.machines {
		doc.Services[name] = m.state
	}
	for _, c := range changes {
		doc.Services[c.m.name] = c.next
	}
	return doc
}

// apply makes the changes visible: one new board, then the events.
func (s *Switcher) apply(changes []change) {
	tables := make(map[int]*Table, len(changes))
	before := make([]ServiceState, len(changes))
	for i, c := range changes {
		before[i] = c.m.state
		c.m.state = c.next
		if c.next.Generation != before[i].Generation {
			c.m.doubt = ""
		}
		tables[c.m.svc.slot] = c.m.table()
	}
	s.board.Store(s.board.Load().with(tables))
	s.tell(changes)
	for i, c := range changes {
		s.announce(before[i], c.m)
	}
}

// announce emits what changed between before and m's state.
func (s *Switcher) announce(before ServiceState, m *machine) {
	now := m.state
	if now.Split != before.Split {
		s.emit(m, Event{Type: EventSplit, Detail: "traffic: " + now.Split.String()})
	}
	if now.Phase != before.Phase {
		e := Event{Type: EventPhase, Detail: fmt.Sprintf("%s, was %s", now.Phase, before.Phase)}
		if c := before.Cutover; c != nil && now.Cutover == nil {
			e.ID, e.Kind = c.ID, c.Kind
		}
		s.emit(m, e)
	}
	switch {
	case now.Lock != nil && before.Lock == nil:
		s.emit(m, Event{Type: EventLock, By: now.Lock.By, Detail: "locked: " + now.Lock.Reason})
	case now.Lock == nil && before.Lock != nil:
		s.emit(m, Event{Type: EventLock, Detail: "unlocked"})
	}
}

// emit fills in what each event of a service says.
func (s *Switcher) emit(m *machine, e Event) {
	e.Service = m.name
	e.Generation = m.state.Generation
	e.Phase = m.state.Phase
	e.Active = m.state.Active
	e.Split = m.state.Split
	if c := m.state.Cutover; c != nil && e.ID == "" {
		e.ID, e.Kind = c.ID, c.Kind
	}
	s.hub.emit(e)
}

// resave tries again what the Store refused.
func (s *Switcher) resave(now time.Time) {
	if !s.dirty.Load() || now.Before(s.retryAt) {
		return
	}
	_ = s.save(nil, true) // status warns until it works
}
