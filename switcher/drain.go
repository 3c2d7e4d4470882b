package switcher

import (
	"fmt"
	"slices"
	"time"
)

// evictEvery is how often what is left after a deadline is ended.
const evictEvery = time.Second

func (s *Switcher) advanceDrain(r *run, now time.Time) {
	if r.holds {
		s.holdOn(r, now)
	}
	r.drain.Inflight = r.inflight()
	if r.drain.Inflight == 0 && !r.holds {
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

// holdOn lets the color that drains serve the sessions pinned to it, until
// none is left or their deadline has passed.
func (s *Switcher) holdOn(r *run, now time.Time) {
	n, _ := r.pinned()
	switch {
	case n == 0:
		s.letGo(r, "no session is pinned to "+r.cut.Drain.String()+" any more")
	case !now.Before(r.pinsEnd):
		s.letGo(r, fmt.Sprintf("%d sessions pinned to %s move, as their deadline of %s has passed", n, r.cut.Drain, r.cut.PinDeadline))
	}
}

// drop ends the wait for pinned sessions by an operator's command.
func (s *Switcher) drop(r *run, req DrainRequest) (Receipt, error) {
	if err := r.unlocked(); err != nil {
		return Receipt{}, err
	}
	held := r.holds
	if held {
		n, _ := r.pinned()
		s.letGo(r, join(fmt.Sprintf("%d sessions pinned to %s move, as told by %s", n, r.cut.Drain, req.By), req.Reason))
	}
	return s.receipt(r.members, r.cut.ID, held), nil
}

// letGo takes the last traffic from the color that drains: no session reaches
// it any more. Nothing of it is stored, as no pin outlives the process.
func (s *Switcher) letGo(r *run, why string) {
	_, last := r.cut.deadlines()
	r.holds, r.drain.Deadline = false, time.Now().Add(last)
	s.showTables(r.members)
	r.dropPins()
	for _, m := range r.members {
		s.emit(m, Event{Type: EventPins, Color: r.cut.Drain, Detail: why})
	}
}

// showTables puts the members' tables as they are now on the board, in one
// step.
func (s *Switcher) showTables(members []*machine) {
	tables := make(map[int]*Table, len(members))
	for _, m := range members {
		tables[m.svc.slot] = m.table()
	}
	s.board.Store(s.board.Load().with(tables))
}

func (m *machine) viewPins() *PinsView {
	p := m.svc.pins.Load()
	if p == nil {
		return nil
	}
	return &PinsView{Max: m.config.Pins.Max, Idle: Duration(m.config.Pins.Idle), Refused: p.refused.Load(), Moved: p.moved.Load()}
}

// held is the color that still serves its pinned sessions, if there is one.
func (m *machine) held() Color {
	if r := m.run; r != nil && r.holds && m.state.Phase == Draining {
		return m.state.Cutover.Drain
	}
	return 0
}

// pins reports whether any member pins sessions.
func (r *run) pins() bool {
	return slices.ContainsFunc(r.members, func(m *machine) bool { return m.svc.pins.Load() != nil })
}

// pinned counts the sessions that the drain waits for, of all members.
func (r *run) pinned() (n int64, oldest time.Time) {
	for _, m := range r.members {
		count, began := m.svc.pinned(r.cut.Drain)
		n += count
		if !began.IsZero() && (oldest.IsZero() || began.Before(oldest)) {
			oldest = began
		}
	}
	return n, oldest
}

// dropPins forgets the pins to the color that drains, which the table in force
// no longer serves.
func (r *run) dropPins() {
	for _, m := range r.members {
		m.svc.dropPins(r.cut.Drain)
	}
}
