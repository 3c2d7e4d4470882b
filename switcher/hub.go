package switcher

import (
	"sync"
	"time"
)

// hub hands events to subscribers. It never waits for one.
type hub struct {
	hook func(Event)

	mu     sync.Mutex
	seq    uint64                   // guarded by mu
	subs   map[*subscriber]struct{} // guarded by mu; nil: none yet
	closed bool                     // guarded by mu
}

type subscriber struct {
	events chan Event // has room for one more than backlog: the EventLost
	lost   bool       // guarded by hub.mu: it has had its EventLost, and misses more
}

// backlog is how far a subscriber may fall behind.
const backlog = 256

func (h *hub) subscribe() (<-chan Event, func()) {
	sub := &subscriber{events: make(chan Event, backlog+1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(sub.events)
		return sub.events, func() {}
	}
	if h.subs == nil {
		h.subs = make(map[*subscriber]struct{})
	}
	h.subs[sub] = struct{}{}
	return sub.events, func() { h.remove(sub) }
}

func (h *hub) remove(sub *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.subs[sub]; ok {
		delete(h.subs, sub)
		close(sub.events)
	}
}

// emit numbers e, stamps it, and delivers it in order.
func (h *hub) emit(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	e.Seq = h.seq
	e.At = time.Now()
	if h.hook != nil {
		h.hook(e)
	}
	for sub := range h.subs {
		sub.offer(e)
	}
}

// offer is called with the hub's mu held, so that nobody else sends. The
// EventLost follows at once, so that a reader hears of the last event it
// missed even if no other comes.
func (sub *subscriber) offer(e Event) {
	switch full := len(sub.events) >= backlog; {
	case !full:
		sub.lost = false
		sub.events <- e
	case !sub.lost:
		sub.lost = true
		sub.events <- Event{Type: EventLost, Seq: e.Seq, At: e.At, Detail: "events were lost here: ask for status again"}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for sub := range h.subs {
		delete(h.subs, sub)
		close(sub.events)
	}
}
