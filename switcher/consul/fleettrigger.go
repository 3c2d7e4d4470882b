package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/greenroom-proxy/greenroom/switcher"
)

var (
	errNoLeader = errors.New("no leader stands behind the answer")
	errUnsaved  = errors.New("not saved yet")
	errGone     = errors.New("the key is gone: it was deleted, or Consul was wiped")
)

// obey deals with the key "desired". It reports whether the Switcher was asked to
// move.
func (s *seat) obey(ctx context.Context, view switcher.ServiceView) (acted bool) {
	d := s.seen.desired
	r, shared := s.rule()
	if !r.news {
		return false
	}
	if s.unsaved != nil && s.unsaved != errUnsaved {
		s.level = Outcome{Failed, "triggers are not carried out: " + s.unsaved.Error()}
		return false
	}
	if r.result == "" && !r.intent.To.Valid() {
		s.memory.Desired = d.handled()
		return false
	}
	o, id := Outcome{r.result, r.reason}, ""
	if r.result == "" {
		var err error
		o, id, err = s.carryOut(ctx, view, r.intent, d.index)
		if err != nil {
			return false // it is for the next process
		}
		s.rebase(shared, r.intent.To, o)
		if r.intent.To != view.Active {
			s.memory.Bond.Against, s.memory.Bond.Why = 0, "" // this is a later word
		}
		acted = true
	}
	s.memory.Desired = d.handled()
	s.memory.Move = ""
	if o.Result == Waiting {
		s.memory.Move = id
	}
	s.conclude(o, id)
	s.keep()
	return acted
}

// noteDeletion accounts for a value that was dealt with and is there no more. It
// moves nothing.
func (s *seat) noteDeletion() {
	gone := s.seen.desired.index == 0
	if gone == s.memory.Deleted || gone && (s.memory.Desired.Index == 0 || !s.seen.sound) {
		return
	}
	s.memory.Deleted = gone
	switch {
	case !gone && s.memory.Latest.Result == Deleted:
		s.memory.Latest = s.memory.Trigger
	case gone:
		s.memory.Latest = Outcome{Deleted, errGone.Error() + ": nothing moves by that"}
		s.fleet.notice(Notice{
			Service: s.service, Key: s.fleet.key(s.service, desiredLeaf), Index: s.memory.Desired.Index, Outcome: s.memory.Latest,
		})
	}
}

// rule judges the key. Where the state cannot be read, or cannot be seen, there is
// no word on where the fleet is.
func (s *seat) rule() (ruling, *SharedState) {
	shared, err := s.shared()
	p := s.past
	if err != nil {
		shared = nil
	}
	if shared == nil && p == joining && (err != nil || !s.seen.sound) {
		p = lost
	}
	b := s.memory.Bond
	return judgeDesired(s.memory.Desired, p, b.Alone || b.Diverged != 0, s.seen.desired, shared, s.state.index), shared
}

// triggered reports a trigger that goes where the shared state is, on an edge that
// has not moved by itself.
func (s *seat) triggered(v switcher.ServiceView) bool {
	r, shared := s.rule()
	return r.news && r.intent.To.Valid() && shared != nil && shared.Active == r.intent.To && v.Active == s.memory.Bond.Active
}

// carryOut gives the command. The error is that of an edge that ends.
func (s *seat) carryOut(ctx context.Context, view switcher.ServiceView, in Intent, index uint64) (Outcome, string, error) {
	if o, id, joined := joins(view, in); joined {
		return o, id, nil
	}
	receipt, err := s.mover.Cutover(ctx, in.request(s.service, triggeredBy(index)))
	if errors.Is(err, switcher.ErrConflict) {
		// A move to the same color may have begun since the view was taken.
		if view, err := s.mover.View(ctx, s.service); err == nil {
			if o, id, joined := joins(view, in); joined {
				return o, id, nil
			}
		}
	}
	if err != nil {
		if stopping(err) {
			return Outcome{}, "", err
		}
		return outcomeOf(err), "", nil
	}
	return outcomeOfReceipt(receipt, s.service, in.To), receipt.ID, nil
}

// triggeredBy is who asked for a move that a trigger started.
func triggeredBy(index uint64) string { return fmt.Sprintf("consul kv (index %d)", index) }

// joins reports that a move to the intent's color is under way already, and goes
// on by itself.
func joins(v switcher.ServiceView, in Intent) (Outcome, string, bool) {
	c := v.Cutover
	if c == nil || v.Phase == switcher.Draining || c.To != in.To || c.Held != nil || v.Lock != nil ||
		in.IfGeneration != nil && *in.IfGeneration != v.Generation {
		return Outcome{}, "", false
	}
	return progress(v), c.ID, true
}

