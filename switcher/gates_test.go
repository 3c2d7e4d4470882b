package switcher_test

import (
	"context"
	"sync"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// gateFunc is a Gate made of a function.
type gateFunc func(context.Context, switcher.GateInput) switcher.Verdict

func (gateFunc) Name() string { return "custom" }

func (f gateFunc) Check(ctx context.Context, in switcher.GateInput) switcher.Verdict {
	return f(ctx, in)
}

// valve is a Gate that a test opens and closes.
type valve struct {
	mu      sync.Mutex
	verdict switcher.Verdict // guarded by mu
}

func (*valve) Name() string { return "valve" }

func (v *valve) Check(context.Context, switcher.GateInput) switcher.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.verdict
}

func (v *valve) say(d switcher.Decision, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.verdict = switcher.Verdict{Decision: d, Reason: reason}
}

// slowGate passes when its channel is closed.
type slowGate struct {
	mu   sync.Mutex
	open chan struct{} // guarded by mu
}

func (*slowGate) Name() string { return "slow" }

func (g *slowGate) set(open chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
}

func (g *slowGate) Check(ctx context.Context, _ switcher.GateInput) switcher.Verdict {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return switcher.Verdict{Decision: switcher.Pass}
	case <-ctx.Done():
		return switcher.Verdict{}
	}
}
