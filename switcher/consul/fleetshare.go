package consul

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// pursuit is the attempt to follow one epoch.
type pursuit struct {
	epoch uint64
	id    string    // of the move that was started
	tries int       // that came to nothing
	next  time.Time // when to try again
	last  Outcome
}

// shared returns the state that the key holds; nil if it holds none.
func (s *seat) shared() (*SharedState, error) {
	if s.state.index == 0 {
		return nil, nil
	}
	return parsePair(s.state)
}

// noteAlone remembers that the edge moved while it did not reach Consul.
func (s *seat) noteAlone(at stand) {
	b := &s.memory.Bond
	switch {
	case !b.moved(at):
		b.Alone = false
	case s.seen.cutOff != nil && b.Diverged == 0:
		b.Alone = true
		s.level = Outcome{Unpublished, fmt.Sprintf("this edge moved to %s after epoch %d, and Consul is not reached: %s", at.active, b.Epoch, s.seen.cutOff)}
	}
}

// share deals with the key "state". It reports whether to look again at once.
func (s *seat) share(ctx context.Context, view switcher.ServiceView) (again bool) {
	at := standOf(view)
	st, err := s.shared()
	if err != nil {
		return s.overwrite(ctx, view, err)
	}
	if st == nil && !s.seen.sound {
		return s.unseen(at)
	}
	s.noteLoss(st)
	c := judgeState(s.memory.Bond, at, st)
	if c.deed != follow && c.deed != retreat {
		s.level = Outcome{}
	}
	switch c.deed {
	case wait:
		if at.to != 0 && c.why != "" {
			s.level = Outcome{Waiting, c.why + ": " + progress(view).Reason}
		}
	case stay:
		s.level = Outcome{Diverged, c.why}
	case adopt:
		s.adopt(st)
	case publish:
		return s.publish(ctx, view, c)
	case follow, retreat:
		return s.pursue(ctx, view, c, st)
	case diverge:
		s.chase = pursuit{}
		s.memory.Bond.Alone, s.memory.Bond.Diverged = false, c.epoch
		s.level = Outcome{Diverged, c.why}
		s.noticeState(s.level, "")
	}
	return false
}

// unseen is for a state that may be there, and cannot be read.
func (s *seat) unseen(at stand) (again bool) {
	s.level = Outcome{}
	if s.memory.Bond.moved(at) {
		s.memory.Bond.Alone = true
		s.level = Outcome{Unpublished, fmt.Sprintf("this edge is on %s, and may not read where the fleet is", at.active)}
	}
	return false
}

// noteLoss accounts for a state that is gone, or is older than what this edge has
// agreed to. Neither moves anything.
func (s *seat) noteLoss(st *SharedState) {
	agreed := s.memory.Bond.Epoch
	switch {
	case st == nil && agreed > 0 && !s.absent:
		s.noticeState(Outcome{Deleted, fmt.Sprintf("%s: nothing moves by that, and epoch %d holds", errGone, agreed)}, "")
	case st != nil && st.Epoch < agreed && s.bad != s.state.index:
		s.bad = s.state.index
		s.noticeState(Outcome{Stale, fmt.Sprintf("its epoch %d is not above %d, which this edge has agreed to", st.Epoch, agreed)}, "")
	}
	s.absent = st == nil && agreed > 0
}

func (s *seat) noticeState(o Outcome, id string) {
	s.fleet.notice(Notice{Service: s.service, Key: s.fleet.key(s.service, stateLeaf), Index: s.state.index, Outcome: o, ID: id})
}

// adopt agrees with the state.
func (s *seat) adopt(st *SharedState) {
	s.memory.Bond = bond{Epoch: st.Epoch, Active: st.Active}
	s.memory.Latest = Outcome{Applied, plain("agrees with the fleet: "+st.String(), maxText)}
	s.chase = pursuit{}
	s.noticeState(s.memory.Latest, "")
}

// overwrite is for a state that cannot be read: it moves nothing, and gives way to
// this edge's next move, unless a later Greenroom has written it.
func (s *seat) overwrite(ctx context.Context, view switcher.ServiceView, cause error) (again bool) {
	s.level = Outcome{Malformed, "the shared state " + cause.Error()}
	if s.bad != s.state.index {
		s.bad = s.state.index
		s.noticeState(s.level, "")
	}
	if b := s.memory.Bond; !errors.Is(cause, errNewer) && b.moved(standOf(view)) {
		return s.publish(ctx, view, course{deed: publish, epoch: b.Epoch + 1, to: view.Active})
	}
	return false
}

// publish writes the state, if nobody else has meanwhile.
func (s *seat) publish(ctx context.Context, view switcher.ServiceView, c course) (again bool) {
	if s.untold.waits() {
		s.level = s.untold.last
		return false
	}
	next := s.newState(ctx, view, c)
	index, err := s.fleet.client.swapKey(ctx, s.fleet.key(s.service, stateLeaf), next.encode(), s.state.index, s.patience())
	if errors.Is(err, errLost) {
		s.wrote(&s.untold, nil)
		before := s.state.index
		s.reread(ctx)
		return s.state.index != before
	}
	s.wrote(&s.untold, err)
	if err != nil {
		if s.memory.Bond.Active.Valid() && s.memory.Bond.Active != c.to {
			s.memory.Bond.Alone = true
		}
		s.level = Outcome{Unpublished, fmt.Sprintf("this edge is on %s, and Consul cannot be told: %s", c.to, err)}
		s.untold.last = s.level
		return false
	}
	s.state = pairOf(&api.KVPair{ModifyIndex: index, Value: next.encode()})
	s.memory.Bond = bond{Epoch: next.Epoch, Active: next.Active}
	s.memory.Latest = Outcome{Applied, plain("published: "+next.String(), maxText)}
	s.level, s.chase = Outcome{}, pursuit{}
	s.noticeState(s.memory.Latest, "")
	return true
}

