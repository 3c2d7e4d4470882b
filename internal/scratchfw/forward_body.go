package proxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// longAgo as a deadline ends reads and writes that are going on.
var longAgo = time.Unix(1, 0)

// errBodyReleased is what a transport gets that reads on after its attempt.
var errBodyReleased = errors.New("the attempt has ended; the request's body is no longer its own")

// requestBody lends the client's body to one attempt. A transport may read it
// on a goroutine of its own after RoundTrip has returned; release ends that.
// Close leaves src open, so that another attempt can send it: the server
// closes it when the handler returns.
type requestBody struct {
	src    io.Reader
	size   int64  // when src reached it, the body is complete; -1: only EOF tells
	before func() // runs ahead of the first Read; nil: nothing to do

	complete atomic.Bool // all of src was read
	released atomic.Bool

	mu    sync.Mutex // held while src is read
	count int64      // guarded by mu; bytes read
	err   error      // guarded by mu; what src failed with
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released.Load() {
		return 0, errBodyReleased
	}
	if b.before != nil {
		b.before()
		b.before = nil
	}
	n, err := b.src.Read(p)
	b.count += int64(n)
	switch {
	case err == io.EOF || b.count == b.size:
		b.complete.Store(true)
	case err != nil && b.released.Load():
		err = errBodyReleased
	case err != nil:
		b.err = err
	}
	return n, err
}

func (b *requestBody) Close() error { return nil }

// rewind lets the transport send a body again of which it has read nothing,
// as when an idle connection turns out to be dead.
func (b *requestBody) rewind() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count > 0 || b.complete.Load() {
		return nil, errors.New("the request's body has been read")
	}
	return b, nil
}

// release takes the body back: when it returns, src is not being read, nor
// will be. interrupt must end a Read of src that waits for the client; it is
// called only if there is one. touched: another attempt cannot send the body
// whole. err is what src failed with by itself.
func (b *requestBody) release(interrupt func() error) (touched bool, err error) {
	b.released.Store(true)
	if !b.mu.TryLock() {
		// A complete HTTP/1 body answers at once; an interrupt would spoil
		// the connection for the next request.
		if !b.complete.Load() && interrupt() != nil {
			return true, nil // net/http's body is at least safe to leave
		}
		touched = true
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	return touched || b.count > 0, b.err
}
