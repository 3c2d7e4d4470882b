package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/h1"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// aheadMost bounds how many connections to one upstream are made ahead, where the
// config does not say.
const aheadMost = 64

// ahead is the gate that has connections to the target made before it gets
// traffic, so that its first requests wait for none.
type ahead struct {
	forwarder *fastForwarder
	n         *int // to each upstream; nil: what the other color has
}

var _ switcher.Gate = (*ahead)(nil)

// Name implements switcher.Gate.
func (*ahead) Name() string { return "connections" }

// Check implements switcher.Gate. It asks of healthy upstreams only: how many of
// them there must be is for another gate to say.
func (g *ahead) Check(ctx context.Context, p switcher.GateInput) switcher.Verdict {
	var to []string
	for _, u := range p.Upstreams.Of(p.To) {
		if u.Healthy {
			to = append(to, u.Address)
		}
	}
	want := g.want(p.Upstreams.Of(p.From), len(to))
	if p.Planned() {
		return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf("%d connections to each of %d healthy upstreams are to be made", want, len(to))}
	}
	ready, failed := 0, error(nil)
	for _, address := range to {
		pool, err := g.pool(address)
		if err == nil {
			_, err = pool.Warm(ctx, time.Now(), want)
			ready += min(pool.Stats().Open, want)
		}
		if err != nil {
			failed = fmt.Errorf("upstream %s: %w", address, err)
		}
	}
	reason := fmt.Sprintf("%d of %d connections to %d healthy upstreams are made", ready, want*len(to), len(to))
	if failed != nil {
		return switcher.Verdict{Reason: reason + "; " + failed.Error()}
	}
	return switcher.Verdict{Decision: switcher.Pass, Reason: reason}
}

func (g *ahead) pool(address string) (*h1.Pool, error) {
	target, err := g.forwarder.targets.get(address)
	if err != nil {
		return nil, err
	}
	return g.forwarder.t.poolFor(target), nil
}

// want is how many connections each of n upstreams is to have.
func (g *ahead) want(from []switcher.UpstreamState, n int) int {
	if g.n != nil {
		return *g.n
	}
	open := 0
	for _, u := range from {
		if pool, err := g.pool(u.Address); err == nil {
			open += pool.Stats().Open
		}
	}
	return aheadShare(open, n)
}

func aheadShare(open, upstreams int) int {
	upstreams = max(upstreams, 1)
	return min(max((open+upstreams-1)/upstreams, 1), aheadMost)
}
