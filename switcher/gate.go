package switcher

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Gate is a condition that must hold before a cutover takes its next step.
// An implementation must be safe for concurrent use, and return when ctx ends.
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
	Service string     `json:"service"`
	From    Color      `json:"from"`
	To      Color      `json:"to"`
	Weight  uint8      `json:"weight"` // of To after the step, in percent
	Health  PoolHealth `json:"health"` // of To
	Now     time.Time  `json:"now"`
	Reason  string     `json:"reason,omitempty"` // the operator's
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

// HealthyShare is the gate that wants a part of the target pool to be healthy.
type HealthyShare struct {
	// Min is the least healthy share, above 0 up to 1.
	Min float64
}

// Name implements Gate.
func (g HealthyShare) Name() string { return "healthy" }

// Check implements Gate. An empty pool is refused at once.
func (g HealthyShare) Check(_ context.Context, p GateInput) Verdict {
	h := p.Health
	switch {
	case h.Total == 0:
		return Verdict{Decision: Refuse, Reason: fmt.Sprintf("the %s pool is empty", p.To)}
	case h.Healthy == 0 || h.Share() < g.Min:
		return Verdict{Reason: fmt.Sprintf("%s has %d of %d upstreams healthy, needs %g%%: %s",
			p.To, h.Healthy, h.Total, g.Min*100, h.Reason)}
	}
	return Verdict{Decision: Pass, Reason: fmt.Sprintf("%d of %d healthy", h.Healthy, h.Total)}
}

// Soak is the gate that wants the target pool's health unchanged for a while,
// so that a flapping upstream does not slip through between two falls.
type Soak struct {
	// For is how long no verdict in the pool may have changed.
	For time.Duration
}

// Name implements Gate.
func (g Soak) Name() string { return "soak" }

// Check implements Gate.
func (g Soak) Check(_ context.Context, p GateInput) Verdict {
	if p.Health.Healthy == 0 && p.Health.Unknown == p.Health.Total {
		return Verdict{Reason: fmt.Sprintf("%s has no upstream with a verdict yet", p.To)}
	}
	calm := p.Now.Sub(p.Health.Since)
	if calm < g.For {
		return Verdict{Reason: fmt.Sprintf("%s's health changed at %s, must be unchanged for %s",
			p.To, p.Health.Since.Format(time.TimeOnly), g.For)}
	}
	return Verdict{Decision: Pass, Reason: fmt.Sprintf("unchanged for %s", calm.Round(time.Second))}
}
