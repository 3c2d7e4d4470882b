package proxy

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// vigil watches whether those who wait for exchanges are still there. Most
// exchanges end so soon that to look would cost more than it saves, so it ties
// only those to their contexts that have gone on for a round or two: one timer
// for all. The zero value is ready, and has no timer while nobody waits.
type vigil struct {
	parts   [16]vigilPart
	running atomic.Bool
}

// vigilRound is how often those are looked for.
const vigilRound = 20 * time.Millisecond

// vigilPart is one of several, so that cores seldom share one.
type vigilPart struct {
	mu         sync.Mutex
	fresh, old *fastExchange // guarded by mu; doubly linked lists
	_          [40]byte
}

// watched is an exchange's place in a vigil.
type watched struct {
	part       *vigilPart
	ctx        context.Context
	prev, next *fastExchange // guarded by part.mu
	listed     bool          // guarded by part.mu
	untie      func() bool   // guarded by part.mu; nil: it is not tied
}

// watch has x canceled soon after ctx ends, until unwatch.
func (v *vigil) watch(x *fastExchange, ctx context.Context) {
	p := &v.parts[rand.Uint32()%uint32(len(v.parts))]
	x.part, x.ctx = p, ctx
	p.mu.Lock()
	x.listed, x.next = true, p.fresh
	if x.next != nil {
		x.next.prev = x
	}
	p.fresh = x
	p.mu.Unlock()
	v.run()
}

func (v *vigil) run() {
	if !v.running.Load() && v.running.CompareAndSwap(false, true) {
		time.AfterFunc(vigilRound, v.round)
	}
}

// unwatch must be called once.
func (x *fastExchange) unwatch() {
	p := x.part
	p.mu.Lock()
	if x.listed {
		x.unlistLocked()
	}
	untie := x.untie
	p.mu.Unlock()
	if untie != nil {
		untie()
	}
}

func (x *fastExchange) unlistLocked() {
	switch {
	case x.prev != nil:
		x.prev.next = x.next
	case x.part.fresh == x:
		x.part.fresh = x.next
	default:
		x.part.old = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.prev, x.next, x.listed = nil, nil, false
}

// round ties those that were there a round ago already.
func (v *vigil) round() {
	waiting := false
	for i := range v.parts {
		waiting = v.parts[i].round() || waiting
	}
	if waiting {
		time.AfterFunc(vigilRound, v.round)
		return
	}
	v.running.Store(false)
	for i := range v.parts { // one may have come before it could see that
		if v.parts[i].waits() {
			v.run()
			return
		}
	}
}

func (p *vigilPart) round() (waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for x := p.old; x != nil; x = p.old {
		x.unlistLocked()
		x.untie = context.AfterFunc(x.ctx, x.cancel)
	}
	p.old, p.fresh = p.fresh, nil
	return p.old != nil
}

func (p *vigilPart) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh != nil
}
