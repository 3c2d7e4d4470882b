package consul

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Fleet is this edge's place among the edges that share one prefix of Consul's
// KV. It carries out what operators write there, tells the others when this edge
// moves, and follows them. For each service the keys are:
//
//	greenroom/<service>/desired         the operator's: an Intent
//	greenroom/<service>/state           what the edges agree on: a SharedState
//	greenroom/<service>/status/<edge>   what came of it on each edge: an EdgeStatus
//
// # Triggers
//
// A value of "desired" whose index is above that of the last one dealt with
// starts the same cutover as the command line, by each edge on its own, past its
// own gates. What came of it is in the edge's status: a refusal with its reason, a
// value that cannot be read with what is wrong in it. Deleting the key, writing
// what it holds already, an index that is not above the last one: nothing moves.
// The last index is remembered across restarts, by a file that is written once
// the command was accepted. An edge that ends in between carries it out again,
// which moves nothing where the traffic has moved already.
//
// # Agreement
//
// Once all traffic of a service is on another color than the edges agreed on,
// whoever moved it (the socket, a trigger, an abort), the edge writes "state"
// by compare-and-set, with the next epoch, and the others follow: by a cutover
// past their own gates, or by a rollback where the state says so and their own
// rollback would go there. What keeps an edge from following is in its status; it
// tries again, after 10 s and up to a minute later each time. A ramp or a split
// is not followed before all traffic has moved. To a state that a trigger made the
// others go by that trigger's ramp and options, while the key still holds it, else
// by those of their config.
//
// Who wins? Each command counts for the state at its own time, and the later one
// wins:
//
//   - a trigger that meets a move to the other color is refused as a conflict,
//     as a command on the socket is; one to the same color joins it;
//   - a lock refuses triggers, and keeps the edge from following;
//   - of two edges that move at once one is first; the other follows it;
//   - a trigger older than the shared state, which names another color, is stale.
//     That includes one that was written after an edge had been moved on its
//     socket, and before the edge could publish it, which takes some
//     milliseconds. A state that a trigger made is as old as that trigger: of two
//     that follow each other the second always counts;
//   - a rollback that one edge publishes undoes what others have under way to
//     the color that was left. Any other move under way is waited for.
//
// # Verdicts
//
// Each edge judges a target by its own traffic (see switcher.Comparison). A verdict
// undoes that edge's move, and nothing else: it may stem from what only that edge
// sees, and what others have is not taken from them by one. It is the edge's last
// word on the epoch that the move would have made, or was following: the edge stays
// where it is and is diverged, in its status, which all others show. So does one on
// which an operator undid what the fleet had started. The next trigger, a newer
// epoch or an operator's move on the edge ends it. A rollback that another edge
// publishes later is followed all the same. What gates or the target's health undo
// is no such word, and is tried again.
//
// # Without Consul
//
// Nothing moves by itself, and all that the socket can do works. A move that could
// not be published is published when Consul is back, if nobody has moved since.
// Otherwise the edge stays as it is, and is diverged: until the next trigger, a
// newer epoch, or an operator's move on it.
//
// What is malformed, filtered by an ACL, refused, or answered without a leader
// changes nothing, and never counts as a deletion. A state that is gone, or went
// back in time, is restored by the edges that remember it.
type Fleet struct {
	client *Client
	config FleetConfig
	prefix string // with a slash at the end
	drawer drawer

	mu       sync.Mutex
	stats    FleetStats            // guarded by mu
	locals   map[string]EdgeStatus // by service; guarded by mu
	troubles map[string]string     // by service; guarded by mu
}

