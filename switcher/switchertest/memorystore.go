package switchertest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// MemoryStore is a switcher.Store that forgets with the process, and fails and
// hangs when a test says so. The zero value is an empty one.
type MemoryStore struct {
	mu      sync.Mutex
	saved   []byte        // JSON, so that no one shares memory with it; guarded by mu
	saves   int           // guarded by mu
	failure error         // guarded by mu
	stale   error         // guarded by mu
	blocked chan struct{} // closed by release; nil: nothing hangs. Guarded by mu
}

var _ switcher.Store = (*MemoryStore)(nil)

// FailWith makes each Load and Save from now on return err, and change nothing;
// nil ends that.
func (m *MemoryStore) FailWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failure = err
}

// StaleWith makes each Load from now on return the state together with err and
// switcher.ErrStale; nil ends that.
func (m *MemoryStore) StaleWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stale = err
}

// Block makes each Load and Save from now on hang until release is called, or
// its context ends. It may be called again after release, which may be called
// more than once.
func (m *MemoryStore) Block() (release func()) {
	gate := make(chan struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocked = gate
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.blocked == gate {
			m.blocked = nil
		}
		close(gate)
	})
}

// Saves counts the saves that succeeded.
func (m *MemoryStore) Saves() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}

// Saved returns the last state saved, whatever FailWith and Block say; false if
// there is none.
func (m *MemoryStore) Saved() (switcher.State, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.last()
	return s, err == nil
}

// Load implements switcher.Store.
func (m *MemoryStore) Load(ctx context.Context) (switcher.State, error) {
	if err := m.wait(ctx); err != nil {
		return switcher.State{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return switcher.State{}, m.failure
	}
	s, err := m.last()
	if err == nil && m.stale != nil {
		err = fmt.Errorf("%w: %w", switcher.ErrStale, m.stale)
	}
	return s, err
}

// Save implements switcher.Store.
func (m *MemoryStore) Save(ctx context.Context, s switcher.State) error {
	if err := m.wait(ctx); err != nil {
		return err
	}
	for name, service := range s.Services {
		if err := service.Validate(); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return m.failure
	}
	m.saved = text
	m.saves++
	return nil
}

func (m *MemoryStore) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	gate := m.blocked
	m.mu.Unlock()
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// last is called with mu held.
func (m *MemoryStore) last() (switcher.State, error) {
	if m.saved == nil {
		return switcher.State{}, switcher.ErrNoState
	}
	var s switcher.State
	err := json.Unmarshal(m.saved, &s)
	return s, err
}
