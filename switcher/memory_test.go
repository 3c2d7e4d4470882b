package switcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// memory is a Store that fails and hangs when a test says so. It refuses a
// state that could not be resumed, so that every test checks that too.
type memory struct {
	mu    sync.Mutex
	text  []byte        // guarded by mu
	fail  error         // guarded by mu
	block chan struct{} // guarded by mu; nil: nothing hangs
	saves int           // guarded by mu
	bad   error         // guarded by mu; the first state that was not valid
}

func (m *memory) Load(context.Context) (switcher.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.text == nil {
		return switcher.State{}, switcher.ErrNoState
	}
	var s switcher.State
	err := json.Unmarshal(m.text, &s)
	return s, err
}

// Save ignores ctx where it hangs: so does a disk.
func (m *memory) Save(_ context.Context, s switcher.State) error {
	m.mu.Lock()
	block := m.block
	m.mu.Unlock()
	if block != nil {
		<-block
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, st := range s.Services {
		if err := st.Validate(); err != nil && m.bad == nil {
			m.bad = fmt.Errorf("state of %q: %w", name, err)
		}
	}
	if m.fail != nil {
		return m.fail
	}
	m.saves++
	var err error
	m.text, err = json.Marshal(s)
	return err
}

func (m *memory) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// hang makes each write block until the returned function is called.
func (m *memory) hang() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	block := make(chan struct{})
	m.block = block
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.block = nil
		close(block)
	}
}

func (m *memory) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}

func (m *memory) invalid() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bad
}

func (m *memory) state(t testing.TB, service string) switcher.ServiceState {
	t.Helper()
	s, err := m.Load(t.Context())
	if err != nil {
		t.Fatalf("the store holds no state: %v", err)
	}
	return s.Services[service]
}
