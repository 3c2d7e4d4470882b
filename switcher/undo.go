package switcher

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Abort undoes the move under way: all traffic goes back to where it came
// from, at once.
func (s *Switcher) Abort(ctx context.Context, req Request) (Receipt, error) {
	return s.command(ctx, req, func(members []*machine) (Receipt, error) {
		r, err := moveOf(members)
		switch {
		case err != nil:
			return Receipt{}, err
		case r == nil:
			return Receipt{}, fmt.Errorf("%w: service %q: no move is under way; to go back after one, use rollback", ErrConflict, members[0].name)
		case r.cut.Ending != "":
			return s.receipt(r.members, r.cut.ID, false), nil
		case r.cut.Kind == KindDrain:
			r.cut.Undone = UndoneByCommand
			s.end(r, ResultAborted, join(req.By, req.Reason), nil)
			return s.receipt(r.members, r.cut.ID, true), nil
		case r.cut.Kind == KindRollback:
			return Receipt{}, fmt.Errorf("%w: service %q: a rollback is not aborted; cut over to %s again instead", ErrConflict, members[0].name, r.cut.From)
		}
		return s.back(r, ResultAborted, req, false)
	})
}

// Rollback goes back: to where the move under way came from, in any phase,
// else to the color before the last cutover. Services that were moved as one
// go back as one. It asks no gate and does not wait for the Store; it is
// refused only where the color to go back to has no healthy upstream while
// the other has, unless forced.
func (s *Switcher) Rollback(ctx context.Context, req RollbackRequest) (Receipt, error) {
	return s.command(ctx, req.Request, func(members []*machine) (Receipt, error) {
		if !slices.ContainsFunc(members, (*machine).moving) {
			return s.rollbackSteady(members, req)
		}
		r, err := moveOf(members)
		switch {
		case err != nil:
			return Receipt{}, err
		case r.cut.Ending != "" || r.cut.Kind == KindRollback:
			return s.receipt(r.members, r.cut.ID, false), nil
		}
		return s.back(r, ResultRolledBack, req.Request, req.Force)
	})
}

// moving reports a move of traffic under way, or one that just drains; an
// operator's drain is none.
func (m *machine) moving() bool { return m.run != nil && m.run.cut.Kind != KindDrain }

// join puts sentences together, of which some may be missing.
func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ": ")
}

// back undoes r.
func (s *Switcher) back(r *run, result Result, req Request, force bool) (Receipt, error) {
	if r.phase != Preparing && !force {
		if err := deadEnd(r.members, r.cut.From); err != nil {
			return Receipt{}, err
		}
	}
	detail := join(req.By, req.Reason)
	s.undo(r, result, UndoneByCommand, detail, fmt.Errorf("%w: %s %s was %s meanwhile by %s", ErrConflict, r.cut.Kind, r.cut.ID, result, detail))
	return s.receipt(r.members, r.cut.ID, true), nil
}

// rollbackSteady goes back after a finished cutover.
func (s *Switcher) rollbackSteady(members []*machine, req RollbackRequest) (Receipt, error) {
	members = s.withGroup(members)
	to := members[0].state.Previous
	for _, m := range members {
		if m.state.Previous == 0 {
			return Receipt{}, fmt.Errorf("%w: service %q has nothing to roll back to: it has served %s since the last rollback, or since it began",
				ErrConflict, m.name, m.state.Active)
		}
		if m.state.Previous != to {
			return Receipt{}, fmt.Errorf("%w: service %q would go back to %s, %q to %s: roll them back one by one",
				ErrConflict, members[0].name, to, m.name, m.state.Previous)
		}
	}
	if !req.Force {
		if err := deadEnd(members, to); err != nil {
			return Receipt{}, err
		}
	}
	s.supersede(runsOf(members))
	r := newRun(KindRollback, members, to, nil, Options{}, req.Request)
	r.cut.Drain, r.cut.Step, r.cut.Detail = to.Other(), 1, afterWindow(members, time.Now())
	_ = s.begin(r, Draining, func(st *ServiceState) {
		st.Split, st.Active, st.Previous, st.LastGroup, st.RollbackUntil = All(to), to, 0, nil, time.Time{}
	})
	return s.receipt(members, r.cut.ID, true), nil
}

// withGroup adds the services that were last moved together with the first
// of members, and could go back with it.
func (s *Switcher) withGroup(members []*machine) []*machine {
	first := members[0]
	for _, name := range first.state.LastGroup {
		m := s.machines[name]
		if m == nil || slices.Contains(members, m) || m.state.Previous != first.state.Previous || m.moving() {
			continue
		}
		if slices.Equal(m.state.LastGroup, first.state.LastGroup) {
			members = append(members, m)
		}
	}
	return members
}

// deadEnd refuses to send traffic from a color that can serve to one that
// cannot.
func deadEnd(members []*machine, to Color) error {
	for _, m := range members {
		there, here := m.pools.Of(to).Health(), m.pools.Of(to.Other()).Health()
		if there.Healthy > 0 || here.Healthy == 0 {
			continue
		}
		reason := there.Reason
		if there.Total == 0 {
			reason = "the pool is empty"
		}
		return &GateError{[]Verdict{{Gate: "healthy", Service: m.name, Decision: Refuse,
			Reason: fmt.Sprintf("%s has no healthy upstream, %s has %d: %s; roll back with force to go there all the same", to, to.Other(), here.Healthy, reason)}}}
	}
	return nil
}

