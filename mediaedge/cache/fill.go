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

	// pause is for how long a fill waits for its readers to take a block.
	pause   = time.Second
	forever = time.Duration(math.MaxInt64)
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
	ring    [][]byte      // the last whole ones before it, from about where the fastest reader is
	users   int           // readers that follow, and requests that may become some
	lead    int64         // the furthest block that a reader was at
	slow    bool          // its readers are
	gate    chan struct{} // closed when the fill may look again whether to go on; nil: it does not wait
	stopped bool          // cancelled: nobody may follow any more
	err     error         // that it has ended with, and its readers with it
	done    bool          // ended; stays for its ring while somebody follows
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
	f.trim(c)
	o.tell()
}

// finish is the end of a fill, good or bad.
func (f *fill) finish(c *Cache, err error) {
	o := f.o
	lie, lied := errors.AsType[*lieError](err)
	if lied {
		c.lied(o, lie)
	}
	if lied || errors.Is(err, errChanged) {
		c.drop(o) // before those who wait hear of it, and ask again
	}
	o.mu.Lock()
	f.done, f.cur = true, nil
	if err != nil && !errors.Is(err, errStopped) && !f.stopped {
		f.err = err
	}
	if f.users == 0 || f.err != nil {
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
