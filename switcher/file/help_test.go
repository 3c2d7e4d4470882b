package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func stateAt(generation uint64) switcher.State {
	return switcher.State{Services: map[string]switcher.ServiceState{
		"app": {Generation: generation, Active: switcher.Blue, Split: switcher.All(switcher.Blue)},
	}}
}

// loadedGeneration is 0 for a store that is fresh.
func loadedGeneration(s *Store) (uint64, error) {
	state, err := s.Load(context.Background())
	if errors.Is(err, switcher.ErrNoState) {
		return 0, nil
	}
	return state.Services["app"].Generation, err
}

func mustSave(t *testing.T, s *Store, generation uint64) {
	t.Helper()
	if err := s.Save(t.Context(), stateAt(generation)); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

func wantLoaded(t *testing.T, s *Store, generation uint64) {
	t.Helper()
	if got, err := loadedGeneration(s); err != nil || got != generation {
		t.Errorf("loaded generation %d, %v, want %d", got, err, generation)
	}
}

func wantStale(t *testing.T, s *Store, generation uint64, words ...string) {
	t.Helper()
	got, err := loadedGeneration(s)
	if !errors.Is(err, switcher.ErrStale) || got != generation {
		t.Fatalf("loaded generation %d, %v, want %d and ErrStale", got, err, generation)
	}
	wantWords(t, err, words...)
}

// wantFailed wants an error that is neither ErrStale nor ErrNoState.
func wantFailed(t *testing.T, s *Store, words ...string) {
	t.Helper()
	got, err := s.Load(t.Context())
	if err == nil || errors.Is(err, switcher.ErrStale) || errors.Is(err, switcher.ErrNoState) || got.Services != nil {
		t.Fatalf("got %v, %v", got, err)
	}
	wantWords(t, err, words...)
}

func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got  %v\nwant %s", err, w)
		}
	}
}

func document(t *testing.T, generation uint64) string {
	t.Helper()
	doc, err := encode(stateAt(generation), at, maxDocument)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// signed makes a document of a payload that encode would not write.
func signed(payload string) string {
	return fmt.Sprintf(`{"format":1,"sha256":%q,"payload":%s}`, checksum([]byte(payload)), payload)
}

// put writes a file in place.
func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// swap replaces a file by a rename.
func swap(t testing.TB, path, content string) {
	t.Helper()
	put(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
