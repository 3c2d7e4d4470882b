package switcher

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// Config is the settings of one service. The zero value starts on blue,
// without a ramp or gates.
type Config struct {
	// Active is the color of a service that has no state yet. Default blue.
	Active Color
	// Ramp before a flip; empty flips at once.
	Ramp Ramp
	// Gates that must be open before each step, in the order shown.
	Gates []Gate
	// Compare, if not nil, limits how much worse than the other color the target of
	// a ramp may do while both serve. What becomes of one that does, OnFailure says.
	// Nil compares nothing.
	Compare *compare.Limits
	// Pins keep sessions on their color. The zero value keeps none.
	Pins PinConfig
	// Options where a command does not set them.
	Options
}

// Hooks are called by the Switcher, and must not block: everything waits.
type Hooks struct {
	// Evict ends streams of a color that drains, and returns how many have
	// been ended since the drain began. It is called each second from the
	// first deadline on, until nothing is left. Nil ends nothing: the drain
	// waits on.
	Evict func(service string, d Drain) (evicted int)
	// Streams counts what a color that drains waits for, by kind, for
	// status. Nil is fine.
	Streams func(service string, d Drain) []StreamCount
	// Event is called with each event, in order, and must not call back.
	// Nil is fine.
	Event func(Event)
	// Moved is called when tables have changed, before the command that did it
	// is answered, so that another process that still serves can follow. Nil
	// is fine.
	Moved func([]Followed)
	// Elsewhere is what other processes of this edge still have under way of
	// a color. Nil is fine.
	Elsewhere func(service string, c Color) int64
	// Warn returns what else status is to warn of, for one service. Nil is
	// fine.
	Warn func(service string) []string
	// Samples returns what a color of a service has done since the process began,
	// or since any later time, the same for both colors. It is called each second
	// of a ramp. Nil compares nothing.
	Samples func(service string, c Color) compare.Counts
	// TakenBack is called when a move is undone because its target, c, was found
	// wanting, for each service of the move. Nil is fine.
	TakenBack func(service string, c Color, by FailureCause)
	// MediaLeak returns the media that has gone through a service's pools, for
	// status; nil: none. Nil is fine.
	MediaLeak func(service string) *MediaLeak
}

// Drain is a color that has lost its traffic.
type Drain struct {
	Color   Color
	Started time.Time
	Options // of the move: the deadlines
}

// Switcher holds the services and moves their traffic. See the package's
// comment.
type Switcher struct {
	hooks    Hooks
	log      *slog.Logger
	saver    *saver
	hub      hub
	board    atomic.Pointer[board]
	commands chan func()
	checked  chan checked
	stopped  chan struct{}

	following sync.Mutex // held by Follow

	mu       sync.RWMutex
	services map[string]*Service // guarded by mu; grows only

	// What follows belongs to Run's goroutine.
	machines map[string]*machine
	runs     []*run
	dormant  map[string]ServiceState // stored, but not configured
	doubt    string                  // why what Restore found may be old, or is missing
	dirty    atomic.Bool             // memory is newer than the Store; written by Run only
	retryAt  time.Time               // when to try the Store again
	gating   sync.WaitGroup          // gate checks under way

	understudy bool // moves nothing: another process owns the state
	ceded      bool // another process has taken it over
}

// New returns a Switcher that keeps its state in store. Nothing happens until
// Run is called, and commands wait for it. A nil logger logs nothing.
func New(store Store, hooks Hooks, logger *slog.Logger) *Switcher {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Switcher{
		hooks:    hooks,
		log:      logger,
		saver:    newSaver(store),
		commands: make(chan func()),
		checked:  make(chan checked),
		stopped:  make(chan struct{}),
		services: make(map[string]*Service),
		machines: make(map[string]*machine),
		dormant:  make(map[string]ServiceState),
	}
	s.hub.hook = hooks.Event
	s.board.Store(&board{})
	return s
}

