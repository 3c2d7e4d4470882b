package switchertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// StoreHarness is a place that is empty at first, and the store under test that
// keeps its state there.
type StoreHarness struct {
	// Open returns the store as a process sees it that has just started,
	// with what the one before it saved; that one is not used any more, and
	// Open closes it where it must.
	Open func() switcher.Store
	// Services is how many services the largest state has; 0 means 1000.
	Services int
}

// TestStore is what every switcher.Store must pass. Each test begins with a new
// harness.
func TestStore(t *testing.T, newHarness func(t *testing.T) StoreHarness) {
	for name, test := range map[string]func(*testing.T, StoreHarness){
		"a fresh store has no state":                          freshHasNone,
		"every field comes back, also after a restart":        fieldsComeBack,
		"the last save wins":                                  lastWins,
		"a state without services is a state":                 emptyIsAState,
		"loads during 200 saves are never torn":               neverTorn,
		"a big state comes back":                              bigComesBack,
		"an ended context is refused and changes nothing":     endedContext,
		"a loaded state shares no memory with the store":      loadedIsACopy,
		"a saved state may be changed by its owner":           savedIsACopy,
		"a service that is not in the new state is forgotten": forgets,
	} {
		t.Run(name, func(t *testing.T) { test(t, newHarness(t)) })
	}
}

func freshHasNone(t *testing.T, h StoreHarness) {
	for range 2 {
		s, err := h.Open().Load(t.Context())
		if !errors.Is(err, switcher.ErrNoState) || errors.Is(err, switcher.ErrStale) || s.Services != nil {
			t.Fatalf("got %v, %v, want ErrNoState", s, err)
		}
	}
}

func fieldsComeBack(t *testing.T, h StoreHarness) {
	store := h.Open()
	save(t, store, FullState())
	wantState(t, store, FullState())
	wantState(t, h.Open(), FullState())
}

func lastWins(t *testing.T, h StoreHarness) {
	store := h.Open()
	for generation := range uint64(10) {
		save(t, store, generations(3, generation))
		wantState(t, store, generations(3, generation))
	}
	store = h.Open()
	wantState(t, store, generations(3, 9))
	save(t, store, generations(3, 4)) // a store does not judge
	wantState(t, h.Open(), generations(3, 4))
}

func emptyIsAState(t *testing.T, h StoreHarness) {
	store := h.Open()
	save(t, store, switcher.State{})
	for range 2 {
		if s, err := store.Load(t.Context()); err != nil || len(s.Services) != 0 {
			t.Fatalf("got %v, %v", s, err)
		}
		store = h.Open()
	}
}

// neverTorn loads while it saves: each load must see all services at one
// generation, and never an older one than the load before.
func neverTorn(t *testing.T, h StoreHarness) {
	const saves, loaders, services = 200, 4, 5
	store := h.Open()
	save(t, store, generations(services, 1))
	done := make(chan struct{})
	var running sync.WaitGroup
	for range loaders {
		running.Go(func() {
			for last := uint64(1); ; {
				seen, err := wholeGeneration(store, services)
				if err != nil || seen < last {
					t.Errorf("generation %d after %d: %v", seen, last, err)
					return
				}
				last = seen
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for generation := uint64(2); generation <= saves; generation++ {
		save(t, store, generations(services, generation))
	}
	close(done)
	running.Wait()
	wantState(t, h.Open(), generations(services, saves))
}

func wholeGeneration(store switcher.Store, services int) (uint64, error) {
	s, err := store.Load(context.Background())
	if err != nil {
		return 0, err
	}
	if len(s.Services) != services {
		return 0, fmt.Errorf("%d services", len(s.Services))
	}
	generation := s.Services["service-0000"].Generation
	for name, service := range s.Services {
		if service.Generation != generation {
			return 0, fmt.Errorf("service-0000 is at %d, and %s at %d", generation, name, service.Generation)
		}
	}
	return generation, nil
}

func bigComesBack(t *testing.T, h StoreHarness) {
	services := h.Services
	if services == 0 {
		services = 1000
	}
	store := h.Open()
	save(t, store, generations(services, 1))
	save(t, store, generations(services, 2))
	wantState(t, h.Open(), generations(services, 2))
}

func endedContext(t *testing.T, h StoreHarness) {
	store := h.Open()
	save(t, store, generations(2, 1))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Save(ended, generations(2, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("Save returned %v, want the error of its context", err)
	}
	if _, err := store.Load(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Load returned %v, want the error of its context", err)
	}
	wantState(t, store, generations(2, 1))
}

func loadedIsACopy(t *testing.T, h StoreHarness) {
	store := h.Open()
	save(t, store, FullState())
	s, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spoil(s)
	wantState(t, store, FullState())
}

func savedIsACopy(t *testing.T, h StoreHarness) {
	store := h.Open()
	s := FullState()
	save(t, store, s)
	spoil(s)
	wantState(t, store, FullState())
}

func spoil(s switcher.State) {
	ramping := s.Services["ramping"]
	ramping.Cutover.Ramp[0].Weight = 9
	ramping.Cutover.Held.Reason = "spoiled"
	ramping.History[0].ID = "spoiled"
	delete(s.Services, "fresh")
}

func forgets(t *testing.T, h StoreHarness) {
	store := h.Open()
	save(t, store, generations(3, 1))
	save(t, store, generations(2, 2))
	wantState(t, store, generations(2, 2))
	wantState(t, h.Open(), generations(2, 2))
}

func save(t *testing.T, store switcher.Store, s switcher.State) {
	t.Helper()
	if err := store.Save(t.Context(), s); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

// wantState compares as JSON, in which all of a state is: two times that are
// equal may differ in memory.
func wantState(t *testing.T, store switcher.Store, want switcher.State) {
	t.Helper()
	got, err := store.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if g, w := text(t, got), text(t, want); g != w {
		t.Fatalf("got  %.2000s\nwant %.2000s", g, w)
	}
}

func text(t *testing.T, s switcher.State) string {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
