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

	// What follows belongs to Run's goroutine.
	late  <-chan error // the answer of a write that outlasted its patience; nil: none
	began time.Time    // when that write began
}

type saveJob struct {
	state State
	done  chan error // buffered
}

// How long a command waits for the Store. A move that may not be lost waits
// longer than one that must go through whatever the Store says. Neither waits
// once a single write has taken longer than savePatience: then the Store hangs.
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
	if !s.free(patience) {
		return fmt.Errorf("%w: the store has not finished an earlier write", ErrStore)
	}
	now := time.Now()
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
		s.late, s.began = job.done, now
		return fmt.Errorf("%w: no answer from the store within %s", ErrStore, patience)
	}
}

// free waits for a write that is late, as long as it may still be just slow.
func (s *saver) free(patience time.Duration) bool {
	if s.late == nil {
		return true
	}
	timer := time.NewTimer(min(patience, time.Until(s.began.Add(savePatience))))
	defer timer.Stop()
	select {
	case <-s.late:
		s.late = nil
		return true
	case <-timer.C:
	}
	select {
	case <-s.late:
		s.late = nil
		return true
	default:
		return false
	}
}
