package proxy

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// ledger knows every exchange under way, so that a drain can cut what is left
// at its deadline. It is split into parts that cores seldom share.
type ledger struct{ parts [32]ledgerPart }

type ledgerPart struct {
	mu     sync.Mutex
	head   *entry // guarded by mu; a doubly linked list
	opened uint64 // guarded by mu; how many there have been
	_      [104]byte
}

// entry is an exchange and what it counts on: everything that must be given
// back when it ends, and nothing of any config.
type entry struct {
	Exchange
	service  string
	about    about
	number   uint64 // of the exchange; later ones have higher ones, roughly
	started  time.Time
	lease    switcher.Lease     // changed under part.mu, by the handler
	endpoint *switcher.Endpoint // changed under part.mu, by the handler
	wanted   atomic.Bool        // the usher has been told of it
	over     atomic.Bool
	pulse    pulse       // guarded by part.mu
	rests    atomic.Bool // counts as resting on endpoint; changed under part.mu

	part       *ledgerPart
	prev, next *entry // guarded by part.mu
}

// open begins an exchange with endpoint, on a lease that it will release.
func (l *ledger) open(service string, about about, started time.Time, lease switcher.Lease, endpoint *switcher.Endpoint) *entry {
	at := rand.Uint64() % uint64(len(l.parts))
	e := &entry{service: service, about: about, started: started, lease: lease, endpoint: endpoint, part: &l.parts[at]}
	e.Upstream = endpoint.Address()
	e.finish, e.ledger = e.close, e
	endpoint.Begin()
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	e.part.opened++
	e.number = e.part.opened*uint64(len(l.parts)) + at
	if e.next = e.part.head; e.next != nil {
		e.next.prev = e
	}
	e.part.head = e
	return e
}

// close ends the exchange: once, by the handler or by the tunnel.
func (e *entry) close() {
	e.part.mu.Lock()
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		e.part.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	if e.rests.Load() {
		e.rests.Store(false)
		e.endpoint.Stir()
	}
	e.over.Store(true) // nobody moves it any more
	e.part.mu.Unlock()
	e.endpoint.End()
	e.lease.Release()
}

// became counts what mostly rests apart. It costs all else nothing.
func (e *entry) became(k switcher.StreamKind) {
	if k.Rests() == e.rests.Load() {
		return
	}
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	switch {
	case e.over.Load() || k.Rests() == e.rests.Load():
	case k.Rests():
		e.rests.Store(true)
		e.endpoint.Rest()
	default:
		e.rests.Store(false)
		e.endpoint.Stir()
	}
}

// moves takes the exchange to another endpoint, on a lease of its own if that is
// of the other color.
func (e *entry) moves(to *switcher.Endpoint, lease *switcher.Lease) {
	to.Begin()
	e.endpoint.End()
	if lease != nil {
		e.lease.Release()
	}
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	if e.rests.Load() {
		to.Rest()
		e.endpoint.Stir()
	}
	e.endpoint = to
	if lease != nil {
		e.lease = *lease
		e.stays()
		e.wanted.Store(false)
	}
}

// leaves reports whether the exchange is to leave a color, and is still there.
func (e *entry) leaves(c switcher.Color) bool {
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	return e.leavesLocked(c)
}

func (e *entry) leavesLocked(c switcher.Color) bool {
	return e.lease.Color == c && e.wanted.Load() && !e.over.Load()
}

// endOn is End for what is still to leave a color. First the session that the
// exchange is part of may leave too, so that its client does not come back there.
func (e *entry) endOn(c switcher.Color, cause error, patience time.Duration) bool {
	e.part.mu.Lock()
	lease, ask := e.lease, (func() bool)(nil)
	if e.leavesLocked(c) {
		ask = e.toEnd(cause, patience)
	}
	e.part.mu.Unlock()
	if ask == nil {
		return false
	}
	lease.Unpin()
	return ask()
}

// place is where it is now.
func (e *entry) place() (c switcher.Color, upstream string) {
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	return e.lease.Color, e.endpoint.Address()
}

// highest is a number above those of all exchanges so far.
func (l *ledger) highest() (n uint64) {
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		n = max(n, (p.opened+1)*uint64(len(l.parts)))
		p.mu.Unlock()
	}
	return n
}

// beginAt makes all numbers from now on higher than n.
func (l *ledger) beginAt(n uint64) {
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		p.opened = max(p.opened, n/uint64(len(l.parts)))
		p.mu.Unlock()
	}
}

// posts returns the services and colors that have exchanges.
func (l *ledger) posts() map[post]int {
	posts := make(map[post]int)
	for at, n := range l.kinds() {
		posts[at.post] += n
	}
	return posts
}

// kindAt is a kind of exchange of a service and color.
type kindAt struct {
	post
	kind switcher.StreamKind
}

// kinds counts the exchanges.
func (l *ledger) kinds() map[kindAt]int {
	kinds := make(map[kindAt]int)
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		for e := p.head; e != nil; e = e.next {
			kinds[kindAt{post{e.service, e.lease.Color}, e.streamKind()}]++
		}
		p.mu.Unlock()
	}
	return kinds
}

var errExit = errors.New("the edge ends")

// empty reports whether no exchange is under way.
func (l *ledger) empty() bool {
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		head := p.head
		p.mu.Unlock()
		if head != nil {
			return false
		}
	}
	return true
}

// cutAll cuts every exchange there is.
func (l *ledger) cutAll(cause error) {
	for i := range l.parts {
		for _, e := range l.parts[i].those(func(*entry) bool { return true }) {
			e.Cut(cause)
		}
	}
}

func (p *ledgerPart) those(wanted func(*entry) bool) (list []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.head; e != nil; e = e.next {
		if wanted(e) {
			list = append(list, e)
		}
	}
	return list
}
