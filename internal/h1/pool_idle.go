package h1

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Warm dials until n connections are idle, a few at a time, but no more than
// MaxIdle and MaxOpen allow. It returns how many it has made, and the first
// error, after which it begins no more.
func (p *Pool) Warm(ctx context.Context, now time.Time, n int) (int, error) {
	const atOnce = 8
	var all sync.WaitGroup
	var mu sync.Mutex
	made, first := 0, error(nil)
	p.mu.Lock()
	missing := min(n, p.config.MaxIdle) - len(p.idle)
	p.mu.Unlock()
	for range min(missing, atOnce) {
		all.Go(func() {
			for {
				mu.Lock()
				if first != nil || missing <= 0 || !p.reserve() {
					mu.Unlock()
					return
				}
				missing--
				mu.Unlock()
				c, err := p.dial(ctx, now)
				if err == nil {
					p.Put(c, now)
				}
				mu.Lock()
				if err == nil {
					made++
				} else if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if first != nil {
		return made, fmt.Errorf("h1: connecting ahead: %w", first)
	}
	return made, nil
}

// reserve takes leave to dial, if there is any.
func (p *Pool) reserve() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.config.MaxOpen > 0 && p.open >= p.config.MaxOpen {
		return false
	}
	p.open++
	return true
}

// Sweep ends the idle connections that are too old at now, and those that the
// upstream has closed. Somebody is to call it now and then.
func (p *Pool) Sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.idle[:0]
	for _, c := range p.idle {
		dead := c.raw != nil && c.peek.at(c.raw) == sightEnd
		if dead {
			p.stats.Dead++
		}
		if dead || p.expired(c, now) {
			p.endLocked(c)
			continue
		}
		kept = append(kept, c)
	}
	clear(p.idle[len(kept):])
	p.idle = kept
}

// Idle hands out a connection that nobody uses, until Put, as Get does; nil: there
// is none. It neither dials nor waits.
func (p *Pool) Idle(now time.Time) *Conn {
	for {
		p.mu.Lock()
		c := p.takeLocked()
		p.mu.Unlock()
		if c == nil || p.fit(c, now) {
			return c
		}
	}
}

// CloseIdle ends the connections that nobody uses. The pool goes on.
func (p *Pool) CloseIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeIdleLocked()
}

func (p *Pool) closeIdleLocked() {
	for _, c := range p.idle {
		p.endLocked(c)
	}
	clear(p.idle)
	p.idle = p.idle[:0]
}

// CloseUnused is Close if there is no connection, and reports whether.
func (p *Pool) CloseUnused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || p.open == 0
	return p.closed
}

// Close ends the idle connections, and has Get fail. Those that are out are
// closed by Put.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for len(p.waiters) > 0 {
		p.grantLocked(grant{err: ErrPoolClosed})
	}
	p.closeIdleLocked()
}

// Stats returns the counts so far.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Idle, s.Open, s.Waiting = len(p.idle), p.open, len(p.waiters)
	return s
}
