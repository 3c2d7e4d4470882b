package consul

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// seat is one service's part in a round. One goroutine runs it, so that a slow
// gate of one service keeps no other waiting.
type seat struct {
	fleet   *Fleet
	mover   Mover
	service string
	leave   func()        // ends it and waits
	gone    chan struct{} // closed when it has ended
	wake    chan struct{} // has room for one

	mu    sync.Mutex
	inbox inbox // guarded by mu

	// What follows belongs to the seat's goroutine.
	seen    inbox // taken from inbox
	memory  memory
	saved   memory
	past    past
	unsaved error // why memory could not be saved
	state   pair  // the newest known
	level   Outcome
	chase   pursuit
	bad     uint64     // index of the last state that counted for nothing
	absent  bool       // there was a state, and its absence was noticed
	untold  retry      // of the state
	told    EdgeStatus // the last status written
	toldAt  time.Time
	silent  retry // of the status
}

// retry spaces attempts to write to Consul. The zero value may begin.
type retry struct {
	fails int
	until time.Time
	last  Outcome
}

func (r *retry) waits() bool { return time.Now().Before(r.until) }

// inbox is what a seat was last handed.
type inbox struct {
	leaves
	count  int // of deliveries that were news
	at     time.Time
	index  uint64
	resets int
	heard  bool  // there was an answer to rely on
	sound  bool  // what is missing from it is not there
	cutOff error // why there is none now
}

func newSeat(f *Fleet, m Mover, service string) *seat {
	return &seat{fleet: f, mover: m, service: service, wake: make(chan struct{}, 1), gone: make(chan struct{})}
}

// deliver hands an answer over; it never waits.
func (s *seat) deliver(t *tree, l leaves) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.inbox
	next.cutOff = t.err
	if t.err == nil && !t.vouched {
		next.cutOff = errNoLeader
	}
	if next.cutOff == nil {
		next.leaves, next.heard, next.sound = l, true, t.sound()
		next.at, next.index, next.resets = t.at, t.index, t.resets
	}
	if next.differs(s.inbox) {
		next.count++
		s.signal()
	}
	s.inbox = next
}

func (in inbox) differs(other inbox) bool {
	return in.desired.index != other.desired.index || in.desired.sum != other.desired.sum ||
		in.state.index != other.state.index || in.state.sum != other.state.sum ||
		in.reported != other.reported || in.resets != other.resets || in.heard != other.heard ||
		in.sound != other.sound || (in.cutOff == nil) != (other.cutOff == nil)
}

func (s *seat) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look all the same
	}
}

func (s *seat) run(ctx context.Context) {
	var err error
	s.memory, s.past, err = s.fleet.drawer.load(s.service)
	s.saved = s.memory
	if err != nil {
		s.fleet.config.Log.Warn("what this edge knew of its fleet is lost", "service", s.service, "error", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		next := s.look(ctx)
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
		}
	}
}

// look does all that is to do now, and returns when to look again at the latest;
// zero for when something happens.
func (s *seat) look(ctx context.Context) (next time.Time) {
	view, err := s.mover.View(ctx, s.service)
	if err != nil {
		return time.Time{} // the service or the edge is about to go
	}
	s.take(ctx)
	s.noteWord(ctx, view)
	s.awaitTrigger(ctx, view)
	s.noteAlone(standOf(view))
	if s.seen.heard && s.seen.cutOff == nil {
		s.act(ctx, view)
	}
	s.keep()
	s.report(ctx)
	return s.due()
}

// act deals with both keys. What an edge finds when it joins comes before what it
// would write itself, and a trigger before the state that others have reached by
// it. Otherwise its own move comes first, so that a trigger is compared with it.
func (s *seat) act(ctx context.Context, view switcher.ServiceView) {
	s.noteDeletion()
	if (s.past != returning || s.triggered(view)) && s.obey(ctx, view) {
		s.signal()
		return
	}
	if s.past != returning && s.seen.sound {
		s.past, s.unsaved = returning, errUnsaved
	}
	if s.share(ctx, view) || s.obey(ctx, view) {
		s.signal() // the view is no longer true
	}
}

