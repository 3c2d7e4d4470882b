package h1

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// ErrPoolClosed is what Get and Warm return after Close.
var ErrPoolClosed = errors.New("h1: the pool is closed")

// Config are the settings of a Pool. Zero values stand for the defaults.
type Config struct {
	// Dial makes a connection, with its TLS handshake done. Needed.
	Dial func(context.Context) (net.Conn, error)
	// Limits bound what the upstream may send.
	Limits Limits
	// MaxIdle is how many connections are kept that nobody uses. Default: 128.
	MaxIdle int
	// MaxOpen is how many there may be in all, those that are being dialed
	// too. Get waits at this bound. Default: no bound.
	MaxOpen int
	// IdleTimeout is how long one is kept that nobody uses. Default: one minute.
	IdleTimeout time.Duration
	// MaxAge is after how long one is used no more, less up to a tenth by
	// chance, so that those dialed together do not end together. Default: never.
	MaxAge time.Duration
}

// Stats count what a Pool has, and has done.
type Stats struct {
	Idle, Open, Waiting int
	Dialed              uint64 // connections made
	Reused              uint64 // handed out after they had been idle
	Dead                uint64 // idle ones that the upstream had closed
	Surplus             uint64 // idle ones on which bytes came that belong to no answer
}

// Pool keeps connections to one upstream. The one that was used last is handed
// out first. It has neither goroutine nor timer: Sweep ends what has been idle
// for too long, and its owner calls that.
type Pool struct {
	config Config

	mu      sync.Mutex
	idle    []*Conn   // guarded by mu; the longest idle first
	waiters []*waiter // guarded by mu; the first to come first
	open    int       // guarded by mu; idle, lent, and being dialed
	closed  bool      // guarded by mu
	stats   Stats     // guarded by mu; the counts
}

// waiter is a Get or Fresh at the bound of MaxOpen.
type waiter struct{ granted chan grant }

// grant is a connection, or leave to dial one, or an error.
type grant struct {
	conn *Conn
	err  error
}

// NewPool makes a Pool.
func NewPool(c Config) *Pool {
	c.Limits = c.Limits.withDefaults()
	if c.MaxIdle == 0 {
		c.MaxIdle = 128
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = time.Minute
	}
	return &Pool{config: c}
}

// Get hands out a connection until Put. idled: it was dialed earlier, and may
// have died just now in spite of a look at it, so that a request that fails
// before any byte of an answer may not have been seen. An error is of dialing,
// ErrPoolClosed, or the context's.
func (p *Pool) Get(ctx context.Context, now time.Time) (c *Conn, idled bool, err error) {
	return p.get(ctx, now, false)
}

// Fresh is Get for who wants no connection that is idle now: it makes one. At the
// bound of MaxOpen the longest idle one ends for it, or it waits as Get does, and
// what it then gets may have been used: idled says so.
func (p *Pool) Fresh(ctx context.Context, now time.Time) (c *Conn, idled bool, err error) {
	return p.get(ctx, now, true)
}

func (p *Pool) get(ctx context.Context, now time.Time, fresh bool) (c *Conn, idled bool, err error) {
	for {
		c, wait, err := p.next(fresh)
		if err != nil {
			return nil, false, err
		}
		if wait != nil {
			if c, err = p.await(ctx, wait); err != nil {
				return nil, false, err
			}
		}
		if c == nil {
			c, err := p.dial(ctx, now)
			return c, false, err
		}
		if p.fit(c, now) {
			return c, true, nil
		}
	}
}

// next takes an idle connection, unless it is to be a fresh one, or leave to dial,
// or a place in the queue.
func (p *Pool) next(fresh bool) (*Conn, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrPoolClosed
	}
	if !fresh {
		if c := p.takeLocked(); c != nil {
			return c, nil, nil
		}
	}
	if p.config.MaxOpen == 0 || p.open < p.config.MaxOpen {
		p.open++
		return nil, nil, nil
	}
	if len(p.idle) > 0 { // only for a fresh one: its place is that one's
		_ = p.idle[0].Close()
		p.idle = slices.Delete(p.idle, 0, 1)
		return nil, nil, nil
	}
	w := &waiter{make(chan grant, 1)}
	p.waiters = append(p.waiters, w)
	return nil, w, nil
}

