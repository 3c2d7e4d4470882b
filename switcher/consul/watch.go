package consul

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// watch follows one query for all its subscribers.
type watch struct {
	client *Client
	query  Query
	urgent urgency
	users  int // guarded by the client's mu

	cancel context.CancelFunc // nil before start
	ended  chan struct{}

	asked []instance // by the last poll; of the watch's goroutine

	mu      sync.Mutex
	answer  answer                     // guarded by mu
	members map[*subscription]struct{} // guarded by mu
}

// answer is the latest that a watch knows. It is a copy, and what it points to
// is never edited.
type answer struct {
	// last poll that was told, good or failed. The zero time: none yet.
	last sight
	// good is the latest that did not fail, also if nothing had changed; it
	// was the count-th of them.
	good  sight
	count uint64
	// instances that good found.
	instances []instance
	// version grows when the instances change.
	version uint64
}

func newWatch(c *Client, q Query) *watch {
	return &watch{client: c, query: q, ended: make(chan struct{}), members: make(map[*subscription]struct{})}
}

func (w *watch) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() {
		defer close(w.ended)
		w.client.follow(ctx, w, &w.urgent)
	}()
}

// stop ends the watch and waits for it. It may be called again.
func (w *watch) stop() {
	if w.cancel != nil {
		w.cancel()
		<-w.ended
	}
}

// ask implements inquiry.
func (w *watch) ask(o *api.QueryOptions) (*api.QueryMeta, error) {
	entries, meta, err := w.query.ask(w.client.api, o)
	w.asked = instancesOf(entries, w.query)
	return meta, err
}

// tell implements inquiry.
func (w *watch) tell(s sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer.last = s
	if s.err == nil {
		if w.answer.version == 0 || !reflect.DeepEqual(w.asked, w.answer.instances) {
			w.answer.version++
			w.answer.instances = w.asked
		}
		w.answer.good = s
		w.answer.count++
	}
	for m := range w.members {
		m.signal()
	}
}

// subscription is one source's part in a watch.
type subscription struct {
	watch *watch
	news  chan<- struct{}
	urged bool // of the source's goroutine
}

func (w *watch) join(news chan<- struct{}) *subscription {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &subscription{watch: w, news: news}
	w.members[s] = struct{}{}
	if !w.answer.last.at.Equal(time.Time{}) {
		s.signal()
	}
	return s
}

func (w *watch) part(s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.members, s)
}

func (s *subscription) signal() {
	select {
	case s.news <- struct{}{}:
	default: // it will look all the same
	}
}

// latest returns what the watch knows.
func (s *subscription) latest() answer {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.answer
}

// urge makes the watch read more often for as long as it is on.
func (s *subscription) urge(on bool) {
	if on == s.urged {
		return
	}
	s.urged = on
	if on {
		s.watch.urgent.hold(1)
	} else {
		s.watch.urgent.hold(-1)
	}
}