// Hold stops the ramp where it is, even if the Store fails.
func (s *Switcher) Hold(ctx context.Context, req Request) (Receipt, error) {
	return s.command(ctx, req, func(members []*machine) (Receipt, error) {
		r, err := moveOf(members)
		if err != nil {
			return Receipt{}, err
		}
		if r == nil || r.phase == Draining {
			return Receipt{}, fmt.Errorf("%w: service %q: no ramp is under way", ErrConflict, members[0].name)
		}
		return s.setHeld(r, &Hold{Reason: req.Reason, By: req.By}, req.By)
	})
}

// Resume goes on with a ramp that is held.
func (s *Switcher) Resume(ctx context.Context, req Request) (Receipt, error) {
	return s.command(ctx, req, func(members []*machine) (Receipt, error) {
		r, err := moveOf(members)
		if err != nil {
			return Receipt{}, err
		}
		if r == nil || r.cut.Held == nil {
			return Receipt{}, fmt.Errorf("%w: service %q: nothing is held", ErrConflict, members[0].name)
		}
		if err := r.unlocked(); err != nil {
			return Receipt{}, err
		}
		return s.setHeld(r, nil, req.By)
	})
}

func (s *Switcher) setHeld(r *run, held *Hold, by string) (Receipt, error) {
	next := r.cut
	next.Held, next.Compared = held, r.conclusions()
	detail := "held"
	if held != nil {
		detail = join(detail, held.Reason)
	}
	if held == nil {
		detail = "resumed"
		next.Ramp = slices.Clone(next.Ramp)
		if next.Step > 0 && next.hold() == UntilResumed {
			next.Ramp[next.Step-1].Hold = 0
		}
	}
	err := s.commit(r.members, held != nil, func(_ *machine, st *ServiceState) { st.Cutover = &next })
	if err != nil {
		return Receipt{}, err
	}
	told := r.failing
	r.cut = next
	r.again()
	if held == nil {
		r.afresh()
	} else {
		r.failing = told // what is known already takes no operator's hold away
	}
	for _, m := range r.members {
		s.emit(m, Event{Type: EventHold, By: by, Detail: detail})
	}
	s.answer(r, nil)
	return s.receipt(r.members, r.cut.ID, true), nil
}

// Drain waits until the idle color has finished its work, and cuts what is
// left at the deadline. With PinsDrop, a drain that is under way no longer
// waits for pinned sessions.
func (s *Switcher) Drain(ctx context.Context, req DrainRequest) (Receipt, error) {
	if err := req.Options.Validate(); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s.command(ctx, req.Request, func(members []*machine) (Receipt, error) {
		if r, err := moveOf(members); err == nil && r != nil && r.phase == Draining && req.Pins == PinsDrop {
			return s.drop(r, req)
		}
		active := members[0].state.Active
		for _, m := range members {
			if err := m.unlocked(); err != nil {
				return Receipt{}, err
			}
			if m.run != nil {
				return Receipt{}, fmt.Errorf("%w: service %q: %s %s is %s", ErrConflict, m.name, m.run.cut.Kind, m.run.cut.ID, m.run.phase)
			}
			if m.state.Active != active {
				return Receipt{}, fmt.Errorf("%w: service %q is on %s, %q on %s: drain them one by one", ErrConflict, m.name, m.state.Active, members[0].name, active)
			}
		}
		r := newRun(KindDrain, members, active, nil, req.Options, req.Request)
		r.cut.Drain, r.cut.Step = active.Other(), 1
		if err := s.begin(r, Draining, func(*ServiceState) {}); err != nil {
			return Receipt{}, err
		}
		return s.receipt(members, r.cut.ID, true), nil
	})
}

// Lock refuses every move but abort and rollback until Unlock; a ramp under
// way stands still meanwhile.
func (s *Switcher) Lock(ctx context.Context, req Request) (Receipt, error) {
	if req.Reason == "" {
		return Receipt{}, fmt.Errorf("%w: a lock needs a reason, which everybody whom it stops will read", ErrInvalid)
	}
	return s.lock(ctx, req, KindLock, &Lock{Reason: req.Reason, By: req.By, At: time.Now()})
}

// Unlock lifts the lock.
func (s *Switcher) Unlock(ctx context.Context, req Request) (Receipt, error) {
	return s.lock(ctx, req, KindUnlock, nil)
}

func (s *Switcher) lock(ctx context.Context, req Request, kind Kind, l *Lock) (Receipt, error) {
	return s.command(ctx, req, func(members []*machine) (Receipt, error) {
		if l == nil && !slices.ContainsFunc(members, func(m *machine) bool { return m.state.Lock != nil }) {
			return s.receipt(members, "", false), nil
		}
		if l != nil {
			if err := (&run{members: members}).unlocked(); err != nil {
				return Receipt{}, err
			}
		}
		now := time.Now()
		id := newID()
		err := s.commit(members, false, func(_ *machine, st *ServiceState) {
			st.Lock = l
			st.remember(Move{
				ID: id, Kind: kind, Generation: st.Generation + 1, Split: st.Split, By: req.By, Reason: req.Reason,
				Started: now, Ended: now, Result: ResultDone,
			})
		})
		if err != nil {
			return Receipt{}, err
		}
		for _, r := range runsOf(members) {
			r.again()
			s.answer(r, nil)
		}
		return s.receipt(members, id, true), nil
	})
}