// takeLocked takes the idle connection that was used last.
func (p *Pool) takeLocked() *Conn {
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	c.lent = true
	return c
}

func (p *Pool) await(ctx context.Context, w *waiter) (*Conn, error) {
	select {
	case g := <-w.granted:
		return g.conn, g.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	} else if g := <-w.granted; g.conn != nil {
		g.conn.lent = false
		p.keepLocked(g.conn)
	} else if g.err == nil {
		p.releaseLocked()
	}
	return nil, context.Cause(ctx)
}

// fit looks at a connection that was idle, and ends it if it is of no use.
func (p *Pool) fit(c *Conn, now time.Time) bool {
	seen := sightNothing
	old := p.expired(c, now)
	if !old {
		seen = c.look()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case old:
	case seen == sightNothing:
		p.stats.Reused++
		return true
	case seen == sightBytes:
		p.stats.Surplus++
	default:
		p.stats.Dead++
	}
	c.lent = false
	p.endLocked(c)
	return false
}

func (p *Pool) expired(c *Conn, now time.Time) bool {
	return now.Sub(c.idleSince) >= p.config.IdleTimeout || p.config.MaxAge > 0 && !now.Before(c.expires)
}

// dial makes a connection with leave to; without success the leave goes on.
func (p *Pool) dial(ctx context.Context, now time.Time) (*Conn, error) {
	nc, err := p.config.Dial(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil && p.closed:
		_ = nc.Close()
		err = ErrPoolClosed
	case err == nil && nc == nil:
		err = errors.New("h1: Dial returned no connection")
	}
	if err != nil {
		p.releaseLocked()
		return nil, err
	}
	c := NewConn(nc, p.config.Limits)
	c.home, c.lent, c.idleSince = p, true, now
	if age := p.config.MaxAge; age > 0 {
		c.expires = now.Add(age - rand.N(age/10+1))
	}
	p.stats.Dialed++
	return c, nil
}

// Put takes back what Get handed out, whatever became of it, once. It is kept if
// it is Reusable and there is room, else closed; one that was hijacked only
// stops to count. It panics if the connection is not out: two exchanges on one
// would get each other's answers.
func (p *Pool) Put(c *Conn, now time.Time) {
	p.mu.Lock()
	if c.home != p || !c.lent {
		p.mu.Unlock()
		panic("h1: Put of a connection that the pool has not handed out")
	}
	c.lent = false
	p.mu.Unlock()

	ok := c.Next()

	p.mu.Lock()
	defer p.mu.Unlock()
	c.idleSince = now
	if !ok || p.expired(c, now) {
		p.endLocked(c)
		return
	}
	p.keepLocked(c)
}

// keepLocked gives a connection to who waits for one, or lays it by.
func (p *Pool) keepLocked(c *Conn) {
	switch {
	case p.closed:
		p.endLocked(c)
	case len(p.waiters) > 0:
		c.lent = true
		p.grantLocked(grant{conn: c})
	case len(p.idle) < p.config.MaxIdle:
		p.idle = append(p.idle, c)
	default:
		p.endLocked(c)
	}
}

func (p *Pool) grantLocked(g grant) {
	w := p.waiters[0]
	p.waiters = slices.Delete(p.waiters, 0, 1)
	w.granted <- g
}

func (p *Pool) endLocked(c *Conn) {
	_ = c.Close()
	p.releaseLocked()
}

// releaseLocked gives up the place of a connection, or passes it on.
func (p *Pool) releaseLocked() {
	if len(p.waiters) > 0 {
		p.grantLocked(grant{})
		return
	}
	p.open--
}
