package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

const (
	window    = 16 // blocks that are asked for at a time
	readAhead = 4  // blocks that a fill may be ahead of its fastest reader
	join      = 8  // blocks that a reader waits for rather than asks for itself

	// worthwhile is what is still fetched of an object when nobody wants it any
	// more: it costs less than a new connection to the origin.
	worthwhile = 4 << 20
)

// errStopped ends a fill that nobody waits for.
var errStopped = errors.New("nobody reads on")

// fill brings bytes of an object, in order, by one fetch. Any number of readers
// follow it; each reader follows at most one.
type fill struct {
	o          *object
	origin     Fetcher
	first, end int64 // blocks: end is exclusive; of an object in one piece both say nothing
	background bool  // goes on without a reader
	disk       bool  // not from the origin
	cancel     context.CancelFunc

	// Guarded by o.mu.
	next    int64         // the block that is on its way
	cur     []byte        // what is there of it
	ring    [][]byte      // the last whole ones before it
	users   int           // readers that follow, and requests that may become some
	lead    int64         // the furthest block that a reader was at
	gate    chan struct{} // closed when the fill may look again whether to go on; nil: it does not wait
	stopped bool          // cancelled: nobody may follow any more
	err     error         // that it has ended with, and its readers with it
	done    bool          // ended; stays for its ring while somebody follows
}

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
func (f *fill) reached(n int64) {
	if n > f.lead {
		f.lead = n
		f.open()
	}
}

