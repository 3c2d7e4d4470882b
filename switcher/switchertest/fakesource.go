package switchertest

import (
	"context"
	"errors"
	"sync"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// FakeSource is a switcher.Source that tells what a test pushes, in order, while
// it runs. Each Run begins with the latest. The zero value has nothing to tell
// yet.
type FakeSource struct {
	// Name is what String returns, "fake" if empty.
	Name string

	mu      sync.Mutex
	queue   []Report      // not yet told; guarded by mu
	latest  *Report       // guarded by mu
	changed chan struct{} // of capacity 1; guarded by mu
}

var _ switcher.Source = (*FakeSource)(nil)

// Push makes the source tell pools, unless they are what it told last.
func (f *FakeSource) Push(p switcher.Pools) { f.push(Report{Pools: p}) }

// PushError makes the source fail with err, unless it did so last with the same
// text. A nil err is an error that says so.
func (f *FakeSource) PushError(err error) {
	if err == nil {
		err = errors.New("switchertest: a nil error was pushed")
	}
	f.push(Report{Err: err})
}

func (f *FakeSource) push(r Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.latest != nil && sameReport(*f.latest, r) {
		return
	}
	f.latest = &r
	f.queue = append(f.queue, r)
	select {
	case f.signal() <- struct{}{}:
	default:
	}
}

// signal is called with mu held. The channel is made late, so that it belongs
// to the synctest bubble that uses it.
func (f *FakeSource) signal() chan struct{} {
	if f.changed == nil {
		f.changed = make(chan struct{}, 1)
	}
	return f.changed
}

// Run implements switcher.Source.
func (f *FakeSource) Run(ctx context.Context, sink switcher.Sink) error {
	changed := f.begin()
	for {
		for _, r := range f.take() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if r.Err != nil {
				sink.Fail(r.Err)
			} else {
				sink.Update(r.Pools)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// begin forgets what was pushed before the latest.
func (f *FakeSource) begin() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = nil
	if f.latest != nil {
		f.queue = []Report{*f.latest}
	}
	return f.signal()
}

func (f *FakeSource) take() []Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.queue
	f.queue = nil
	return queue
}

// String implements switcher.Source.
func (f *FakeSource) String() string {
	if f.Name == "" {
		return "fake"
	}
	return f.Name
}
