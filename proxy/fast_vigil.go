package proxy

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// vigil looks now and then whether the clients of exchanges are still there: often
// at first, when an upstream still works on what nobody may want, and less often
// later. To be told by their contexts would cost each exchange more, and memory
// for as long as it lasts. It is one timer for all, and none while nobody waits.
// The zero value is ready.
type vigil struct {
	parts   [16]vigilPart
	running atomic.Bool
	rounds  uint // those so far; of the timer only
}

// A client that leaves is missed after one or two vigilRounds in the first second
// of its exchange, and within half a second later on.
const (
	vigilRound  = 20 * time.Millisecond
	vigilYoung  = 50 // rounds in which all are looked at
	vigilSeldom = 25 // rounds between two looks after that
)

// vigilPart is one of several, so that cores seldom share one.
type vigilPart struct {
	mu         sync.Mutex
	young, old *watched // guarded by mu; doubly linked lists
	_          [40]byte
}

// watched is an exchange's place in a vigil. The zero value has none.
type watched struct {
	part *vigilPart
	ctx  context.Context
	who  interface{ cancel() }

	// guarded by part.mu
	prev, next *watched
	listed     bool
	rounds     uint8
}

// watch has who canceled if ctx ends before unwatch.
func (v *vigil) watch(x *watched, ctx context.Context, who interface{ cancel() }) {
	p := &v.parts[rand.Uint32()%uint32(len(v.parts))]
	x.part, x.ctx, x.who = p, ctx, who
	p.mu.Lock()
	x.enlistLocked(&p.young)
	p.mu.Unlock()
	v.run()
}

// unwatch ends it.
func (x *watched) unwatch() {
	if x.part == nil {
		return
	}
	x.part.mu.Lock()
	defer x.part.mu.Unlock()
	if x.listed {
		x.unlistLocked()
	}
}

func (x *watched) enlistLocked(list **watched) {
	x.listed, x.prev, x.next = true, nil, *list
	if x.next != nil {
		x.next.prev = x
	}
	*list = x
}

func (x *watched) unlistLocked() {
	switch {
	case x.prev != nil:
		x.prev.next = x.next
	case x.part.young == x:
		x.part.young = x.next
	default:
		x.part.old = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.prev, x.next, x.listed = nil, nil, false
}

func (v *vigil) run() {
	if !v.running.Load() && v.running.CompareAndSwap(false, true) {
		time.AfterFunc(vigilRound, v.round)
	}
}

// round looks at those whose turn it is.
func (v *vigil) round() {
	v.rounds++
	waiting := false
	for i := range v.parts {
		waiting = v.parts[i].round(v.rounds%vigilSeldom == 0) || waiting
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

func (p *vigilPart) round(all bool) (waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var next *watched
	for x := p.young; x != nil; x = next {
		next = x.next
		if x.rounds++; x.lookLocked() && x.rounds >= vigilYoung {
			x.unlistLocked()
			x.enlistLocked(&p.old)
		}
	}
	for x := p.old; x != nil && all; x = next {
		next = x.next
		x.lookLocked()
	}
	return p.young != nil || p.old != nil
}

// lookLocked reports whether the client is there.
func (x *watched) lookLocked() bool {
	if x.ctx.Err() == nil {
		return true
	}
	x.unlistLocked()
	x.who.cancel()
	return false
}

func (p *vigilPart) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.young != nil || p.old != nil
}
