package switcher

import (
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// FailurePolicy says what becomes of a move that is on its way when its target
// is found wanting: a gate refuses or stays closed, the target has no healthy
// upstream left, or it does worse than the other color beside it. Before the first
// step nothing has moved, and the move is refused whatever the policy. What an
// operator does (rollback, abort, hold, resume) is never subject to it.
type FailurePolicy string

// The failure policies. The zero value rolls back.
const (
	// OnFailureRollback brings all traffic back at once.
	OnFailureRollback FailurePolicy = "rollback"
	// OnFailureFreeze holds the ramp at its weight, and says why, until an
	// operator resumes it, completes it or goes back.
	OnFailureFreeze FailurePolicy = "freeze"
	// OnFailureForwardOnly never goes back by itself: the ramp stays at its
	// weight and goes on by itself as soon as its gates open, without a timeout.
	OnFailureForwardOnly FailurePolicy = "forward_only"
)

func (p FailurePolicy) validate() error {
	switch p {
	case "", OnFailureRollback, OnFailureFreeze, OnFailureForwardOnly:
		return nil
	}
	return fmt.Errorf("failure policy %.40q: want rollback, freeze or forward_only", string(p))
}

// OrDefault returns the policy in force.
func (p FailurePolicy) OrDefault() FailurePolicy {
	if p == "" {
		return OnFailureRollback
	}
	return p
}

// FailureCause is what was found wanting of a move's target, in a word: one of
// those below, or a compare.Metric by which it does worse.
type FailureCause string

// The causes that are no comparison's.
const (
	CauseGate      FailureCause = "gate"      // a gate refused or stayed closed
	CauseUpstreams FailureCause = "upstreams" // no healthy upstream was left
)

// FailureCauses lists them all.
func FailureCauses() []FailureCause {
	causes := []FailureCause{CauseGate, CauseUpstreams}
	for _, m := range compare.Metrics {
		causes = append(causes, FailureCause(m))
	}
	return causes
}

// undoing is what history says of a move that is undone for it.
func (c FailureCause) undoing() Undoing {
	switch c {
	case CauseGate, CauseUpstreams:
		return UndoneByFailure
	}
	return UndoneByComparison
}

// failure is what was found wanting of a move's target.
type failure struct {
	by     FailureCause
	detail string // a sentence for history and status
	cause  error  // what commands that wait for the move get
}

// response is what is done about a failure.
type response uint8

const (
	respondUndo response = iota // all traffic goes back
	respondHold                 // the ramp is held: an operator decides
	respondWait                 // the ramp goes on when its gates open
)

// respond decides what is done about a failure of a move that is ramping or
// draining; noWayBack says that going back would make it worse.
func (p FailurePolicy) respond(phase Phase, noWayBack bool) response {
	switch {
	case p == OnFailureForwardOnly:
		return respondWait
	case p.OrDefault() == OnFailureRollback && !noWayBack:
		return respondUndo
	case phase == Ramping:
		return respondHold
	}
	return respondWait // all traffic has moved: there is nothing to hold
}

// fail is what every automatic verdict on a move under way comes to, and the
// one place where its policy is applied. It may be called again and again while
// the failure lasts, and tells of it once.
func (s *Switcher) fail(r *run, f failure) {
	told, worse := r.failing, deadEnd(r.members, r.cut.From)
	switch r.cut.OnFailure.respond(r.phase, r.cut.NoWayBack || worse != nil) {
	case respondUndo:
		s.undo(r, ResultAborted, f.by.undoing(), greenroom+": "+f.detail, f.cause)
		for _, m := range r.members {
			if s.hooks.TakenBack != nil {
				s.hooks.TakenBack(m.name, r.cut.To, f.by)
			}
		}
		return
	case respondHold:
		if !told {
			_, _ = s.setHeld(r, &Hold{Reason: f.held(r.cut.OnFailure, worse), By: greenroom}, greenroom)
		}
	case respondWait:
		s.answer(r, nil)
		r.waiting = time.Time{} // and so the gates are asked on
		if !told {
			s.emit(r.members[0], Event{Type: EventGate, Detail: f.kept(r.phase, r.cut.OnFailure.OrDefault())})
		}
	}
	r.failing = true
}

// kept says why traffic stays where it is, and what that depends on.
func (f failure) kept(phase Phase, p FailurePolicy) string {
	if phase == Ramping {
		return fmt.Sprintf("failed, and goes on when that is mended (%s): %s", p, f.detail)
	}
	return fmt.Sprintf("failed after the flip, and is not undone (%s): %s", p, f.detail)
}

// held says why a ramp is held.
func (f failure) held(p FailurePolicy, worse error) string {
	switch {
	case worse != nil:
		return f.detail + "; and there is no way back: " + worse.Error()
	case p == OnFailureFreeze:
		return f.detail + "; frozen, as the failure policy says: resume, abort or roll back"
	}
	return f.detail + "; not undone, as going back would not work: mend it and resume, or roll back all the same"
}
