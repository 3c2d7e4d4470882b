package switcher

import (
	"context"
	"fmt"
	"time"
)

// saver stands between the Switcher's goroutine and a Store that may hang: a
// disk that does not answer must not keep a rollback waiting.
type saver struct {
	store Store
	jobs  chan saveJob

	// late is the answer of a write that nobody waits for any more; nil: none
	// is under way. It belongs to Run's goroutine.
	late <-chan error
}

type saveJob struct {
	state State
	done  chan error // buffered
}

// How long a command waits for the Store. A move that may not be lost waits
// longer than one that must go through whatever the Store says. Nobody waits
// for a Store that is known to hang.
const (
	savePatience     = 2 * time.Second
	rollbackPatience = 250 * time.Millisecond
)

func newSaver(store Store) *saver { return &saver{store: store, jobs: make(chan saveJob)} }

func (s *saver) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-s.jobs:
			job.done <- s.store.Save(ctx, job.state)
		}
	}
}

// save returns when the state is stored, or patience is at an end. After an
// error it may still be stored later.
func (s *saver) save(state State, patience time.Duration) error {
	if s.hangs() {
		return fmt.Errorf("%w: the store has not finished an earlier write", ErrStore)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	job := saveJob{state: state, done: make(chan error, 1)}
	select {
	case s.jobs <- job:
	case <-timer.C:
		return fmt.Errorf("%w: the store takes no writes", ErrStore)
	}
	select {
	case err := <-job.done:
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStore, err)
		}
		return nil
	case <-timer.C:
		s.late = job.done
		return fmt.Errorf("%w: no answer from the store within %s", ErrStore, patience)
	}
}

// hangs reports whether a write is under way that outlasted its patience.
func (s *saver) hangs() bool {
	if s.late == nil {
		return false
	}
	select {
	case <-s.late:
		s.late = nil
		return false
	default:
		return true
	}
}
