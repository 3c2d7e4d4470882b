package proxy

import (
	"errors"
	"fmt"
)

// errUnkept is why an attempt could not read what had been kept.
var errUnkept = errors.New("reading what was kept of the body")

// uploadReader is the body for one attempt.
type uploadReader struct {
	u       *upload
	off     int64 // guarded by u.mu; bytes it has given out
	stopped bool  // guarded by u.mu
}

func (r *uploadReader) Read(p []byte) (int, error) {
	u := r.u
	u.mu.Lock()
	defer u.mu.Unlock()
	for !r.stopped && !u.released {
		switch {
		case r.off < u.total:
			return r.copyLocked(p)
		case u.err != nil:
			return 0, u.err
		case u.filling:
			u.moved.Wait()
		case u.lost != nil:
			return r.readLocked(p)
		default:
			if u.buf == nil {
				u.buf = copyBuffers.Get().(*[copyBufferSize]byte)
			}
			u.begun, u.filling, u.reading = true, true, true
			u.tail = nil // all of it is kept, and buf is overwritten
			go u.fill()
		}
	}
	return 0, errBodyReleased
}

// copyLocked gives out what has been read of src.
func (r *uploadReader) copyLocked(p []byte) (n int, err error) {
	u := r.u
	if tail := u.total - int64(len(u.tail)); r.off >= tail {
		n = copy(p, u.tail[r.off-tail:])
	} else if u.keep == nil {
		return 0, u.lost // as it said before
	} else {
		keep, off := u.keep, r.off
		p = p[:min(int64(len(p)), tail-off)]
		u.mu.Unlock()
		n, err = keep.ReadAt(p, off)
		u.mu.Lock()
	}
	r.off += int64(n)
	if err != nil {
		u.lost = fmt.Errorf("%w: %w", errUnkept, err)
		u.freeKeptLocked()
		return n, u.lost
	}
	u.dropLocked()
	return n, nil
}

// readLocked reads src itself: nothing is kept any more.
func (r *uploadReader) readLocked(p []byte) (n int, err error) {
	u := r.u
	u.begun, u.direct = true, true
	u.mu.Unlock()
	n, err = u.src.Read(p)
	u.mu.Lock()
	u.direct = false
	u.total, r.off = u.total+int64(n), r.off+int64(n)
	if err != nil && !r.stopped {
		u.err = err
	}
	u.received(n)
	return n, err
}

// stop ends the attempt's part. Only where it reads src itself, that is
// interrupted.
func (r *uploadReader) stop() error {
	u := r.u
	u.mu.Lock()
	r.stopped = true
	direct := u.direct
	u.moved.Broadcast()
	u.mu.Unlock()
	if direct {
		return u.interrupt()
	}
	return nil
}
