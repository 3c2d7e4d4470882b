package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// aheadMost bounds how many connections to one upstream are made ahead, where the
// config does not say.
const aheadMost = 64

// ahead is the gate that has connections to the target made before it gets
// traffic, so that its first requests wait for none.
type ahead struct {
	forwarder *fastForwarder
	service   *switcher.Service
	n         *int // to each upstream; nil: what the other color has
}

var _ switcher.Gate = (*ahead)(nil)

// Name implements switcher.Gate.
func (*ahead) Name() string { return "connections" }

// Check implements switcher.Gate. It asks of healthy upstreams only: how many of
// them there must be is for another gate to say.
func (g *ahead) Check(ctx context.Context, p switcher.GateInput) switcher.Verdict {
	table := g.service.Table()
	if table == nil {
		return switcher.Verdict{Reason: "the service is not running"}
	}
	to := healthy(table.Pools.Of(p.To))
	want := g.want(table.Pools.Of(p.From), len(to))
	ready, failed := 0, error(nil)
	for _, e := range to {
		target, err := g.forwarder.targets.get(e.Address())
		if err == nil {
			pool := g.forwarder.t.poolFor(target)
			_, err = pool.Warm(ctx, time.Now(), want)
			ready += min(pool.Stats().Open, want)
		}
		if err != nil {
			failed = fmt.Errorf("upstream %s: %w", e.Address(), err)
		}
	}
	reason := fmt.Sprintf("%d of %d connections to %d healthy upstreams are made", ready, want*len(to), len(to))
	if failed != nil {
		return switcher.Verdict{Reason: reason + "; " + failed.Error()}
	}
	return switcher.Verdict{Decision: switcher.Pass, Reason: reason}
}

// want is how many connections each of n upstreams is to have.
func (g *ahead) want(from *switcher.Pool, n int) int {
	if g.n != nil {
		return *g.n
	}
	open := 0
	for _, e := range from.Endpoints() {
		if target, err := g.forwarder.targets.get(e.Address()); err == nil {
			open += g.forwarder.t.poolFor(target).Stats().Open
		}
	}
	return aheadShare(open, n)
}

func aheadShare(open, upstreams int) int {
	upstreams = max(upstreams, 1)
	return min(max((open+upstreams-1)/upstreams, 1), aheadMost)
}

func healthy(p *switcher.Pool) (list []*switcher.Endpoint) {
	for _, e := range p.Endpoints() {
		if e.Health().Healthy {
			list = append(list, e)
		}
	}
	return list
}
