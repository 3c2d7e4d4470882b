package file

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// watches keeps the directories that lead to path watched, as well as it can.
type watches struct {
	path    string
	start   func() (*fsnotify.Watcher, error)
	log     *slog.Logger
	watcher *fsnotify.Watcher // nil when there is none
	dirs    []string
	trouble string // last logged
}

// set watches each directory anew: one that was removed and made again has lost
// its watch, and adding a watch twice is harmless. It reports whether the
// directories are others than before. What does not work is tried again with
// the next look.
func (w *watches) set() (moved bool) {
	dirs := places(w.path)
	moved = !slices.Equal(dirs, w.dirs)
	w.dirs = dirs
	if err := w.watch(dirs); err != nil {
		w.report(err)
	}
	return moved
}

func (w *watches) watch(dirs []string) error {
	if w.watcher == nil {
		started, err := w.start()
		if err != nil {
			return hint(err)
		}
		w.watcher = started
	}
	for _, old := range w.watcher.WatchList() {
		if !slices.Contains(dirs, old) {
			_ = w.watcher.Remove(old) // fails if it went by itself
		}
	}
	var failed error
	for _, dir := range dirs {
		if err := w.watcher.Add(dir); err != nil && !missing(err) {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", dir, hint(err)))
		}
	}
	return failed
}

// hint names the limit behind the kernel's words for it.
func hint(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the limit fs.inotify.max_user_watches is reached: %w", err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("the limit fs.inotify.max_user_instances, or that of open files, is reached: %w", err)
	}
	return err
}

// report says once what keeps the watches from working.
func (w *watches) report(err error) {
	if err.Error() == w.trouble {
		return
	}
	w.trouble = err.Error()
	w.log.Warn("the pool file cannot be watched and is only polled", "file", w.path, "error", err)
}

// stale reports whether the way to the file is not the one that is watched.
func (w *watches) stale() bool { return !slices.Equal(places(w.path), w.dirs) }

// events is nil, and so never ready, without a watcher.
func (w *watches) events() <-chan fsnotify.Event {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Events
}

// errors is nil without a watcher. An error means that anything may have
// changed, as after an overflow.
func (w *watches) errors() <-chan error {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Errors
}

// stop leaves no goroutine of the watcher.
func (w *watches) stop() {
	if w.watcher != nil {
		_ = w.watcher.Close() // nothing is left to lose
		w.watcher = nil
	}
}
