package switcher

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Gate is a condition that must hold before a cutover takes its next step.
// An implementation must be safe for concurrent use, and return when ctx ends: its
// time is up, or, if ctx is canceled, nobody wants to know any more.
type Gate interface {
	// Name is what status, plan and errors call the gate.
	Name() string
	// Check is asked before the first step, again while it says Wait, and
	// before each further step. A Wait should keep its reason while nothing
	// changes: each new one is an event.
	Check(ctx context.Context, p GateInput) Verdict
}

// GateInput is what a gate may base its verdict on.
type GateInput struct {
	Service string `json:"service"`
	// ID of the move; empty in a plan, where nothing will move.
	ID     string     `json:"id,omitempty"`
	From   Color      `json:"from"`
	To     Color      `json:"to"`
	Weight uint8      `json:"weight"` // of To after the step, in percent
	Step   int        `json:"step"`   // that is asked for, from 1 on
	Steps  int        `json:"steps"`  // there are, with the flip
	Health PoolHealth `json:"health"` // of To
	Now    time.Time  `json:"now"`
	By     string     `json:"by,omitempty"`
	Reason string     `json:"reason,omitempty"` // the operator's
	// Upstreams of both colors, as they are now.
	Upstreams PerColor[[]UpstreamState] `json:"-"`
}

// Planned reports that the gate is asked for a plan: it must not act.
func (p GateInput) Planned() bool { return p.ID == "" }

// UpstreamState is an upstream as gates see it.
type UpstreamState struct {
	Upstream
	Healthy bool `json:"healthy"`
	// Since is when Healthy last changed.
	Since time.Time `json:"since,omitzero"`
}

// Healthy returns the healthy upstreams of c.
func (p GateInput) Healthy(c Color) (list []UpstreamState) {
	for _, u := range p.Upstreams.Of(c) {
		if u.Healthy {
			list = append(list, u)
		}
	}
	return list
}

// Decision is what a gate says.
type Decision uint8

// The decisions. The zero value waits: a forgotten one opens nothing.
const (
	Wait Decision = iota
	Pass
	Refuse // final: waiting longer will not help
)

func (d Decision) String() string { return [...]string{"wait", "pass", "refuse"}[min(d, Refuse)] }

// MarshalText writes the name of the decision.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Decision) UnmarshalText(text []byte) error {
	for _, known := range []Decision{Wait, Pass, Refuse} {
		if string(text) == known.String() {
			*d = known
			return nil
		}
	}
	return fmt.Errorf("decision %q: want wait, pass or refuse", text)
}

// Verdict is a gate's decision and its reason.
type Verdict struct {
	Gate     string   `json:"gate"`
	Service  string   `json:"service,omitempty"`
	Decision Decision `json:"decision"`
	Reason   string   `json:"reason,omitempty"`
	// Stay says that the color that loses traffic must not get it back, as it
	// could not work: a ramp whose gate closes is then held where it is,
	// whatever the failure policy. An operator may roll back all the same.
	Stay bool `json:"stay,omitempty"`
}

// GateError is the refusal of a cutover, with what each gate said. It wraps
// ErrRefused.
type GateError struct{ Verdicts []Verdict }

func (e *GateError) Error() string { return ErrRefused.Error() + ": " + closedGates(e.Verdicts) }

// Unwrap makes errors.Is(err, ErrRefused) true.
func (e *GateError) Unwrap() error { return ErrRefused }

// closedGates joins the reasons of the gates that are not open.
func closedGates(verdicts []Verdict) string {
	var closed []string
	for _, v := range verdicts {
		if v.Decision != Pass {
			closed = append(closed, v.String())
		}
	}
	return strings.Join(closed, "; ")
}

func (v Verdict) String() string { return fmt.Sprintf("%s, gate %q: %s", v.Service, v.Gate, v.Reason) }