// newState describes this edge's move to the others.
func (s *seat) newState(ctx context.Context, v switcher.ServiceView, c course) *SharedState {
	next := &SharedState{
		Format: sharedFormat, Epoch: c.epoch, Active: c.to, Previous: v.Previous, Kind: SharedInitial,
		By: "greenroom", Edge: s.fleet.config.Edge, Reason: c.why, At: time.Now().UTC().Truncate(time.Millisecond),
	}
	if b := s.memory.Bond; !b.Active.Valid() || b.Active == c.to {
		return next
	}
	next.Kind = SharedCutover
	m := s.lastMove(ctx, v)
	if m.Kind == switcher.KindRollback || m.Result == switcher.ResultRolledBack || m.Result == switcher.ResultAborted {
		next.Kind = SharedRollback
	}
	if m.Kind == switcher.KindCutover && next.Kind == SharedCutover && m.By == triggeredBy(s.memory.Desired.Index) {
		next.Trigger = s.memory.Desired.Index
	}
	next.By, next.Reason = plain(m.By, maxBy), plain(m.Reason, maxReason)
	if next.Kind == SharedRollback && m.Kind != switcher.KindRollback {
		next.Reason = plain(m.Detail, maxReason)
	}
	return next
}

// lastMove is what brought the traffic where it is.
func (s *seat) lastMove(ctx context.Context, v switcher.ServiceView) switcher.Move {
	if c := v.Cutover; c != nil && c.Kind != switcher.KindDrain {
		return switcher.Move{
			ID: c.ID, Kind: c.Kind, To: c.To, By: c.By, Reason: c.Reason, Result: c.Ending, Undone: c.Undone, Detail: c.Detail,
		}
	}
	moves, err := s.mover.History(ctx, s.service)
	if err != nil {
		return switcher.Move{}
	}
	for _, m := range moves {
		switch m.Kind {
		case switcher.KindCutover, switcher.KindSplit, switcher.KindRollback:
			if m.Result != switcher.ResultRefused && m.Result != switcher.ResultInterrupted {
				return m
			}
		}
	}
	return switcher.Move{}
}

// pursue goes where the fleet is, or says why it cannot, and when it tries again.
func (s *seat) pursue(ctx context.Context, view switcher.ServiceView, c course, st *SharedState) (acted bool) {
	if s.chase.epoch != c.epoch {
		s.chase = pursuit{epoch: c.epoch}
	}
	if view.Lock != nil {
		s.level = Outcome{Locked, fmt.Sprintf("the fleet is at %s; this edge is locked by %s: %s", st, view.Lock.By, view.Lock.Reason)}
		return false
	}
	if s.chase.id != "" {
		o := s.standing(ctx, view, s.chase.id)
		s.chase.id = ""
		s.noticeState(o, "")
		s.rebuffed(o, st)
		return false
	}
	if time.Now().Before(s.chase.next) {
		s.level = s.chase.last
		return false
	}
	o, id, err := s.goThere(ctx, c, st)
	if err != nil {
		return false // the edge ends
	}
	s.noticeState(o, id)
	if o.Result != Applied && o.Result != Waiting {
		s.rebuffed(o, st)
		return false
	}
	s.chase.id = id
	return true
}

func (s *seat) goThere(ctx context.Context, c course, st *SharedState) (Outcome, string, error) {
	asked := switcher.Request{
		Services: []string{s.service}, By: fmt.Sprintf("consul state (epoch %d, %s)", st.Epoch, st.Edge), Reason: st.Reason,
	}
	var receipt switcher.Receipt
	var err error
	if c.deed == retreat {
		receipt, err = s.mover.Rollback(ctx, switcher.RollbackRequest{Request: asked})
	} else {
		receipt, err = s.mover.Cutover(ctx, s.likeTrigger(st, switcher.CutoverRequest{Request: asked, To: c.to}))
	}
	switch {
	case err != nil && stopping(err):
		return Outcome{}, "", err
	case err != nil:
		return outcomeOf(err), "", nil
	}
	return outcomeOfReceipt(receipt, s.service, c.to), receipt.ID, nil
}

// likeTrigger gives a move to a state that a trigger made the ramp and options of
// that trigger, if the key still holds it: an edge that could not move when the
// others did is to be judged as they were.
func (s *seat) likeTrigger(st *SharedState, req switcher.CutoverRequest) switcher.CutoverRequest {
	if st.Trigger == 0 || st.Trigger != s.seen.desired.index {
		return req
	}
	if in, err := ParseIntent(s.seen.desired.value); err == nil && in.To == req.To {
		req.Ramp, req.Options = in.Ramp, in.Options
	}
	return req
}

// rebuffed waits before the next try.
func (s *seat) rebuffed(o Outcome, st *SharedState) {
	first := time.Duration(s.fleet.config.Retry)
	pause := min(first<<min(s.chase.tries, 3), 6*first)
	s.chase.tries++
	s.chase.next = time.Now().Add(pause)
	o.Reason = plain(fmt.Sprintf("the fleet is at %s; tried again in %s: %s", st, pause, o.Reason), maxText)
	s.chase.last, s.level = o, o
}
