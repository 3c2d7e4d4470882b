package switcher

import (
	"context"
	"fmt"
)

// Split gives req.Color a fixed weight and holds it there: Resume or Cutover
// complete the move, Abort undoes it. A weight of 0 for the color that gains
// undoes it too, 100 completes it. A higher weight than now asks the gates and
// returns as Cutover does; a lower one is taken at once.
func (s *Switcher) Split(ctx context.Context, req SplitRequest) (Receipt, error) {
	if !req.Color.Valid() || req.Weight > 100 {
		return Receipt{}, fmt.Errorf("%w: want a color and a weight of 0 to 100 percent", ErrInvalid)
	}
	if err := req.Options.Validate(); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s.starting(ctx, req.Request, func(members []*machine) (Receipt, *run, error) {
		m := members[0]
		if r := m.run; r != nil && r.phase != Draining {
			if _, err := moveOf(members); err != nil {
				return Receipt{}, nil, err
			}
			return s.resplit(r, req)
		}
		to := m.state.Active.Other()
		weight := Weighted(req.Color, req.Weight).Weight(to)
		if weight == 0 && settled(members, m.state.Active) {
			return s.receipt(members, m.run.id(), false), nil, nil
		}
		if weight == 0 { // only another member would move: start says which
			to = m.state.Active
		}
		ramp := Ramp{{weight, UntilResumed}}
		if weight == 0 || weight == 100 {
			ramp = nil
		}
		r, err := s.start(KindSplit, members, to, ramp, req.Options, req.Request)
		return Receipt{}, r, err
	})
}

// resplit changes the weights of a move under way.
func (s *Switcher) resplit(r *run, req SplitRequest) (Receipt, *run, error) {
	if err := r.unlocked(); err != nil {
		return Receipt{}, nil, err
	}
	now := r.members[0].state.Split.Weight(r.cut.To)
	weight := Weighted(req.Color, req.Weight).Weight(r.cut.To)
	next := r.cut
	next.Held, next.By, next.Reason, next.Options = nil, req.By, req.Reason, req.Options.or(r.cut.Options)
	next.Ramp, next.Step = Ramp{{Weight: now}}, 1
	if now == 0 {
		next.Ramp, next.Step = nil, 0
	}
	switch {
	case weight == 0:
		if req.Reason == "" {
			req.Reason = "split back to 0"
		}
		receipt, err := s.back(r, ResultAborted, req.Request, false)
		return receipt, nil, err
	case weight <= now:
		receipt, err := s.lower(r, next, weight)
		return receipt, nil, err
	case weight < 100:
		next.Ramp = append(next.Ramp, Step{weight, UntilResumed})
	}
	return Receipt{}, r, s.revise(r, next)
}

// lower takes traffic away from a ramp's target, for which no gate is asked.
func (s *Switcher) lower(r *run, next Cutover, weight uint8) (Receipt, error) {
	next.Ramp, next.Held = Ramp{{weight, UntilResumed}}, &Hold{Reason: "split by hand", By: next.By}
	err := s.commit(r.members, false, func(_ *machine, st *ServiceState) {
		st.Split, st.Cutover = Weighted(next.To, weight), &next
	})
	if err != nil {
		return Receipt{}, err
	}
	r.enter(next, Ramping)
	s.answer(r, nil)
	return s.receipt(r.members, r.cut.ID, true), nil
}
