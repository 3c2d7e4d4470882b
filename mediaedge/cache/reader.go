package cache

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// reader reads an object for one client: from memory, else from a fill that it
// follows, else from one that it starts. It holds one block at most.
type reader struct {
	c      *Cache
	o      *object
	body   *whole // of an object in one piece
	origin Fetcher
	ctx    context.Context // the client's; the reader lives no longer than Serve
	cancel context.CancelFunc

	mu      sync.Mutex // held while it reads: several ranges are read by a goroutine of net/http
	closed  bool
	err     error
	pos     int64
	want    int64       // where reading is known to end; 0: not known
	follow  *fill       // written by the reader, under o.mu
	waited  atomic.Bool // for bytes that were on their way
	started atomic.Bool // a fill of its own
	slow    bool        // asks for little at a time
	given   bool        // something has been read
}

var errReaderClosed = errors.New("cache: read after the end of the request")

// Seek knows the ways of http.ServeContent.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.o.length()
	}
	if offset < 0 {
		return 0, errors.New("cache: seek before the beginning")
	}
	r.pos = offset
	return offset, nil
}

// Read is for several ranges; what is one piece goes by next.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, errReaderClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	data, err := r.next(nil)
	n := copy(p, data)
	r.pos += int64(n)
	return n, err
}

// close ends the reader, and whoever still reads from it. It returns what
// reading has failed with.
func (r *reader) close() error {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.o.mu.Lock()
	r.unfollow()
	r.o.mu.Unlock()
	return r.err
}

// unfollow: the caller holds o.mu.
func (r *reader) unfollow() {
	if f := r.follow; f != nil {
		r.slow = r.slow || f.slow
		f.leave(r.c)
		r.follow = nil
	}
}

// next returns bytes at the reader's place, at least one and at most to the end
// of a block; io.EOF at the end. It calls idle before it waits.
func (r *reader) next(idle func()) ([]byte, error) {
	data, err := r.bytes(idle)
	if err != nil && err != io.EOF {
		r.err = err
	}
	r.given = r.given || len(data) > 0
	return data, err
}

func (r *reader) bytes(idle func()) ([]byte, error) {
	if !r.o.inBlocks {
		return r.part(idle)
	}
	if r.pos >= r.o.size { // of an object in blocks it never changes
		return nil, io.EOF
	}
	n, off := r.pos/r.c.block, int(r.pos%r.c.block)
	if p, ok := r.c.pieces.GetIfPresent(pieceID{r.o.id, n}); ok {
		if r.follow != nil {
			r.o.mu.Lock()
			r.moved(n)
			r.o.mu.Unlock()
		}
		return p.data[off:], nil
	}
	return r.wait(n, off, idle)
}

// moved tells the fill that is followed where the reader is. The caller holds
// o.mu.
func (r *reader) moved(n int64) {
	f := r.follow
	switch {
	case f == nil:
	case n >= f.end, n >= f.next+join && !r.o.noRanges:
		r.unfollow()
	default:
		f.reached(r.c, n)
	}
}

// wait gets block n from a fill.
func (r *reader) wait(n int64, off int, idle func()) ([]byte, error) {
	o := r.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := r.follow; f != nil && f.err != nil {
		r.unfollow() // it failed while there was no need of it
	}
	for {
		r.moved(n)
		for _, f := range o.fills {
			if data := f.held(n); len(data) > off {
				r.waited.Store(r.waited.Load() || !f.disk)
				return data[off:], nil
			}
		}
		if f := r.follow; f != nil && f.err != nil {
			return nil, f.err
		}
		if err := r.attach(n); errors.Is(err, ErrBusy) && r.given {
			if err := r.sleep(idle, time.After(busyPause)); err != nil {
				return nil, err
			}
			continue
		} else if err != nil {
			return nil, err
		}
		if r.follow == nil { // it is in memory by now
			if p, ok := r.c.pieces.GetIfPresent(pieceID{o.id, n}); ok {
				return p.data[off:], nil
			}
			continue
		}
		if err := r.sleep(idle, nil); err != nil {
			return nil, err
		}
	}
}

// attach has the reader follow a fill that brings block n, one of its own if
// there is none, or none if the block has come meanwhile. The caller holds o.mu.
func (r *reader) attach(n int64) error {
	if f := r.follow; f != nil && f.brings(n) {
		return nil
	}
	for _, f := range r.o.fills {
		if f.brings(n) {
			f.users++
			r.unfollow()
			r.follow = f
			f.reached(r.c, n)
			return nil
		}
	}
	r.unfollow()
	if _, ok := r.c.pieces.GetIfPresent(pieceID{r.o.id, n}); ok {
		return nil
	}
	f, err := r.c.startFill(r, n)
	r.follow = f
	return err
}

// busyPause is how long a reader in the middle of an answer, which must not be
// cut because others have come, waits before it asks again for a fetch.
const busyPause = 50 * time.Millisecond

// sleep waits for news of the object, or until enough, which may be nil. The
// caller holds o.mu, which is not held meanwhile.
func (r *reader) sleep(idle func(), enough <-chan time.Time) error {
	news, follow := r.o.news(), r.follow
	r.o.mu.Unlock()
	defer r.o.mu.Lock()
	if follow == nil || !follow.disk {
		r.waited.Store(true)
	}
	if idle != nil {
		idle()
	}
	select {
	case <-news:
		return nil
	case <-enough:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// part is bytes for an object in one piece.
func (r *reader) part(idle func()) ([]byte, error) {
	o, w := r.o, r.body
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		n, off := r.pos/r.c.block, r.pos%r.c.block
		if r.follow != nil && !w.done {
			r.follow.reached(r.c, n)
		}
		if n < int64(len(w.parts)) && (r.pos < w.size) {
			if w.parts[n] == nil {
				return nil, errors.New("cache: the reader fell behind an object too large to be kept")
			}
			if data := w.parts[n]; off < int64(len(data)) {
				return data[off:], nil
			}
		}
		switch {
		case w.err != nil:
			return nil, w.err
		case w.done:
			return nil, io.EOF
		}
		if err := r.sleep(idle, nil); err != nil {
			return nil, err
		}
	}
}

// startFill fetches block n, and those after it that are neither held nor on
// their way, as far as the reader is known to want them: from the disk, or from
// the origin. The caller holds o.mu.
func (c *Cache) startFill(r *reader, n int64) (*fill, error) {
	o := r.o
	end := min(c.blocks(o.size), n+readAhead)
	if r.want > 0 {
		end = min(c.blocks(r.want), n+window)
	}
	if r.slow {
		end = min(end, n+readAhead)
	}
	for _, f := range o.fills {
		if !f.done && !f.stopped && f.next > n {
			end = min(end, f.next)
		}
	}
	disk := c.onDisk(o, n)
	for m := n + 1; m < end; m++ {
		if _, ok := c.pieces.GetEntryQuietly(pieceID{o.id, m}); ok || c.onDisk(o, m) != disk {
			end = m
		}
	}
	f := &fill{o: o, origin: r.origin, first: n, next: n, lead: n, end: max(end, n+1), users: 1, disk: disk}
	bring := f.fetchRange
	if disk {
		bring = f.fetchDisk
	}
	cancel, err := c.start(r.ctx, func(ctx context.Context) bool { f.finish(c, bring(ctx, c)); return false })
	if err != nil {
		return nil, err
	}
	f.cancel = cancel
	o.fills = append(o.fills, f)
	r.started.Store(r.started.Load() || !disk)
	return f, nil
}

func (c *Cache) onDisk(o *object, n int64) bool { return c.disk != nil && c.disk.has(o, n) }
