package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Source watches one pool file.
//
// A change is noticed by the events of the directories that lead to the file,
// and read after 100 ms without another event, or 1 s of events. The file is
// also read every 5 s, which is all that happens where the kernel gives no
// watches.
//
// A failure is told after a second look 250 ms later has found the same, so
// that a writer at work is no alarm, and once for as long as it stays the same.
// After a failure the pools are told again, even if they have not changed.
type Source struct {
	path string
	log  *slog.Logger
	pace pace
	// looked is called after each look and what it led to, for tests that
	// wait for it.
	looked func(look)
	// watch starts the watching, for tests without it.
	watch func() (*fsnotify.Watcher, error)
}

var _ switcher.Source = (*Source)(nil)

// pace is how long a Source waits for what.
type pace struct {
	calm   time.Duration // without an event before a look
	storm  time.Duration // of events before a look all the same
	poll   time.Duration // between looks without any event
	relook time.Duration // before a failure is believed
}

var usualPace = pace{
	calm:   100 * time.Millisecond,
	storm:  time.Second,
	poll:   5 * time.Second,
	relook: 250 * time.Millisecond,
}

// NewSource makes a source of the file at path; a relative path is one of the
// directory that the process is in when Run begins. The logger, which may be
// nil, is told when watching does not work and polling must do.
func NewSource(path string, log *slog.Logger) *Source {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Source{path: path, log: log, pace: usualPace, looked: func(look) {}, watch: fsnotify.NewWatcher}
}

// String implements switcher.Source.
func (s *Source) String() string { return "file " + s.path }

// Run implements switcher.Source.
func (s *Source) Run(ctx context.Context, sink switcher.Sink) error {
	path, err := filepath.Abs(s.path)
	if err != nil {
		path = s.path // the working directory is gone: reading says so
	}
	r := run{Source: s, sink: sink, watches: watches{path: path, start: s.watch, log: s.log}}
	defer r.watches.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(r.next()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-r.watches.events():
			r.event(open)
		case _, open := <-r.watches.errors():
			r.event(open)
		case <-timer.C:
			if ctx.Err() != nil {
				return ctx.Err() // both were ready
			}
			r.look()
		}
	}
}

// run is the state of one Run.
type run struct {
	*Source
	sink    switcher.Sink
	watches watches
	judge   judge
	burst   quiet
	again   time.Time // when to look without an event
}

// event notes that something changed. A watcher whose channels close has ended,
// and the next look starts another.
func (r *run) event(open bool) {
	if !open {
		r.watches.stop()
	}
	r.burst.event(time.Now())
}

// next returns when to look.
func (r *run) next() time.Time {
	if due := r.burst.due(r.pace.calm, r.pace.storm); !due.IsZero() && due.Before(r.again) {
		return due
	}
	return r.again
}

// look sets the watches, reads the file, and tells what is new. The watches
// come first: a change after the reading makes an event.
func (r *run) look() {
	r.burst = quiet{}
	moved := r.watches.set()
	found := read(r.path)
	now := time.Now()
	r.again = now.Add(r.pace.poll)
	switch r.judge.see(found, now, r.pace.poll) {
	case update:
		r.sink.Update(found.pools)
	case failure:
		r.sink.Fail(found.err)
	case suspicion:
		r.again = now.Add(r.pace.relook)
	case nothing:
	}
	if moved && r.watches.stale() { // the way changed while the watches were set
		r.again = now.Add(r.pace.calm)
	}
	r.looked(found)
}

// read looks at the file once. Errors name it.
func read(path string) look {
	data, _, err := readRegular(path, maxPoolFile)
	if err != nil {
		return look{err: fmt.Errorf("pool file %s cannot be read: %w", path, plain(err))}
	}
	sum := sha256.Sum256(data)
	pools, err := ParsePools(data)
	if err != nil {
		return look{sum: sum, err: fmt.Errorf("pool file %s: %w", path, err)}
	}
	return look{sum: sum, pools: pools}
}

// plain takes from an error the path, which is named already.
func plain(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
