package switcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// HealthyShare is the gate that wants a part of the target pool to be healthy.
type HealthyShare struct {
	// Min is the least healthy share, above 0 up to 1.
	Min float64
}

// Name implements Gate.
func (g HealthyShare) Name() string { return "healthy" }

func (HealthyShare) instant() {}

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

func (Soak) instant() {}

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

// Paced asks a gate that goes over the network less often than the Switcher
// does while any gate is closed: a verdict that is no Refuse is repeated until
// Every has passed. The zero Every changes nothing. It must not be copied after
// first use.
type Paced struct {
	Gate
	// Every is the time between two checks before the same step.
	Every time.Duration

	mu   sync.Mutex
	last Verdict   // guarded by mu
	of   GateInput // that last answers, without upstreams; guarded by mu
}

// Check implements Gate. A plan is never answered from memory.
func (g *Paced) Check(ctx context.Context, p GateInput) Verdict {
	if p.Planned() {
		return g.Gate.Check(ctx, p)
	}
	g.mu.Lock()
	last, of := g.last, g.of
	g.mu.Unlock()
	if of.ID == p.ID && of.Step == p.Step && last.Gate != "" && last.Decision != Refuse && p.Now.Sub(of.Now) < g.Every {
		return last
	}
	v := g.Gate.Check(ctx, p)
	v.Gate = g.Name()
	if errors.Is(ctx.Err(), context.Canceled) {
		return v // of a round that was called off: it says nothing of the next
	}
	g.mu.Lock()
	g.last, g.of = v, p
	g.of.Upstreams = PerColor[[]UpstreamState]{}
	g.mu.Unlock()
	return v
}