// poll is how often running moves are looked at: drains for their count,
// ramps for their time. Nothing is polled in Steady.
const poll = 25 * time.Millisecond

// Run owns all moves until ctx ends, and returns when the gate checks and the
// write that are then under way have ended. Commands get ErrClosed from the
// moment ctx ends; leases can be acquired and released further on.
func (s *Switcher) Run(ctx context.Context) {
	defer s.gating.Wait()
	defer s.hub.close()
	defer close(s.stopped)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.gating.Go(func() { s.saver.run(ctx) })

	timer := time.NewTimer(poll)
	defer timer.Stop()
	for {
		var tick <-chan time.Time
		if len(s.runs) > 0 || s.dirty.Load() {
			timer.Reset(poll)
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case command := <-s.commands:
			command()
		case c := <-s.checked:
			s.gatesChecked(c)
		case <-tick:
		}
		if ctx.Err() != nil || s.ceded {
			return
		}
		if s.understudy {
			continue
		}
		s.advance(ctx, time.Now())
	}
}

// do runs f on Run's goroutine and waits for it.
func (s *Switcher) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case s.commands <- func() { f(); close(done) }:
		<-done // f never blocks
		return nil
	case <-s.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Service returns the handle of a service, which may be configured later.
func (s *Switcher) Service(name string) *Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	svc := s.services[name]
	if svc == nil {
		svc = &Service{name: name, slot: len(s.services), board: &s.board}
		s.services[name] = svc
	}
	return svc
}

// Names lists all services that there have been.
func (s *Switcher) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.services))
}

// machine is the state of one service; it belongs to Run's goroutine.
type machine struct {
	name      string
	svc       *Service
	config    Config
	state     ServiceState
	endpoints PerColor[map[string]*Endpoint]
	pools     PerColor[*Pool]
	elsewhere func(string, Color) int64 // what other processes have under way; may be nil
	source    SourceView
	reporter  Reporter // of source; nil: it is none
	run       *run     // the move under way, nil in Steady
	doubt     string   // why its state may be an old one; empty once somebody has moved it
}

func (m *machine) table() *Table {
	return &Table{
		Generation: m.state.Generation,
		Active:     m.state.Active,
		Split:      m.state.Split,
		Held:       m.held(),
		Pools:      m.pools,
		phase:      m.state.Phase,
	}
}

func (s *Switcher) machine(name string) (*machine, error) {
	if m := s.machines[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("service %q: %w", name, ErrUnknownService)
}

// members returns the machines of the named services.
func (s *Switcher) members(names []string) ([]*machine, error) {
	list := make([]*machine, len(names))
	for i, name := range names {
		m, err := s.machine(name)
		if err != nil {
			return nil, err
		}
		list[i] = m
	}
	return list, nil
}

// Subscribe returns the events from now on. The channel closes when cancel is
// called or the Switcher stops; a reader that is too slow gets an EventLost
// in place of what it missed.
func (s *Switcher) Subscribe() (events <-chan Event, cancel func()) { return s.hub.subscribe() }

// SetHealth publishes the verdict of this edge's checks on an upstream, with
// an event if the verdict changed. It takes no command's place and waits for
// none; calls for one endpoint must follow each other.
func (s *Switcher) SetHealth(e *Endpoint, h Health) {
	before := e.Health()
	e.SetHealth(h)
	if before.Healthy == h.Healthy && before.Known == h.Known {
		return
	}
	detail := e.Address() + " is healthy"
	if !h.Healthy {
		detail = e.Address() + ": " + h.Reason
	}
	event := Event{Type: EventHealth, Service: e.Service, Color: e.Color, Detail: detail}
	if t := s.Service(e.Service).Table(); t != nil {
		event.Generation, event.Phase, event.Active, event.Split = t.Generation, t.phase, t.Active, t.Split
	}
	s.hub.emit(event)
}
