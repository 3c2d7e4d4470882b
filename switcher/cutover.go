package switcher

import (
	"errors"
	"fmt"
	"time"
)

// Kind names a move in history, events and metrics.
type Kind string

// The kinds of move.
const (
	KindCutover  Kind = "cutover"
	KindSplit    Kind = "split"
	KindRollback Kind = "rollback"
	KindAbort    Kind = "abort"
	KindDrain    Kind = "drain"
	KindLock     Kind = "lock"
	KindUnlock   Kind = "unlock"
)

// Cutover is a move under way, of one service or of several together. It is
// written to the Store with each step.
type Cutover struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Services that move together, sorted.
	Services []string `json:"services"`
	// From is the color that loses traffic, To the one that gains it. In a
	// drain without a move, From is drained and To serves.
	From Color `json:"from"`
	To   Color `json:"to"`
	Ramp Ramp  `json:"ramp,omitempty"`
	// Step counts the steps of the ramp already taken.
	Step int `json:"step"`
	// Drain is the color that drains, none before the traffic has moved.
	Drain Color `json:"drain,omitempty"`
	// Held, if not nil, says who stopped the ramp, and why.
	Held *Hold `json:"held,omitempty"`
	// NoWayBack: the latest word of a gate was that the color which loses traffic
	// must not get it back (Verdict.Stay). Only an operator may undo the move then.
	NoWayBack bool `json:"no_way_back,omitempty"`
	// Ending, if not empty, is the result once the drain has ended: the
	// move is being undone. Undone says by what, Detail why.
	Ending Result  `json:"ending,omitempty"`
	Undone Undoing `json:"undone,omitempty"`
	Detail string  `json:"detail,omitempty"`
	// Compared is how the target does beside the other color: as of the latest
	// step, in status as of now.
	Compared []Comparison `json:"compared,omitempty"`
	Options
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Started time.Time `json:"started"`
}

// Hold says why a ramp stands still.
type Hold struct {
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
}

// Options of one cutover; zero values mean the service's own settings.
type Options struct {
	// GateTimeout is how long closed gates are waited for, up to 24h. Before
	// the first step the cutover is then refused, later it is aborted.
	// Default 30s.
	GateTimeout Duration `json:"gate_timeout,omitempty"`
	// DrainTimeout is how long the color that lost its traffic may finish
	// its work before what is left is ended, up to 7 days. Default 10m.
	DrainTimeout Duration `json:"drain_timeout,omitempty"`
	// Deadlines are DrainTimeout for some kinds of streams.
	Deadlines Deadlines `json:"drain_deadlines,omitzero"`
	// Pins says what becomes of the sessions pinned to the color that loses
	// its traffic: "hold", they stay there while they live, or "drop".
	// Default hold.
	Pins PinPolicy `json:"pins,omitempty"`
	// PinDeadline is how long they may stay, from the flip on, up to 7 days.
	// Default 15m.
	PinDeadline Duration `json:"pin_deadline,omitempty"`
	// OnFailure is what becomes of a move on its way whose target is found
	// wanting: "rollback", "freeze" or "forward_only". Default rollback.
	OnFailure FailurePolicy `json:"on_failure,omitempty"`
	// RollbackWindow is how long after the flip a rollback is reckoned with,
	// up to 720h: until it has passed, and the old color is drained, contracting
	// the database's schema is not safe. Default 30m.
	RollbackWindow Duration `json:"rollback_window,omitempty"`
}

// Defaults and limits of Options.
const (
	DefaultGateTimeout  = Duration(30 * time.Second)
	DefaultDrainTimeout = Duration(10 * time.Minute)
	DefaultPinDeadline  = Duration(15 * time.Minute)
	DefaultWindow       = Duration(30 * time.Minute)
	maxGateTimeout      = Duration(24 * time.Hour)
	maxDrainTimeout     = Duration(7 * 24 * time.Hour)
	maxWindow           = Duration(30 * 24 * time.Hour)
)

