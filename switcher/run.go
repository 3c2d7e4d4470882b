package switcher

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// run is a move under way: of one service, or of a group as one. It belongs
// to Run's goroutine. What must survive a restart is in cut, of which each
// member's state holds a copy.
type run struct {
	cut     Cutover
	members []*machine
	phase   Phase
	replies []chan outcome // commands that wait for the first verdict; what stops the run must answer them

	stepAt   time.Time // when the current step began
	round    int       // a gate check of an earlier round is ignored
	checking bool      // a gate check of this round is under way
	recall   func()    // ends that check, if it has not ended; nil: there was none
	asked    time.Time // when the gates were last asked
	waiting  time.Time // since when closed gates are waited for; zero: not
	verdicts []Verdict
	restored bool // since a restart: the target's first verdicts may be to come
	failing  bool // its policy keeps it where it is, and that has been told

	comparing map[string]*comparing // by service
	compared  time.Time             // when the colors were last compared
	worse     *failure              // what was found against the target then

	drain DrainView // of all members together
	cutAt time.Time // when to end what is past its deadline, the next time

	evicting bool // a deadline has passed

	// holds: the color that drains still serves the sessions pinned to it. It is
	// not stored: a process that ends forgets its pins.
	holds   bool
	pinsEnd time.Time // when they are no longer waited for
}

// greenroom is who acts where no operator does.
const greenroom = "greenroom"

// outcome is what a command gets to hear.
type outcome struct {
	receipt Receipt
	err     error
}

// advance takes each running move as far as it can go now.
func (s *Switcher) advance(ctx context.Context, now time.Time) {
	s.resave(now)
	for _, r := range slices.Clone(s.runs) {
		if r.phase == Draining {
			s.advanceDrain(r, now)
		} else {
			s.advanceRamp(ctx, r, now)
		}
	}
}

func (s *Switcher) advanceRamp(ctx context.Context, r *run, now time.Time) {
	if reason := r.stranded(); reason != "" {
		r.void()
		s.fail(r, failure{by: CauseUpstreams, detail: reason, cause: fmt.Errorf("%w: %s", ErrRefused, reason)})
		return
	}
	if worse := s.compare(r, now); worse != nil {
		r.void()
		s.fail(r, *worse)
		return
	}
	if r.cut.Held != nil || r.locked() != nil {
		r.waiting = time.Time{}
		return
	}
	if now.Before(r.stepAt.Add(r.cut.hold())) {
		return
	}
	if r.waiting.IsZero() {
		r.waiting = now
	}
	if r.checking {
		s.overdue(r, now)
		return
	}
	if len(r.verdicts) > 0 && now.Sub(r.waiting) >= time.Duration(r.cut.GateTimeout) {
		s.giveUp(r, fmt.Sprintf("waited %s: ", r.cut.GateTimeout))
		return
	}
	every := gateEvery
	if r.failing {
		every = failingEvery
	}
	if now.Sub(r.asked) >= every {
		s.askGates(ctx, r, now)
	}
}

// stranded says that traffic goes to a color without a healthy upstream. After
// a restart it waits for the first verdicts: then no color has any.
func (r *run) stranded() string {
	if r.phase != Ramping {
		return ""
	}
	waits := false
	for _, m := range r.members {
		h := m.pools.Of(r.cut.To).Health()
		switch {
		case h.Healthy > 0:
		case r.restored && (m.source.Updated.IsZero() || h.Unknown > 0):
			waits = true
		case h.Total == 0:
			return fmt.Sprintf("%s: the %s pool is empty", m.name, r.cut.To)
		default:
			return fmt.Sprintf("%s: %s has no healthy upstream left: %s", m.name, r.cut.To, h.Reason)
		}
	}
	r.restored = waits
	return ""
}

func (r *run) locked() *Lock {
	for _, m := range r.members {
		if m.state.Lock != nil {
			return m.state.Lock
		}
	}
	return nil
}

// takeStep moves the traffic one step on, all members as one.
func (s *Switcher) takeStep(r *run) {
	next := r.cut
	next.Step++
	next.Compared = r.conclusions()
	phase, split, active := Ramping, Weighted(r.cut.To, r.cut.nextWeight()), r.cut.From
	if split == All(r.cut.To) {
		phase, active, next.Drain = Draining, r.cut.To, r.cut.From
	} else if next.hold() == UntilResumed {
		next.Held = &Hold{Reason: fmt.Sprintf("step %d of %d waits for resume", next.Step, len(next.Ramp)+1)}
	}
	r.holds = phase == Draining && next.Pins != PinsDrop && r.pins()
	err := s.commit(r.members, false, func(_ *machine, st *ServiceState) {
		st.Phase, st.Split, st.Active, st.Cutover = phase, split, active, &next
		st.Previous, st.LastGroup = r.cut.From, r.cut.Services
		st.RollbackUntil = time.Time{}
		if phase == Draining {
			st.RollbackUntil = time.Now().Add(time.Duration(next.RollbackWindow))
		}
	})
	if err != nil { // like a closed gate: tried again until the gate timeout
		r.verdicts = []Verdict{{Gate: "store", Service: r.members[0].name, Reason: err.Error()}}
		s.answer(r, nil)
		return
	}
	r.enter(next, phase)
	if phase == Draining {
		s.stopComparing(r)
	}
	s.answer(r, nil)
}

