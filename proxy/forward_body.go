package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// longAgo as a deadline ends reads and writes that are going on.
var longAgo = time.Unix(1, 0)

// Why a body is read no further. errBodyReleased is also what a transport gets
// that reads on after its attempt.
var (
	errBodyReleased = errors.New("the attempt has ended; the request's body is no longer its own")
	errUpstreamGone = errors.New("connection closed while the client's body was awaited")
)

// watchEvery is how long a Read of the client's body waits until it looks, and
// looks again, whether the upstream is still there. net/http's transport does
// not tell before that Read has returned.
const watchEvery = 500 * time.Millisecond

// requestBody lends the client's body to one attempt. A transport may read it
// on a goroutine of its own after RoundTrip has returned; release ends that.
// Close leaves src open, so that another attempt can send it: the server
// closes it when the handler returns.
type requestBody struct {
	src       io.Reader
	size      int64        // when src reached it, the body is complete; -1: only EOF tells
	received  func(n int)  // counts for the ledger; nil: nobody does
	before    func()       // runs ahead of the first Read; nil: nothing to do
	after     func()       // runs when src has ended; nil: nothing to do
	interrupt func() error // must end a Read of src that waits for the client
	gone      func() bool  // whether the upstream has left; nil: it never does

	complete atomic.Bool // all of src was read
	reading  atomic.Bool // a Read of src is going on
	closed   atomic.Bool // by the transport, which will send no more
	stopped  atomic.Pointer[error]

	ending      sync.Mutex // held while stopped is decided; taken before mu
	interrupted bool       // guarded by ending
	failed      error      // guarded by ending; what interrupt returned

	timer atomic.Pointer[time.Timer] // set once; calls watch

	mu    sync.Mutex // held while src is read
	count int64      // guarded by mu; bytes read
	err   error      // guarded by mu; what src failed with
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size > 0 && b.count == b.size {
		// The upstream may have answered already, and net/http's server closed
		// src for that; its transport asks once more whether this is the end.
		return 0, io.EOF
	}
	if stopped := b.stopped.Load(); stopped != nil {
		return 0, *stopped
	}
	if b.before != nil {
		b.before()
		b.before = nil
	}
	n, err := b.readWatchedLocked(p)
	b.count += int64(n)
	if b.received != nil {
		b.received(n)
	}
	if err == io.EOF && b.after != nil {
		b.after()
		b.after = nil
	}
	stopped := b.stopped.Load()
	switch {
	case err == io.EOF || b.count == b.size:
		b.complete.Store(true)
	case err != nil && stopped != nil:
		err = *stopped
	case err != nil:
		b.err = err
	}
	return n, err
}

func (b *requestBody) readWatchedLocked(p []byte) (int, error) {
	if b.gone == nil {
		return b.src.Read(p)
	}
	b.reading.Store(true)
	defer b.reading.Store(false)
	timer := b.timer.Load()
	if timer == nil {
		timer = time.AfterFunc(watchEvery, b.watch)
		b.timer.Store(timer)
	} else {
		timer.Reset(watchEvery)
	}
	defer timer.Stop()
	return b.src.Read(p)
}

// watch looks after a Read that takes long.
func (b *requestBody) watch() {
	switch {
	case !b.reading.Load() || b.stopped.Load() != nil:
	case b.gone():
		b.stop(errUpstreamGone)
	default:
		if timer := b.timer.Load(); timer != nil {
			timer.Reset(watchEvery)
		}
	}
}

// stop ends the reading of src because of cause: a Read that waits for the
// client is interrupted, later ones fail. Only the first call counts, so that
// none touches the server's side after release.
func (b *requestBody) stop(cause error) {
	b.ending.Lock()
	defer b.ending.Unlock()
	if !b.stopped.CompareAndSwap(nil, &cause) {
		return
	}
	if b.mu.TryLock() {
		b.mu.Unlock()
		return
	}
	// A complete HTTP/1 body answers at once; an interrupt would spoil the
	// connection for the next request.
	if !b.complete.Load() {
		b.interrupted, b.failed = true, b.interrupt()
	}
}

// stoppedBy reports whether the body was not read to its end because of cause.
func (b *requestBody) stoppedBy(cause error) bool {
	stopped := b.stopped.Load()
	return stopped != nil && *stopped == cause
}

func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// rewind lets the transport send a body again of which it has read nothing,
// as when an idle connection turns out to be dead.
func (b *requestBody) rewind() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.count > 0:
		return nil, errors.New("the request's body has been read")
	case b.complete.Load():
		return http.NoBody, nil
	}
	b.closed.Store(false)
	return b, nil
}

// settle waits for a Read of an HTTP/1 body that is failing: the server has ended the
// request's context because of it, and the Read is about to say why. That takes
// no time, unless somebody else has ended the context.
func (b *requestBody) settle() {
	impatience := time.AfterFunc(watchEvery, func() { b.stop(errBodyReleased) })
	defer impatience.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
}

// release takes the body back: when it returns, src is not being read, nor
// will be. touched: another attempt cannot send the body whole. err is what
// src failed with by itself.
func (b *requestBody) release() (touched bool, err error) {
	b.stop(errBodyReleased)
	b.ending.Lock()
	interrupted, failed := b.interrupted, b.failed
	b.ending.Unlock()
	if failed != nil {
		return true, nil // net/http's body is at least safe to leave
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return interrupted || b.count > 0 || b.err != nil, b.err
}

// empty reports whether the body has ended without a byte.
func (b *requestBody) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.complete.Load() && b.count == 0
}