// Validate names the option that is out of range.
func (o Options) Validate() error {
	if o.GateTimeout < 0 || o.GateTimeout > maxGateTimeout {
		return fmt.Errorf("gate timeout %s: want 0 to %s", o.GateTimeout, maxGateTimeout)
	}
	if o.DrainTimeout < 0 || o.DrainTimeout > maxDrainTimeout {
		return fmt.Errorf("drain timeout %s: want 0 to %s", o.DrainTimeout, maxDrainTimeout)
	}
	if o.PinDeadline < 0 || o.PinDeadline > maxDrainTimeout {
		return fmt.Errorf("pin deadline %s: want 0 to %s", o.PinDeadline, maxDrainTimeout)
	}
	if o.RollbackWindow < 0 || o.RollbackWindow > maxWindow {
		return fmt.Errorf("rollback window %s: want 0 to %s", o.RollbackWindow, maxWindow)
	}
	return errors.Join(o.Deadlines.Validate(), o.Pins.validate(), o.OnFailure.validate())
}

// OrDefaults fills what o leaves open.
func (o Options) OrDefaults() Options {
	return o.or(Options{
		GateTimeout: DefaultGateTimeout, DrainTimeout: DefaultDrainTimeout, PinDeadline: DefaultPinDeadline,
		RollbackWindow: DefaultWindow,
	})
}

// or fills what o leaves open from d.
func (o Options) or(d Options) Options {
	if o.GateTimeout == 0 {
		o.GateTimeout = d.GateTimeout
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = d.DrainTimeout
	}
	if o.Pins == "" {
		o.Pins = d.Pins
	}
	if o.PinDeadline == 0 {
		o.PinDeadline = d.PinDeadline
	}
	if o.OnFailure == "" {
		o.OnFailure = d.OnFailure
	}
	if o.RollbackWindow == 0 {
		o.RollbackWindow = d.RollbackWindow
	}
	for k, v := range d.Deadlines {
		if o.Deadlines[k] == 0 {
			o.Deadlines[k] = v
		}
	}
	return o
}

// together are the options of services that move as one: what each would have at
// the least, and on failure what none forbids.
func together(members []*machine) Options {
	all := members[0].config.Options.OrDefaults()
	for _, m := range members[1:] {
		o := m.config.Options.OrDefaults()
		for k := range all.Deadlines {
			all.Deadlines[k] = longest(all, o, StreamKind(k))
		}
		all.GateTimeout = max(all.GateTimeout, o.GateTimeout)
		all.DrainTimeout = max(all.DrainTimeout, o.DrainTimeout)
		all.PinDeadline = max(all.PinDeadline, o.PinDeadline)
		all.RollbackWindow = max(all.RollbackWindow, o.RollbackWindow)
		if o.Pins != PinsDrop {
			all.Pins = o.Pins
		}
		if o.OnFailure.OrDefault() != all.OnFailure.OrDefault() {
			all.OnFailure = OnFailureFreeze
		}
	}
	return all
}

// longest is the deadline of a kind of streams in two services, 0 where neither
// has its own.
func longest(a, b Options, k StreamKind) Duration {
	if a.Deadlines[k] == 0 && b.Deadlines[k] == 0 {
		return 0
	}
	return Duration(max(a.Deadline(k), b.Deadline(k)))
}

func (c *Cutover) validate() error {
	if c.From.Other() != c.To || !c.To.Valid() {
		return fmt.Errorf("cutover %s from %s to %s", c.ID, c.From, c.To)
	}
	if c.Step < 0 || c.Step > len(c.Ramp)+1 {
		return fmt.Errorf("cutover %s at step %d of %d", c.ID, c.Step, len(c.Ramp))
	}
	if len(c.Services) == 0 {
		return errors.New("cutover without services")
	}
	return errors.Join(c.Ramp.Validate(), c.Options.Validate())
}

// nextWeight is the weight of To after the next step: 100 is the flip.
func (c *Cutover) nextWeight() uint8 {
	if c.Step < len(c.Ramp) {
		return c.Ramp[c.Step].Weight
	}
	return 100
}

// hold is how long the current step lasts.
func (c *Cutover) hold() time.Duration {
	if c.Step == 0 || c.Step > len(c.Ramp) {
		return 0
	}
	return c.Ramp[c.Step-1].Hold
}