// enter brings the run to where its members' state already is.
func (r *run) enter(cut Cutover, phase Phase) {
	now := time.Now()
	r.cut, r.phase, r.stepAt = cut, phase, now
	r.again()
	if phase == Draining {
		first, last := cut.deadlines()
		r.drain = DrainView{Color: cut.Drain, Started: now, Deadline: now.Add(last)}
		if r.holds {
			r.pinsEnd = now.Add(time.Duration(cut.PinDeadline))
			r.drain.Deadline = r.pinsEnd.Add(last)
		} else {
			r.dropPins()
		}
		r.drain.Initial = r.inflight()
		r.cutAt, r.evicting = now.Add(first), false
	}
}

// void has what gates are being asked take no step, and tells them to ask no
// further: what they send to a color is not to come when it is safe to stop.
func (r *run) void() {
	r.round++
	r.checking = false
	if r.recall != nil {
		r.recall()
		r.recall = nil
	}
}

// again forgets what gates have said, so that they are asked afresh.
func (r *run) again() {
	r.void()
	r.verdicts, r.asked, r.waiting, r.failing = nil, time.Time{}, time.Time{}, false
}

func (r *run) inflight() (n int64) {
	for _, m := range r.members {
		n += m.inflight(r.cut.Drain)
	}
	return n
}

// resultOr is how a move that is being undone will have ended, else other.
func (r *run) resultOr(other Result) Result {
	if r.cut.Ending != "" {
		return r.cut.Ending
	}
	return other
}

// undo brings all traffic back to where it came from, at once. It works in
// every phase, and whatever the Store says. err is what waiting commands get.
func (s *Switcher) undo(r *run, result Result, by Undoing, detail string, err error) {
	if r.phase == Preparing {
		r.cut.Undone = by
		s.end(r, result, detail, err)
		return
	}
	next := r.cut
	next.Held, next.Drain, next.Ending, next.Undone, next.Detail = nil, r.cut.To, result, by, detail
	next.Compared = r.conclusions()
	r.holds = false
	_ = s.commit(r.members, true, func(_ *machine, st *ServiceState) {
		st.Phase, st.Split, st.Active, st.Cutover = Draining, All(r.cut.From), r.cut.From, &next
		st.Previous, st.LastGroup, st.RollbackUntil = 0, nil, time.Time{}
	})
	r.comparing, r.worse = nil, nil
	r.enter(next, Draining)
	s.answer(r, err)
}

// end closes the books on a move: members that no other move has taken over
// are steady again. err is what waiting commands get.
func (s *Switcher) end(r *run, result Result, detail string, err error) {
	r.void()
	now := time.Now()
	move := Move{
		ID: r.cut.ID, Kind: r.cut.Kind, From: r.cut.From, To: r.cut.To, By: r.cut.By, Reason: r.cut.Reason,
		Started: r.cut.Started, Ended: now, Result: result, Undone: r.cut.Undone, Detail: detail,
		Evicted: r.drain.Evicted,
	}
	s.runs = slices.DeleteFunc(s.runs, func(other *run) bool { return other == r })
	_ = s.commit(r.members, true, func(m *machine, st *ServiceState) {
		if m.run == r {
			st.Phase, st.Cutover = Steady, nil
		}
		move.Generation, move.Split, move.Compared = st.Generation, st.Split, ComparisonsOf(m.name, r.cut.Compared)
		st.remember(move)
	})
	if r.holds { // what takes over ends the wait
		r.holds = false
		r.dropPins()
	}
	ended := Event{
		Type: EventEnd, ID: move.ID, Kind: move.Kind, By: move.By, Result: result, Detail: detail,
		Took: Duration(now.Sub(move.Started)),
	}
	if r.phase == Draining {
		ended.Drained = Duration(now.Sub(r.drain.Started))
	}
	for _, m := range r.members {
		if m.run == r {
			m.run = nil
		}
		s.emit(m, ended)
	}
	s.answer(r, err)
}

// remember puts a move into the history.
func (st *ServiceState) remember(m Move) {
	st.History = slices.Insert(st.History, 0, m)
	st.History = st.History[:min(len(st.History), MaxHistory)]
}

// answer lets the commands that wait for a first verdict go.
func (s *Switcher) answer(r *run, err error) {
	for _, reply := range r.replies {
		reply <- outcome{s.receipt(r.members, r.cut.ID, true), err}
	}
	r.replies = nil
}
