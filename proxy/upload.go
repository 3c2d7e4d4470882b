package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/greenroom-proxy/greenroom/internal/spool"
)

// upload is the body of a request that may have to be sent once more. It keeps
// what is read of the client's body while that is forwarded, so that each
// attempt reads it from its beginning; what is to be kept no more is read as it
// comes. The body is read only when an attempt asks for it, and on a goroutine
// of its own, so that an attempt that ends lets go of it at once: to interrupt
// that Read would spoil the body for the next one.
//
// It holds no config. A nil upload stands for a body that is not kept.
type upload struct {
	src       io.Reader
	size      int64        // when src reached it, the body is complete; -1: only EOF tells
	http1     bool         // the client's protocol
	interrupt func() error // ends a Read of src that waits for the client
	trailers  []string     // that were announced; the server writes to its own table as it reads

	mu       sync.Mutex
	moved    sync.Cond             // on mu: anything below has changed
	keep     *spool.Spool          // guarded by mu; nil: its bytes are gone, no attempt can begin
	lost     error                 // guarded by mu; why no more is kept; nil: it is
	stored   int64                 // guarded by mu; bytes in keep
	total    int64                 // guarded by mu; bytes read of src
	tail     []byte                // guarded by mu; the last of them, in buf; empty: all are in keep
	buf      *[copyBufferSize]byte // guarded by mu, but written by fill; nil: not needed now
	err      error                 // guarded by mu; how src ended, io.EOF too
	begun    bool                  // guarded by mu; src was read
	filling  bool                  // guarded by mu; a fill is going on …
	reading  bool                  // guarded by mu; … and still reads src
	direct   bool                  // guarded by mu; an attempt itself reads src
	released bool                  // guarded by mu; the handler ends
	reader   *uploadReader         // guarded by mu; of the attempt under way; nil: none is
	received func(n int)           // guarded by mu; counts for that
}

// errAnswered ends the keeping of a body whose request is answered.
var errAnswered = errors.New("the request is answered")

func newUpload(w http.ResponseWriter, r *http.Request, keep *spool.Spool) *upload {
	u := &upload{src: r.Body, size: -1, http1: r.ProtoMajor == 1, keep: keep}
	u.moved.L = &u.mu
	u.interrupt = func() error { return http.NewResponseController(w).SetReadDeadline(longAgo) }
	if u.http1 {
		u.size = r.ContentLength
	}
	for name := range r.Trailer {
		u.trailers = append(u.trailers, name)
	}
	return u
}

// lend has b read the body from its beginning. received is told of all that
// comes from the client, and now of what has come already.
func (u *upload) lend(b *requestBody, received func(n int)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reader, u.received = &uploadReader{u: u}, received
	received(int(u.total))
	b.src, b.interrupt, b.received = u.reader, u.reader.stop, nil
	if u.begun {
		b.before = nil // the client was asked
	}
}

// leave ends the latest attempt's part, and reports whether another one could
// send the whole body; what that needs is kept until it has read it.
func (u *upload) leave() (whole bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reader = nil
	return u.keep != nil && (u.err == nil || u.err == io.EOF)
}

// why is the reason why not, as far as it is known.
func (u *upload) why() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lost
}

// failure is what the client's body failed with by itself.
func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == io.EOF {
		return nil
	}
	return u.err
}

// complete reports whether all of the client's body was read.
func (u *upload) complete() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.completeLocked()
}

func (u *upload) completeLocked() bool { return u.err == io.EOF || u.total == u.size }

// settle is called when an upstream has answered: there will be no attempt
// after this one.
func (u *upload) settle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lost == nil {
		u.lost = errAnswered
	}
	u.dropLocked()
}

// release takes the body back: when it returns, src is not being read, nor will
// be, and nothing of it is kept. Only the first call does anything.
func (u *upload) release() (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.released {
		return false
	}
	u.released = true
	if u.reading && !u.completeLocked() { // a complete one answers at once
		u.mu.Unlock()
		err := u.interrupt()
		u.mu.Lock()
		if err != nil {
			return true // net/http's body is at least safe to leave; fill frees the rest
		}
	}
	for u.filling {
		u.moved.Wait()
	}
	u.freeLocked()
	return true
}

// giveBack releases a body that no upstream has answered, before the edge does.
// An HTTP/1 connection with a rest of it must not be used again: see takeBack.
func (u *upload) giveBack(w http.ResponseWriter) {
	if u == nil || !u.release() {
		return
	}
	u.mu.Lock()
	left := u.http1 && u.begun && !u.completeLocked()
	u.mu.Unlock()
	if left {
		abandonBody(w)
	}
}

// fill reads src once, hands on what came, and keeps it.
func (u *upload) fill() {
	n, err := u.src.Read(u.buf[:])
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reading = false
	u.tail, u.total = u.buf[:n], u.total+int64(n)
	if !u.released {
		u.err = err
	}
	u.received(n)
	u.moved.Broadcast()
	if keep := u.keep; n > 0 && u.lost == nil {
		u.mu.Unlock()
		lost := keep.Write(u.buf[:n]) // which the attempt sends meanwhile
		u.mu.Lock()
		if lost == nil {
			u.stored = u.total
		} else if u.lost == nil {
			u.lost = lost
		}
	}
	u.filling = false
	if u.lost == nil && u.completeLocked() {
		u.freeTailLocked() // which is kept too, where it counts
	}
	u.dropLocked()
	if u.released {
		u.freeLocked()
	}
	u.moved.Broadcast()
}

// dropLocked frees what nobody needs: what was kept, once no more is, and the
// attempt has passed it.
func (u *upload) dropLocked() {
	if u.lost == nil || u.filling || u.reader == nil {
		return
	}
	if u.reader.off >= u.stored {
		u.freeKeptLocked()
	}
	if u.reader.off == u.total {
		u.freeTailLocked()
	}
}

func (u *upload) freeLocked() {
	u.freeKeptLocked()
	u.freeTailLocked()
}

func (u *upload) freeKeptLocked() {
	if u.keep != nil {
		u.keep.Free()
		u.keep = nil
	}
}

func (u *upload) freeTailLocked() {
	if u.buf != nil {
		copyBuffers.Put(u.buf)
		u.buf, u.tail = nil, nil
	}
}