// FleetConfig is an edge's place in a fleet.
type FleetConfig struct {
	// Prefix of the keys, without a slash at its end. Default "greenroom".
	Prefix string `json:"prefix,omitempty"`
	// Edge is the name of this edge, which no other edge of the fleet has.
	// In a config the default is the host's name.
	Edge string `json:"edge,omitempty"`
	// Dir is the directory of what the edge must remember, one file for each
	// service. It is made if it is not there, and belongs to one process at
	// a time. Default: none, and a restart forgets.
	Dir string `json:"-"`
	// Retry is the time until an edge that could not follow tries again,
	// which doubles up to 6 times as long: 100ms to 10m. Default 10s.
	Retry switcher.Duration `json:"retry,omitempty"`

	// Noticed is called with each value that was dealt with, in order for
	// each service, for metrics and the audit log, and without a service when
	// the keys begin to be unreadable. The service waits for it. Default:
	// nothing is called.
	Noticed func(Notice) `json:"-"`
	// Log is told of what is refused or cannot be read. Default: nothing is
	// logged.
	Log *slog.Logger `json:"-"`
}

// DefaultRetry is the default of FleetConfig.Retry.
const DefaultRetry = 10 * time.Second

// Validate names the field that cannot be used, and why.
func (c FleetConfig) Validate() error {
	if c.Prefix != "" {
		if err := validatePrefix(c.Prefix); err != nil {
			return fmt.Errorf("prefix %.40q: %w", c.Prefix, err)
		}
	}
	if err := validateName(c.Edge); err != nil {
		return fmt.Errorf("edge %.40q: %w", c.Edge, err)
	}
	if r := time.Duration(c.Retry); r != 0 && (r < 100*time.Millisecond || r > 10*time.Minute) {
		return fmt.Errorf("retry %s: want 100ms to 10m", r)
	}
	return nil
}

// Notice is one value of KV that was dealt with.
type Notice struct {
	At      time.Time `json:"at"`
	Service string    `json:"service"` // none: it is about the whole prefix
	Key     string    `json:"key"`     // the whole key
	Index   uint64    `json:"index"`   // its ModifyIndex; of one that is gone the last one, if known
	Outcome
	// ID of the move that was started, if any.
	ID string `json:"id,omitempty"`
}

// Mover is what a Fleet asks of a Switcher.
type Mover interface {
	Cutover(context.Context, switcher.CutoverRequest) (switcher.Receipt, error)
	Rollback(context.Context, switcher.RollbackRequest) (switcher.Receipt, error)
	View(ctx context.Context, service string) (switcher.ServiceView, error)
	History(ctx context.Context, service string) ([]switcher.Move, error)
	Services(context.Context) ([]switcher.ServiceView, error)
	Subscribe() (events <-chan switcher.Event, cancel func())
}

var _ Mover = (*switcher.Switcher)(nil)

// NewFleet takes a place. Nothing is asked before Run.
func NewFleet(client *Client, c FleetConfig) (*Fleet, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("consul fleet: %w", err)
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Retry == 0 {
		c.Retry = switcher.Duration(DefaultRetry)
	}
	if c.Noticed == nil {
		c.Noticed = func(Notice) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Fleet{
		client: client, config: c, prefix: c.Prefix + "/", drawer: drawer{c.Dir},
		stats:  FleetStats{Results: make(map[Result]uint64)},
		locals: make(map[string]EdgeStatus), troubles: make(map[string]string),
	}, nil
}

func (f *Fleet) key(service, leaf string) string { return f.prefix + service + "/" + leaf }

// initialPatience is how long a new edge waits to hear where its fleet is.
const initialPatience = 2 * time.Second

// InitialActive returns the color that the fleet has agreed on for a service;
// false if it has none. It is for an edge without a state of its own, before
// Switcher.Configure, and waits for Consul for at most 2 s.
func (f *Fleet) InitialActive(ctx context.Context, service string) (switcher.Color, bool, error) {
	if err := validateName(service); err != nil {
		return 0, false, fmt.Errorf("service %.40q: %w", service, err)
	}
	found, err := f.client.readKey(ctx, f.key(service, stateLeaf), initialPatience)
	if err != nil || found.index == 0 {
		return 0, false, err
	}
	st, err := parsePair(found)
	if err != nil {
		return 0, false, fmt.Errorf("key %s: %w", f.key(service, stateLeaf), err)
	}
	return st.Active, true, nil
}

// parsePair reads a state that is there.
func parsePair(p pair) (*SharedState, error) {
	if p.value == nil {
		return nil, tooLong(p.size)
	}
	return ParseSharedState(p.value)
}
