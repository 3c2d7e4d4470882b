package main

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// process is a proxy that runs.
type process struct{ *rig.Process }

// read waits until the memory has settled, and reads it.
func (s process) read(ctx context.Context) (r reading, err error) {
	if r.KiB, err = s.settle(ctx); err != nil || !s.Profiled() {
		r.CollectedKiB = r.KiB
		return r, err
	}
	for range 2 { // a sync.Pool forgets with the second
		heap, err := s.Ask(ctx, "heap?gc=1&debug=1")
		if err != nil {
			return r, err
		}
		if r.StacksKiB, err = parseStacks(string(heap)); err != nil {
			return r, err
		}
	}
	if r.CollectedKiB, err = s.settle(ctx); err != nil {
		return r, err
	}
	text, err := s.Ask(ctx, "goroutine?debug=1")
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscanf(string(text), "goroutine profile: total %d", &r.Goroutines)
	return r, err
}

func (s process) settle(ctx context.Context) (kib int64, err error) {
	var seen settling
	err = rig.Until(ctx, "its memory has settled", func() (bool, error) {
		if kib, err = s.RSS(); err != nil {
			return false, err
		}
		return seen.settled(kib, time.Now()), nil
	})
	return kib, err
}
