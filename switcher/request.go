package switcher

import (
	"errors"
	"fmt"
	"slices"
)

// Errors that a caller may want to tell apart. Each comes wrapped in a
// sentence that names the service and what to do.
var (
	ErrUnknownService = errors.New("unknown service")
	ErrRefused        = errors.New("refused by a gate")
	ErrLocked         = errors.New("locked")
	ErrConflict       = errors.New("conflict")
	ErrInvalid        = errors.New("invalid request")
	ErrStore          = errors.New("state cannot be stored")
	ErrClosed         = errors.New("the switcher has stopped")
)

// Request is what every command carries.
type Request struct {
	// Services names the services to move as one. Abort, Rollback, Hold and
	// Resume reach the whole group that a cutover moves, whichever member
	// is named.
	Services []string `json:"services,omitempty"`
	// By names who asks, for history: set by the caller, never by a client.
	By string `json:"-"`
	// Reason is the operator's own words, at most 500 bytes.
	Reason string `json:"reason,omitempty"`
	// IfGeneration, if not nil, refuses the command with ErrConflict unless
	// the (first named) service has exactly this generation.
	IfGeneration *uint64 `json:"if_generation,omitempty"`
}

const maxReason = 500

func (r Request) validate() error {
	switch {
	case len(r.Services) == 0:
		return fmt.Errorf("%w: no service named", ErrInvalid)
	case len(r.Reason) > maxReason:
		return fmt.Errorf("%w: the reason has %d bytes, at most %d", ErrInvalid, len(r.Reason), maxReason)
	}
	for i, name := range r.Services {
		if slices.Contains(r.Services[:i], name) {
			return fmt.Errorf("%w: service %q is named twice", ErrInvalid, name)
		}
	}
	return nil
}

// CutoverRequest moves all traffic to a color.
type CutoverRequest struct {
	Request
	To Color `json:"to"`
	// Ramp before the flip; nil means the service's own, an empty one (in
	// JSON: "") flips at once.
	Ramp *Ramp `json:"ramp,omitempty"`
	Options
}

// SplitRequest gives a color a fixed weight and holds it there.
type SplitRequest struct {
	Request
	Color  Color `json:"color"`
	Weight uint8 `json:"weight"` // of Color, 0 to 100 percent
	Options
}

// DrainRequest waits until the idle color has finished its work, and cuts
// what is left at the deadline.
type DrainRequest struct {
	Request
	Options
}

// RollbackRequest goes back: to the color that the cutover under way came
// from, else to the one before the last cutover.
type RollbackRequest struct {
	Request
	// Force rolls back even to a pool without a healthy upstream.
	Force bool `json:"force,omitempty"`
}

// EvictRequest ends streams of one service before any deadline, at the service's
// pace. The zero Color is the idle one.
type EvictRequest struct {
	Request
	Color Color        `json:"color,omitempty"`
	Kinds []StreamKind `json:"kinds,omitempty"` // none: all
	// IDs of the streams, at most MaxStreams; none: all.
	IDs []string `json:"ids,omitempty"`
}

// Eviction acknowledges an EvictRequest.
type Eviction struct {
	// Streams that were chosen, and have not been before.
	Streams int   `json:"streams"`
	Color   Color `json:"color"`
	// Pace is how many end per second now.
	Pace int `json:"pace"`
}

// Receipt acknowledges a command: the table it speaks of serves already.
type Receipt struct {
	// ID of the move, to be found in history and events; empty where
	// nothing was to be done.
	ID string `json:"id,omitempty"`
	// Changed is false where the service already was as asked.
	Changed bool `json:"changed"`
	// Services holds each service after the command.
	Services []ServiceView `json:"services"`
}

// Plan is a dry run of a cutover.
type Plan struct {
	Services []string  `json:"services"`
	From     Color     `json:"from"`
	To       Color     `json:"to"`
	Ramp     Ramp      `json:"ramp,omitempty"`
	Options            // in force
	Gates    []Verdict `json:"gates"` // of each service, as they stand now
	// Compare says, for each service that compares its colors in a ramp, by what.
	Compare []string `json:"compare,omitempty"`
	// Inflight is what would have to drain now, over all services.
	Inflight int64 `json:"inflight"`
	// Pinned is how many sessions would stay on From while they live, or
	// move with the flip where Pins says so.
	Pinned int64 `json:"pinned,omitempty"`
	// Blocked says why the cutover would not start, or what its gates would
	// wait for; empty when it would go through now.
	Blocked []string `json:"blocked,omitempty"`
}
