package proxy

import (
	"context"
	"net"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// poolFor looks up the pool of a target, and has it remembered there.
func (t *fastTransport) poolFor(to *target) *h1.Pool {
	p := t.poolOf(to.info.Upstream.Dial, to.info.Network, to.info.Address)
	to.pool.Store(p)
	return p
}

// poolOf is the pool of the connections to one upstream.
func (t *fastTransport) poolOf(upstream, network, address string) *h1.Pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.pools[upstream]; p != nil {
		return p
	}
	config := t.pool
	config.Dial = func(ctx context.Context) (net.Conn, error) { return t.dial(ctx, network, address) }
	if t.pools == nil {
		t.pools = make(map[string]*h1.Pool)
	}
	p := h1.NewPool(config)
	t.pools[upstream] = p
	if t.sweeper == nil {
		t.sweeper = time.AfterFunc(t.sweepEvery(), t.sweep)
	}
	return p
}

// sweepEvery is a part of the time that a connection may be idle.
func (t *fastTransport) sweepEvery() time.Duration {
	idle := t.pool.IdleTimeout
	if idle == 0 {
		idle = time.Minute
	}
	return max(idle/8, 100*time.Millisecond)
}

// sweep ends what has been idle for too long, and pools that nobody uses.
func (t *fastTransport) sweep() {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for upstream, p := range t.pools {
		if p.Sweep(now); p.CloseUnused() {
			delete(t.pools, upstream)
		}
	}
	if t.sweeper = nil; len(t.pools) > 0 {
		t.sweeper = time.AfterFunc(t.sweepEvery(), t.sweep)
	}
}

// CloseIdleConnections closes what nobody uses; pools go on.
func (t *fastTransport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for upstream, p := range t.pools {
		if p.CloseIdle(); p.CloseUnused() {
			delete(t.pools, upstream)
		}
	}
	if len(t.pools) == 0 && t.sweeper != nil {
		t.sweeper.Stop()
		t.sweeper = nil
	}
}