// goesOn reports whether the rest is fetched though nobody reads. The caller
// holds o.mu.
func (f *fill) goesOn(c *Cache) bool {
	if f.background && !f.o.inBlocks {
		return true
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

// pace waits until one of the readers is near enough to the next block. Without
// readers it reports whether to go on at all.
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
		if next <= f.lead+ahead {
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
			f.stopped = true
			return errStopped
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

// run reads the fill's blocks from src.
func (f *fill) run(ctx context.Context, c *Cache, src io.Reader) error {
	o := f.o
	in := source{c: c, r: src}
	for n := f.next; n < f.end; n++ {
		if err := f.pace(ctx, c, n, c.ahead(), pause); err != nil {
			return err
		}
		buf := make([]byte, min(c.block, o.size-n*c.block))
		for got := 0; got < len(buf); {
			m, err := in.read(buf[got:])
			got += m
			if got < len(buf) {
				if err != nil {
					return err
				}
				f.publish(buf[:got])
				continue
			}
			if n == f.end-1 { // a surplus must show before the last byte is out
				if err := in.end(err); err != nil {
					return err
				}
			}
		}
		c.keep(o, n, piece{object: o, data: buf})
		f.advance(c, buf)
	}
	return nil
}

// publish shows what there is of the block on its way.
func (f *fill) publish(cur []byte) {
	f.o.mu.Lock()
	f.cur = cur
	f.o.tell()
	f.o.mu.Unlock()
}

// advance goes on to the next block.
func (f *fill) advance(c *Cache, data []byte) {
	o := f.o
	o.mu.Lock()
	defer o.mu.Unlock()
	f.cur, f.next = nil, f.next+1
	f.ring = append(f.ring, data)
	c.rings.Add(int64(len(data)))
	if over := len(f.ring) - int(c.ahead()) - 2; over > 0 {
		c.rings.Add(-ringBytes(f.ring[:over]))
		f.ring = append([][]byte(nil), f.ring[over:]...)
	}
	o.tell()
}

// finish is the end of a fill, good or bad.
func (f *fill) finish(c *Cache, err error) {
	o := f.o
	lie, lied := errors.AsType[*lieError](err)
	if lied {
		c.log.Warn("cache: an origin does not keep its word; what was kept of the object is dropped",
			"scope", o.scope, "path", o.path, "reason", lie.Error())
	}
	if lied || errors.Is(err, errChanged) {
		c.drop(o) // before those who wait hear of it, and ask again
	}
	o.mu.Lock()
	f.done, f.cur = true, nil
	if err != nil && !errors.Is(err, errStopped) && !f.stopped {
		f.err = err
	}
	if f.users == 0 || err != nil {
		f.forget(c)
	}
	o.tell()
	o.mu.Unlock()
}

// fetchRange brings blocks of a known object.
func (f *fill) fetchRange(ctx context.Context, c *Cache) error {
	o := f.o
	first, last := f.first*c.block, min(f.end*c.block, o.size)-1
	h := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", first, last)}, "If-Match": {o.etag}}
	res, err := c.fetch(ctx, f.origin, http.MethodGet, h)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch etag, _ := resume.StrongETag(res.Header); {
	case res.StatusCode == http.StatusPreconditionFailed, res.StatusCode == http.StatusRequestedRangeNotSatisfiable,
		res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusGone:
		return fmt.Errorf("cache: %w: it answers %d", errChanged, res.StatusCode)
	case res.StatusCode != http.StatusPartialContent && res.StatusCode != http.StatusOK:
		return fmt.Errorf("cache: the origin answered %d when asked for bytes of a known object", res.StatusCode)
	case etag != o.etag || res.Uncompressed:
		return fmt.Errorf("cache: %w: its ETag is %.80q, was %.80q", errChanged, res.Header.Get("Etag"), o.etag)
	case res.StatusCode == http.StatusOK:
		if res.ContentLength >= 0 && res.ContentLength != o.size {
			return fmt.Errorf("cache: %w: it has %d bytes, had %d", errChanged, res.ContentLength, o.size)
		}
		f.restart(c)
		return f.run(ctx, c, res.Body)
	}
	want := resume.ContentRange{First: first, Last: last, Total: o.size}
	got, err := resume.ParseContentRange(res.Header.Get("Content-Range"))
	switch {
	case err != nil || len(res.Header["Content-Range"]) != 1:
		return &lieError{fmt.Sprintf("Content-Range is %.80q, want %q", res.Header["Content-Range"], want)}
	case got.Total != want.Total && got.Total >= 0:
		return fmt.Errorf("cache: %w: it has %d bytes, had %d", errChanged, got.Total, want.Total)
	case got != want:
		return &lieError{fmt.Sprintf("Content-Range is %q, want %q", got, want)}
	case res.ContentLength >= 0 && res.ContentLength != last-first+1:
		return &lieError{fmt.Sprintf("Content-Length is %d for %q", res.ContentLength, got)}
	}
	return f.run(ctx, c, res.Body)
}

// fetchDisk brings blocks that are on disk. When one cannot be had the fill ends,
// and its readers turn to the origin.
func (f *fill) fetchDisk(ctx context.Context, c *Cache) error {
	o := f.o
	for n := f.next; n < f.end; n++ {
		if err := f.pace(ctx, c, n, c.ahead(), pause); err != nil {
			return err
		}
		m, data, err := c.disk.load(o.key, o.etag, n)
		if err == nil && m.Size != o.size {
			c.disk.drop(o.key, o.etag)
			err = errStopped
		}
		if err != nil {
			return errStopped
		}
		c.keep(o, n, piece{object: o, data: data})
		f.advance(c, data)
	}
	return nil
}

// restart has the fill begin at block 0: the origin does no ranges.
func (f *fill) restart(c *Cache) {
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	f.first, f.next, f.end = 0, 0, c.blocks(f.o.size)
	f.o.noRanges = true
}

// lieError is an answer whose body is not what its head says.
type lieError struct{ what string }

func (e *lieError) Error() string { return "cache: the origin's answer contradicts itself: " + e.what }

// source reads a body, and counts.
type source struct {
	c     *Cache
	r     io.Reader
	empty int
}

// read reads at least one byte, or returns an error. io.EOF is one: it is
// earlier than the head has said.
func (s *source) read(p []byte) (int, error) {
	for {
		n, err := s.r.Read(p)
		s.c.fetched.Add(int64(n))
		if n > 0 {
			s.empty = 0
			if n == len(p) && err == io.EOF {
				return n, io.EOF
			}
		} else if s.empty++; s.empty > maxEmptyReads && err == nil {
			err = io.ErrNoProgress
		}
		switch {
		case err == io.EOF:
			return n, &lieError{"the body ends early"}
		case err != nil:
			return n, fmt.Errorf("cache: reading from the origin: %w", err)
		case n > 0:
			return n, nil
		}
	}
}

// end reports whether the body ends here. err is that of the last read.
func (s *source) end(err error) error {
	var p [1]byte
	for range maxEmptyReads {
		if err != nil {
			break
		}
		var n int
		if n, err = s.r.Read(p[:]); n > 0 {
			return &lieError{"the body is longer than it should be"}
		}
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if err == io.EOF {
		return nil
	}
	return fmt.Errorf("cache: reading the end from the origin: %w", err)
}

// forever is a patience without an end.
const forever = time.Duration(math.MaxInt64)
