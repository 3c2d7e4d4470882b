package switchertest

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// patience is how long a test waits for what must come before it fails.
const patience = 30 * time.Second

// Report is one call of a Sink: of Fail if Err is not nil, else of Update.
type Report struct {
	Pools switcher.Pools
	Err   error
}

// Sink is a switcher.Sink that remembers what it was told. The zero value has
// been told nothing.
type Sink struct {
	busy    atomic.Bool
	overlap atomic.Bool

	mu      sync.Mutex
	reports []Report      // guarded by mu
	changed chan struct{} // closed with the next report; guarded by mu
}

var _ switcher.Sink = (*Sink)(nil)

// Update implements switcher.Sink.
func (s *Sink) Update(p switcher.Pools) { s.add(Report{Pools: p}) }

// Fail implements switcher.Sink.
func (s *Sink) Fail(err error) { s.add(Report{Err: err}) }

func (s *Sink) add(r Report) {
	if !s.busy.CompareAndSwap(false, true) {
		s.overlap.Store(true)
	}
	defer s.busy.Store(false)
	runtime.Gosched() // so that a second call has time to overlap
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, r)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Overlapped reports whether two calls ever ran at the same time, which a
// source must never let happen.
func (s *Sink) Overlapped() bool { return s.overlap.Load() }

// Reports returns all calls so far.
func (s *Sink) Reports() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reports)
}

// Wait blocks until the calls so far satisfy done, and returns them. If that
// does not come about it fails the test, which what describes in a word or two.
func (s *Sink) Wait(t testing.TB, what string, done func([]Report) bool) []Report {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		reports, changed := s.observe()
		if done(reports) {
			return reports
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("waited %s for %s; told so far: %v", patience, what, reports)
		}
	}
}

// WaitUpdate blocks until the latest call is an Update with pools.
func (s *Sink) WaitUpdate(t testing.TB, pools switcher.Pools) []Report {
	t.Helper()
	return s.Wait(t, "the pools to arrive", func(reports []Report) bool {
		n := len(reports)
		return n > 0 && reports[n-1].Err == nil && SamePools(reports[n-1].Pools, pools)
	})
}

// WaitFail blocks until the latest call is a Fail.
func (s *Sink) WaitFail(t testing.TB) error {
	t.Helper()
	reports := s.Wait(t, "a failure", func(reports []Report) bool {
		n := len(reports)
		return n > 0 && reports[n-1].Err != nil
	})
	return reports[len(reports)-1].Err
}

// observe returns the calls so far, and what is closed with the next one.
func (s *Sink) observe() ([]Report, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return slices.Clone(s.reports), s.changed
}
