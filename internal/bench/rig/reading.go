package rig

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Reading is the memory of a process and its children.
type Reading struct {
	// KiB is the resident memory as it stands, CollectedKiB behind a garbage
	// collection; the same where there is none.
	KiB          int64 `json:"kib"`
	CollectedKiB int64 `json:"collected_kib"`
	// PSSKiB is the latter, but of pages that are shared only the share.
	PSSKiB int64 `json:"pss_kib"`
	// StacksKiB is what of it is the stacks of Goroutines.
	StacksKiB  int64 `json:"stacks_kib,omitempty"`
	Goroutines int   `json:"goroutines,omitempty"`
}

// warmUp is how many connections at most are opened and closed before the first
// reading.
const warmUp = 500

// Settled is for how long memory has to stay where it is before it is read, for
// a measurement: Go gives memory back in the background, a little at a time.
const Settled = 4 * time.Second

// Holding is a measurement of what a program holds for N connections of a kind
// on which nothing is said.
type Holding struct {
	Kind    Kind
	N       int
	Settled time.Duration
	// Profiles is where those of a Go program go that are taken while the
	// connections are open; empty: nowhere.
	Profiles string
}

// Measure runs p in dir, and reads its memory before and after the connections
// are opened. It has been warmed up before, so that what it holds anyway is not
// counted.
func (h Holding) Measure(ctx context.Context, p *Program, up *Upstream, dir string) (before, after Reading, err error) {
	process, err := p.Start(ctx, dir, up.Address, "/healthz")
	if err != nil {
		return before, after, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	held, err := Open(ctx, process.Address, h.Kind, min(h.N, warmUp))
	if err != nil {
		return before, after, err
	}
	held.Close()
	up.Release()
	if before, err = process.read(ctx, h.Settled); err != nil {
		return before, after, err
	}
	if held, err = Open(ctx, process.Address, h.Kind, h.N); err != nil {
		return before, after, err
	}
	defer func() { held.Close(); up.Release() }()
	after, err = process.read(ctx, h.Settled)
	if err == nil && h.Profiles != "" && process.Profiled() {
		err = process.Keep(ctx, filepath.Join(h.Profiles, p.Name+"-"+string(h.Kind)), "heap?gc=1", "goroutine?debug=1")
	}
	return before, after, err
}

// read waits until the memory has settled, and reads it.
func (s *Process) read(ctx context.Context, settled time.Duration) (r Reading, err error) {
	if r.KiB, err = s.settle(ctx, settled); err != nil {
		return r, err
	}
	r.CollectedKiB = r.KiB
	if s.Profiled() {
		if err = s.collect(ctx, settled, &r); err != nil {
			return r, err
		}
	}
	r.PSSKiB, err = s.PSS()
	return r, err
}

// collect has a Go program collect its garbage, and reads once more.
func (s *Process) collect(ctx context.Context, settled time.Duration, r *Reading) error {
	for range 2 { // a sync.Pool forgets with the second
		heap, err := s.Ask(ctx, "heap?gc=1&debug=1")
		if err != nil {
			return err
		}
		if r.StacksKiB, err = parseStacks(string(heap)); err != nil {
			return err
		}
	}
	var err error
	if r.CollectedKiB, err = s.settle(ctx, settled); err != nil {
		return err
	}
	text, err := s.Ask(ctx, "goroutine?debug=1")
	if err != nil {
		return err
	}
	_, err = fmt.Sscanf(string(text), "goroutine profile: total %d", &r.Goroutines)
	return err
}

func (s *Process) settle(ctx context.Context, settled time.Duration) (kib int64, err error) {
	seen := settling{want: settled}
	err = Until(ctx, "its memory has settled", func() (bool, error) {
		if kib, err = s.RSS(); err != nil {
			return false, err
		}
		return seen.settled(kib, time.Now()), nil
	})
	return kib, err
}

// parseStacks finds the memory of the goroutines' stacks in a heap profile with
// debug=1, which ends with what runtime.MemStats says.
func parseStacks(profile string) (kib int64, err error) {
	_, rest, found := strings.Cut(profile, "\n# Stack = ")
	if !found {
		return 0, errors.New("the heap profile says nothing of stacks")
	}
	var inUse int64
	_, err = fmt.Sscanf(rest, "%d", &inUse)
	return inUse >> 10, err
}

// settleBand is within what memory must have stayed, in KiB.
const settleBand = 256

// settling follows a process's memory until it has stayed within the band for as
// long as is wanted.
type settling struct {
	want      time.Duration
	low, high int64
	since     time.Time
}

// settled takes one more reading.
func (s *settling) settled(kib int64, now time.Time) bool {
	s.low, s.high = min(s.low, kib), max(s.high, kib)
	if s.since.IsZero() || s.high-s.low > settleBand {
		s.low, s.high, s.since = kib, kib, now
	}
	return now.Sub(s.since) >= s.want
}
