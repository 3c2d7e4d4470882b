package cache

import (
	"context"
	"time"
)

// held returns what the fill has of block n. The caller holds o.mu.
func (f *fill) held(n int64) []byte {
	if n == f.next {
		return f.cur
	}
	if i := n - (f.next - int64(len(f.ring))); i >= 0 && i < int64(len(f.ring)) {
		return f.ring[i]
	}
	return nil
}

// brings reports whether block n will come soon enough. The caller holds o.mu.
func (f *fill) brings(n int64) bool {
	return !f.done && !f.stopped && n >= f.next && n < f.end && (n-f.next < join || f.o.noRanges)
}

// leave is the end of one who follows. The caller holds o.mu.
func (f *fill) leave(c *Cache) {
	if f.users--; f.users > 0 {
		return
	}
	switch {
	case f.done:
		f.forget(c)
	case f.gate != nil:
		f.open()
	case !f.goesOn(c):
		f.stopped = true
		f.cancel()
	}
}

// open lets a fill that waits look again. The caller holds o.mu.
func (f *fill) open() {
	if f.gate != nil {
		close(f.gate)
		f.gate = nil
	}
}

// reached says how far a reader is. The caller holds o.mu.
func (f *fill) reached(c *Cache, n int64) {
	if n > f.lead {
		f.lead = n
		f.open()
		f.trim(c)
	}
}

// trim lets go of blocks that the fastest readers have left behind: whoever is
// slower finds them in memory, if there is room. The caller holds o.mu.
func (f *fill) trim(c *Cache) {
	behind := f.lead - 2 - (f.next - int64(len(f.ring)))
	if behind = min(behind, int64(len(f.ring))); behind <= 0 {
		return
	}
	c.rings.Add(-ringBytes(f.ring[:behind]))
	f.ring = append([][]byte(nil), f.ring[behind:]...)
}

// goesOn reports whether the rest is fetched though nobody reads. The caller
// holds o.mu.
func (f *fill) goesOn(c *Cache) bool {
	if f.background && !f.o.inBlocks {
		return !f.o.dead // what has grown too large is for nobody
	}
	if !f.o.inBlocks {
		return f.o.size >= 0 && f.o.growing != nil && (f.o.size-f.o.growing.size <= worthwhile || f.o.size <= c.maxWhole)
	}
	return min(f.end*c.block, f.o.size)-f.next*c.block-int64(len(f.cur)) <= worthwhile
}

// forget takes a fill that is done out of its object. The caller holds o.mu.
func (f *fill) forget(c *Cache) {
	for i, other := range f.o.fills {
		if other == f {
			f.o.fills = append(f.o.fills[:i:i], f.o.fills[i+1:]...)
		}
	}
	c.rings.Add(-ringBytes(f.ring))
	f.ring = nil
}

func ringBytes(ring [][]byte) (n int64) {
	for _, b := range ring {
		n += int64(len(b))
	}
	return n
}

// pace waits until one of the readers is near enough to the next block. Readers
// that take longer than patience for that are slow: they give the connection back,
// finish on what the fill holds, and ask for little at a time from there on, so
// that a thousand of them do not hold a thousand fetches. Without readers pace
// reports whether to go on at all.
func (f *fill) pace(ctx context.Context, c *Cache, next, ahead int64, patience time.Duration) error {
	o := f.o
	var expiry <-chan time.Time
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if f.users == 0 {
			if f.goesOn(c) {
				return nil
			}
			f.stopped = true
			return errStopped
		}
		if next <= f.lead+ahead || f.slow && f.goesOn(c) {
			return nil
		}
		if expiry == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			expiry = timer.C
		}
		gate := make(chan struct{})
		f.gate = gate
		o.mu.Unlock()
		expired := false
		select {
		case <-gate:
		case <-ctx.Done():
		case <-expiry:
			expired = true
		}
		o.mu.Lock()
		f.gate = nil
		if err := ctx.Err(); err != nil {
			return err
		}
		if expired {
			f.slow = true
			if !f.goesOn(c) {
				f.stopped = true
				return errStopped
			}
		}
	}
}

// ahead is how many blocks a fill may be ahead: fewer, if all of them together
// hold too much.
func (c *Cache) ahead() int64 {
	if c.rings.Load() > c.memory/2 {
		return 1
	}
	return readAhead
}
