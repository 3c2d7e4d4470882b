package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

const (
	dirMode  = 0o750
	fileMode = 0o640
)

// unusable is the error of a document that was read, and is no good: unlike one
// that could not be read, it will not get better.
type unusable struct{ error }

func (u unusable) Unwrap() error { return u.error }

// errClosed is what a closed Store answers.
var errClosed = errors.New("the state store is closed")

// Store keeps the state in a directory. It is safe for concurrent use; make one
// with OpenStore.
type Store struct {
	dir   string
	limit int64 // of a document, in bytes

	mu   sync.Mutex
	lock *lock // nil when closed; guarded by mu
	// trusted is the current document as last written or checked, so that a
	// save need not read it again; nil if unknown. Guarded by mu.
	trusted os.FileInfo

	// after is called with the name of each step of a save, for tests that
	// kill the process there.
	after func(step string)
}

var _ switcher.Store = (*Store)(nil)

// OpenStore makes dir its own: it creates the directory, takes its lock, and
// removes what a killed process left half written. It fails with an error that
// names the owner if another process, or another Store of this one, has the
// directory. It does not read the state.
func OpenStore(dir string) (*Store, error) {
	if dir == "" {
		return nil, errors.New("state directory: no path given")
	}
	if err := makeDir(filepath.Clean(dir)); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	l, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, limit: maxDocument, lock: l, after: func(string) {}}
	if err := s.removeTemporary(); err != nil {
		return nil, errors.Join(fmt.Errorf("state directory: %w", err), l.release())
	}
	return s, nil
}

// Close gives the directory up. Load and Save fail from then on.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.lock.release()
	s.lock = nil
	return err
}

// String names the store in logs, as "file /var/lib/greenroom/state.json".
func (s *Store) String() string { return "file " + s.path(current) }

// Save implements switcher.Store. An ended ctx is refused; after the start the
// disk decides how long it takes.
func (s *Store) Save(ctx context.Context, state switcher.State) error {
	doc, err := encode(state, time.Now(), s.limit)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if err := s.replace(doc); err != nil {
		return fmt.Errorf("save state in %s: %w", s.dir, err)
	}
	return nil
}

// Load implements switcher.Store. An ended ctx is refused.
//
// A document that was read and cannot be used is moved aside if the previous
// generation can. If neither can, both stay where they are, the state is the
// zero one, and the error wraps neither ErrStale nor ErrNoState.
func (s *Store) Load(ctx context.Context) (switcher.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return switcher.State{}, fmt.Errorf("load state: %w", err)
	}
	newest, currentErr := s.read(current)
	if currentErr == nil {
		return newest.State, nil
	}
	older, previousErr := s.read(previous)
	switch {
	case missing(currentErr) && missing(previousErr):
		return switcher.State{}, switcher.ErrNoState
	case missing(previousErr):
		return switcher.State{}, fmt.Errorf("load state: %w; there is no previous generation", currentErr)
	case previousErr != nil:
		return switcher.State{}, fmt.Errorf("load state: %w; and the previous generation: %w", currentErr, previousErr)
	}
	kept := ""
	if _, bad := errors.AsType[unusable](currentErr); bad {
		kept = "; " + s.setAside()
	}
	return older.State, fmt.Errorf("load state: %w: %w%s; using the previous generation, written %s",
		switcher.ErrStale, currentErr, kept, older.Written.Format(time.RFC3339))
}

func (s *Store) usable(ctx context.Context) error {
	if s.lock == nil {
		return errClosed
	}
	return ctx.Err()
}

// read returns one generation, or an error that names its file.
func (s *Store) read(name string) (payload, error) {
	data, info, err := readRegular(s.path(name), s.limit)
	if missing(err) {
		return payload{}, fmt.Errorf("%s is missing: %w", s.path(name), err)
	}
	if err != nil {
		return payload{}, fmt.Errorf("%s cannot be read: %w", s.path(name), err)
	}
	p, err := decode(data)
	if err != nil {
		return payload{}, unusable{fmt.Errorf("%s cannot be used: %w", s.path(name), err)}
	}
	if name == current {
		s.trusted = info
	}
	return p, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