// outcomeOf says what an error of the Switcher is in a status.
func outcomeOf(err error) Outcome {
	o := Outcome{Failed, err.Error()}
	switch {
	case errors.Is(err, switcher.ErrRefused), errors.Is(err, switcher.ErrInvalid):
		o.Result = Refused
	case errors.Is(err, switcher.ErrLocked):
		o.Result = Locked
	case errors.Is(err, switcher.ErrConflict):
		o.Result = Conflict
	}
	return o
}

func outcomeOfReceipt(r switcher.Receipt, service string, to switcher.Color) Outcome {
	for _, v := range r.Services {
		switch {
		case v.Name != service:
		case !r.Changed:
			return Outcome{Applied, "was on " + to.String() + " already"}
		case v.Active == to && v.Split == switcher.All(to):
			return Outcome{Applied, "all traffic is on " + to.String()}
		default:
			return progress(v)
		}
	}
	return Outcome{Waiting, "a move to " + to.String() + " is under way"}
}

// progress says what a move under way waits for.
func progress(v switcher.ServiceView) Outcome {
	c := v.Cutover
	switch {
	case c == nil:
		return Outcome{Waiting, "a move is under way"}
	case c.Held != nil:
		return Outcome{Waiting, fmt.Sprintf("held at %s: %s", v.Split, c.Held.Reason)}
	}
	var closed []string
	for _, g := range c.Gates {
		if g.Decision != switcher.Pass {
			closed = append(closed, g.String())
		}
	}
	switch {
	case len(closed) > 0:
		return Outcome{Waiting, "waits for " + strings.Join(closed, "; ")}
	case v.Phase == switcher.Preparing:
		return Outcome{Waiting, "asks the gates"}
	}
	return Outcome{Waiting, "ramping: " + v.Split.String()}
}

// rebase makes a trigger's move one that knows the shared state it goes against,
// so that it is published after it.
func (s *seat) rebase(st *SharedState, to switcher.Color, o Outcome) {
	accepted := o.Result == Applied || o.Result == Waiting
	if accepted && st != nil && st.Active != to && st.Epoch >= s.memory.Bond.Epoch {
		s.memory.Bond = bond{Epoch: st.Epoch, Active: st.Active}
	}
}

// conclude notes what came of the trigger.
func (s *seat) conclude(o Outcome, id string) {
	o.Reason = plain(o.Reason, maxText)
	s.memory.Trigger, s.memory.Latest = o, o
	s.fleet.notice(Notice{
		Service: s.service, Key: s.fleet.key(s.service, desiredLeaf), Index: s.memory.Desired.Index, Outcome: o, ID: id,
	})
}

// awaitTrigger follows the trigger's move until its end.
func (s *seat) awaitTrigger(ctx context.Context, v switcher.ServiceView) {
	if s.memory.Move == "" {
		return
	}
	o := s.standing(ctx, v, s.memory.Move)
	if o.Result == Waiting {
		o.Reason = plain(o.Reason, maxText)
		s.memory.Trigger, s.memory.Latest = o, o
		return
	}
	id := s.memory.Move
	s.memory.Move = ""
	s.conclude(o, id)
}

// standing says how a move stands, or how it has ended.
func (s *seat) standing(ctx context.Context, v switcher.ServiceView, id string) Outcome {
	if c := v.Cutover; c != nil && c.ID == id {
		switch {
		case v.Phase != switcher.Draining:
			return progress(v)
		case c.Ending != "":
			return ended(c.Ending, c.Detail)
		}
		return Outcome{Applied, "all traffic is on " + v.Active.String()}
	}
	moves, err := s.mover.History(ctx, s.service)
	if err != nil {
		return Outcome{Waiting, "the edge is about to end"}
	}
	for _, m := range moves {
		if m.ID == id {
			return ended(m.Result, m.Detail)
		}
	}
	return Outcome{Interrupted, "the move is not in the history"}
}

// ended translates the end of a move.
func ended(r switcher.Result, detail string) Outcome {
	switch r {
	case switcher.ResultDone, switcher.ResultSuperseded:
		return Outcome{Applied, "all traffic has moved"}
	case switcher.ResultRefused:
		return Outcome{Refused, detail}
	case switcher.ResultAborted:
		return Outcome{Aborted, detail}
	case switcher.ResultRolledBack:
		return Outcome{RolledBack, detail}
	}
	return Outcome{Interrupted, detail}
}
