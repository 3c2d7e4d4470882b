package switcher

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"
)

// command runs f on the Switcher's goroutine with the machines that req names,
// after the checks that all commands share.
func (s *Switcher) command(ctx context.Context, req Request, f func([]*machine) (Receipt, error)) (Receipt, error) {
	if err := req.validate(); err != nil {
		return Receipt{}, err
	}
	var receipt Receipt
	var err error
	closed := s.do(ctx, func() {
		var members []*machine
		if members, err = s.members(req.Services); err != nil {
			return
		}
		if err = req.generationFits(members[0]); err != nil {
			return
		}
		receipt, err = f(members)
	})
	if closed != nil {
		return Receipt{}, closed
	}
	return receipt, err
}

func (r Request) generationFits(m *machine) error {
	if r.IfGeneration != nil && *r.IfGeneration != m.state.Generation {
		return fmt.Errorf("%w: service %q is at generation %d, not %d: look again before you move it",
			ErrConflict, m.name, m.state.Generation, *r.IfGeneration)
	}
	return nil
}

// starting runs a command that may start a move. If f returns one, the command
// waits for the first verdict of its gates: the flip itself where they are
// open. Whatever stops the move before that must answer it: see run.replies.
func (s *Switcher) starting(ctx context.Context, req Request, f func([]*machine) (Receipt, *run, error)) (Receipt, error) {
	var reply chan outcome
	receipt, err := s.command(ctx, req, func(members []*machine) (Receipt, error) {
		receipt, r, err := f(members)
		if err == nil && r != nil {
			reply = make(chan outcome, 1)
			r.replies = append(r.replies, reply)
		}
		return receipt, err
	})
	if err != nil || reply == nil {
		return receipt, err
	}
	select {
	case o := <-reply:
		return o.receipt, o.err
	case <-s.stopped:
		return Receipt{}, ErrClosed
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

func (r *run) id() string {
	if r == nil {
		return ""
	}
	return r.cut.ID
}

// Cutover moves all traffic of the services to req.To: it asks the gates,
// takes the steps of the ramp, flips, and drains. It returns when the first
// step has been taken (a flip, without a ramp), when the gates refuse (an
// error that wraps ErrRefused), or when they are waited for; the receipt's
// phase tells, and events tell the rest.
func (s *Switcher) Cutover(ctx context.Context, req CutoverRequest) (Receipt, error) {
	if err := req.validate(); err != nil {
		return Receipt{}, err
	}
	return s.starting(ctx, req.Request, func(members []*machine) (Receipt, *run, error) {
		if settled(members, req.To) {
			return s.receipt(members, members[0].run.id(), false), nil, nil
		}
		if r, err := moveOf(members); err == nil && r.completes(req.To) {
			return Receipt{}, r, s.complete(r, req)
		}
		r, err := s.start(KindCutover, members, req.To, req.rampFor(members[0].config), req.Options, req.Request)
		return Receipt{}, r, err
	})
}

func (req CutoverRequest) validate() error {
	if !req.To.Valid() {
		return fmt.Errorf("%w: \"to\" must be blue or green", ErrInvalid)
	}
	if req.Ramp != nil {
		if err := req.Ramp.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if err := req.Options.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func (req CutoverRequest) rampFor(c Config) Ramp {
	if req.Ramp != nil {
		return *req.Ramp
	}
	return c.Ramp
}

// settled reports that c serves all of members alone, though the other color
// may still drain.
func settled(members []*machine, c Color) bool {
	return !slices.ContainsFunc(members, func(m *machine) bool {
		return m.state.Active != c || m.run != nil && m.run.phase != Draining
	})
}

// moveOf returns the move that all of members are part of, and others may be;
// nil where none of them moves.
func moveOf(members []*machine) (*run, error) {
	first := members[0]
	for _, m := range members {
		if m.run != first.run {
			return nil, fmt.Errorf("%w: services %q and %q are not in the same move: name them one by one", ErrConflict, first.name, m.name)
		}
	}
	return first.run, nil
}

// completes reports that r is a held ramp or split to c.
func (r *run) completes(c Color) bool {
	return r != nil && r.phase == Ramping && r.cut.To == c && r.cut.Held != nil
}

// complete turns a held ramp or split into a cutover that goes on to the end.
func (s *Switcher) complete(r *run, req CutoverRequest) error {
	if err := r.unlocked(); err != nil {
		return err
	}
	now := r.members[0].state.Split.Weight(r.cut.To)
	ramp := Ramp{{Weight: now}}
	for _, step := range req.rampFor(r.members[0].config) {
		if step.Weight > now {
			ramp = append(ramp, step)
		}
	}
	next := r.cut
	next.Kind, next.Ramp, next.Step, next.Held = KindCutover, ramp, 1, nil
	next.By, next.Reason, next.Options = req.By, req.Reason, req.Options.or(r.cut.Options)
	return s.revise(r, next)
}

// revise replaces the plan of a running move without moving traffic.
func (s *Switcher) revise(r *run, next Cutover) error {
	err := s.commit(r.members, false, func(_ *machine, st *ServiceState) { st.Cutover = &next })
	if err == nil {
		r.cut = next
		r.stepAt = time.Now()
		r.again()
		r.afresh()
	}
	return err
}

func (r *run) unlocked() error {
	for _, m := range r.members {
		if err := m.unlocked(); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) unlocked() error {
	if l := m.state.Lock; l != nil {
		return fmt.Errorf("service %q is %w by %s since %s: %s", m.name, ErrLocked, l.By, l.At.Format(time.RFC3339), l.Reason)
	}
	return nil
}

// start begins a move of members to color to. A drain under way on any of
// them is superseded; anything else under way is a conflict.
func (s *Switcher) start(kind Kind, members []*machine, to Color, ramp Ramp, o Options, req Request) (*run, error) {
	if err := (&run{members: members}).unlocked(); err != nil {
		return nil, err
	}
	for _, m := range members {
		if r := m.run; r != nil && r.phase != Draining {
			return nil, fmt.Errorf("%w: service %q: %s %s to %s is %s already: resume, abort or roll it back first",
				ErrConflict, m.name, r.cut.Kind, r.cut.ID, r.cut.To, r.phase)
		}
		if m.state.Active == to {
			return nil, fmt.Errorf("%w: service %q is on %s already, others of the group are not: name only those that move",
				ErrConflict, m.name, to)
		}
	}
	drains := runsOf(members)
	r := newRun(kind, members, to, ramp, o, req)
	if err := s.begin(r, Preparing, func(*ServiceState) {}); err != nil {
		return nil, err
	}
	s.supersede(drains)
	return r, nil
}

// newID names a move: 50 random bits, easy to read aloud.
func newID() string { return strings.ToLower(rand.Text()[:10]) }

func newRun(kind Kind, members []*machine, to Color, ramp Ramp, o Options, req Request) *run {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.name
	}
	slices.Sort(names)
	return &run{members: members, cut: Cutover{
		ID: newID(), Kind: kind, Services: names, From: to.Other(), To: to, Ramp: slices.Clone(ramp),
		Options: o.or(together(members)).OrDefaults(), By: req.By, Reason: req.Reason, Started: time.Now(),
	}}
}

// begin stores the first state of a move and makes it the members' own.
func (s *Switcher) begin(r *run, phase Phase, compute func(*ServiceState)) error {
	cut := r.cut
	must := cut.Kind == KindRollback
	err := s.commit(r.members, must, func(_ *machine, st *ServiceState) {
		st.Phase, st.Cutover = phase, &cut
		compute(st)
	})
	if err != nil {
		return err
	}
	for _, m := range r.members {
		m.run = r
	}
	s.runs = append(s.runs, r)
	r.enter(cut, phase)
	return nil
}

// runsOf returns the moves that members are part of, each once.
func runsOf(members []*machine) (runs []*run) {
	for _, m := range members {
		if m.run != nil && !slices.Contains(runs, m.run) {
			runs = append(runs, m.run)
		}
	}
	return runs
}

// supersede ends drains before they have come to their end.
func (s *Switcher) supersede(drains []*run) {
	for _, r := range drains {
		left := fmt.Sprintf("%d still in-flight on %s", r.inflight(), r.cut.Drain)
		s.end(r, r.resultOr(ResultSuperseded), join(r.cut.Detail, left), nil)
	}
}
