package proxy

import (
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// ledger knows every exchange under way, so that a drain can cut what is left
// at its deadline. It is split into parts that cores seldom share.
type ledger struct{ parts [32]ledgerPart }

type ledgerPart struct {
	mu   sync.Mutex
	head *entry // guarded by mu; a doubly linked list
	_    [112]byte
}

// entry is an exchange and what it counts on: everything that must be given
// back when it ends, and nothing of any config.
type entry struct {
	Exchange
	service  string
	lease    switcher.Lease
	endpoint *switcher.Endpoint

	part       *ledgerPart
	prev, next *entry // guarded by part.mu
}

// open begins an exchange with endpoint, on a lease that it will release.
func (l *ledger) open(service string, lease switcher.Lease, endpoint *switcher.Endpoint) *entry {
	e := &entry{service: service, lease: lease, endpoint: endpoint, part: &l.parts[rand.Uint32()%uint32(len(l.parts))]}
	e.Upstream = endpoint.Address()
	e.finish = e.close
	endpoint.Begin()
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
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
	e.part.mu.Unlock()
	e.endpoint.End()
	e.lease.Release()
}

// Why an exchange was cut.
var (
	errDrained = errors.New("cut at the deadline of a drain")
	errExit    = errors.New("the edge ends")
)

// evict cuts all exchanges of a color and returns how many there were.
// It does not wait for them.
func (l *ledger) evict(service string, c switcher.Color) (n int) {
	for i := range l.parts {
		for _, e := range l.parts[i].those(func(e *entry) bool { return e.service == service && e.lease.Color == c }) {
			if e.Cut(errDrained) {
				n++
			}
		}
	}
	return n
}

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