// take looks into the inbox. A state that is older than the one known, because
// this edge wrote it meanwhile, is read again.
func (s *seat) take(ctx context.Context) {
	s.mu.Lock()
	in := s.inbox
	s.mu.Unlock()
	news := in.count != s.seen.count
	counts := in.resets == s.seen.resets
	if s.seen.cutOff != nil && in.cutOff == nil {
		s.untold, s.silent = retry{}, retry{}
	}
	s.seen = in
	if !news || !in.heard || in.cutOff != nil {
		return
	}
	if !counts || in.index >= s.state.index {
		s.state = in.state
		return
	}
	s.reread(ctx)
}

func (s *seat) reread(ctx context.Context) {
	found, err := s.fleet.client.readKey(ctx, s.fleet.key(s.service, stateLeaf), s.patience())
	if err == nil {
		s.state = found
	}
}

// patience is how long one write or read may take.
func (s *seat) patience() time.Duration { return min(5*time.Second, s.fleet.client.pace.slack) }

// keep writes what must not be forgotten.
func (s *seat) keep() {
	if s.memory == s.saved && s.unsaved == nil {
		return
	}
	if s.unsaved = s.fleet.drawer.save(s.service, s.memory); s.unsaved != nil {
		s.fleet.wrote(fmt.Errorf("memory of service %q: %w", s.service, s.unsaved))
		return
	}
	s.saved = s.memory
}

// report writes the status if it has changed, or is gone, at most once a second.
func (s *seat) report(ctx context.Context) {
	view, err := s.mover.View(ctx, s.service)
	if err != nil {
		return
	}
	now := s.status(view)
	now.At = s.told.At
	gone := s.seen.sound && !s.seen.reported && s.seen.at.After(s.toldAt)
	if now == s.told && !gone {
		return
	}
	now.At = time.Now().UTC().Truncate(time.Millisecond)
	s.fleet.setLocal(s.service, now, s.level)
	if s.seen.cutOff != nil || !s.seen.heard || time.Now().Before(s.nextReport()) || s.silent.waits() {
		return
	}
	err = s.fleet.client.writeKey(ctx, s.fleet.key(s.service, statusLeaf+"/"+s.fleet.config.Edge), now.encode(), s.patience())
	s.wrote(&s.silent, err)
	if err == nil {
		s.told, s.toldAt = now, time.Now()
	}
}

func (s *seat) nextReport() time.Time {
	if s.toldAt.IsZero() {
		return time.Time{}
	}
	return s.toldAt.Add(time.Second)
}

// status says where the edge stands: what keeps it from being where the fleet is,
// else what it dealt with last.
func (s *seat) status(v switcher.ServiceView) EdgeStatus {
	now := s.memory.Latest
	if s.level.Result != "" {
		now = s.level
	}
	return EdgeStatus{
		Format: statusFormat, Edge: s.fleet.config.Edge,
		AppliedIndex: s.memory.Desired.Index, Trigger: s.memory.Trigger, Epoch: s.memory.Bond.Epoch,
		Generation: v.Generation, Phase: v.Phase, Active: v.Active, Split: v.Split,
		Result: now.Result, Reason: now.Reason,
	}.clean()
}

// wrote notes how a write to Consul went.
func (s *seat) wrote(r *retry, err error) {
	s.fleet.wrote(err)
	if err == nil {
		*r = retry{}
		return
	}
	r.fails++
	ceiling := min(firstBackoff<<min(r.fails-1, 10), downCeiling)
	r.until = time.Now().Add(ceiling/2 + s.fleet.client.pace.jitter(ceiling/2))
}

// due is when to look again.
func (s *seat) due() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if t.After(time.Now()) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if s.unsaved != nil {
		sooner(time.Now().Add(time.Second))
	}
	if s.seen.cutOff == nil {
		sooner(s.nextReport())
		sooner(s.untold.until)
		sooner(s.silent.until)
		sooner(s.chase.next)
	}
	return next
}
