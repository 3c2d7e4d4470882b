package resume

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxEmptyReads is after how many reads without bytes or error a body's end is
// no longer waited for.
const maxEmptyReads = 100

// Body reads a body that goes on from another upstream when the one before
// fails. Like a body of net/http it is read by one goroutine, and may be closed
// at any time by any. NewBody makes one.
//
// The last bytes are handed on only once the upstream's body has ended after
// them: an end that is not clean makes them be asked for again, and a surplus
// cuts the body before them, so that its reader cannot miss it.
type Body struct {
	transfer *Transfer
	resume   func(cause error) (*http.Response, error)

	src    io.Reader // current, but read only by the reader
	failed error     // of the latest Read of src; the next one asks for a continuation
	err    error     // final
	probe  [1]byte

	closed atomic.Bool

	mu      sync.Mutex
	current io.Closer          // guarded by mu; nil: none is open
	cancel  context.CancelFunc // guarded by mu; nil: no failure yet
}

// NewBody reads first, the body of the response that t's plan was made of, and
// its continuations. ctx is that of the client, and not of one attempt: its end
// means that nobody wants the rest.
func NewBody(ctx context.Context, first io.ReadCloser, t *Transfer) *Body {
	b := &Body{transfer: t, src: first, current: first}
	var own context.Context
	b.resume = func(cause error) (*http.Response, error) {
		if own == nil {
			var cancel context.CancelFunc
			own, cancel = context.WithCancel(ctx)
			b.mu.Lock()
			b.cancel = cancel
			b.mu.Unlock()
			if b.closed.Load() {
				cancel()
			}
		}
		return t.Resume(own, cause)
	}
	return b
}

// Read returns io.EOF after exactly the announced bytes, and else an error as
// Transfer.Resume does.
func (b *Body) Read(p []byte) (int, error) {
	switch {
	case b.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	for {
		if b.failed != nil {
			if b.err = b.replace(b.failed); b.err != nil {
				return 0, b.err
			}
		}
		remaining := b.transfer.Remaining()
		if int64(len(p)) > remaining {
			p = p[:remaining] // a surplus shows in seeEnd
		}
		n, err := b.src.Read(p)
		if int64(n) < remaining {
			b.failed = err
			if n == 0 && err != nil {
				continue
			}
			return n, b.transfer.Advance(int64(n))
		}
		if err == nil && int64(n) == remaining {
			n, err = b.seeEnd(n)
		}
		switch {
		case int64(n) > remaining:
			b.err = b.transfer.Surplus()
			_ = b.release()
			return 0, b.err
		case err == io.EOF:
			if b.err = b.transfer.Advance(remaining); b.err == nil {
				b.err = io.EOF
			}
			return n, b.err
		}
		b.failed = err
	}
}

// Source is the upstream's body that is being read, for its reader to take bytes
// from in another way, but not the last one: that is Read's. nil: Read is next.
func (b *Body) Source() io.Reader {
	if b.closed.Load() || b.err != nil || b.failed != nil {
		return nil
	}
	return b.src
}

// Took says that the reader has taken n bytes from Source.
func (b *Body) Took(n int64) error { return b.transfer.Advance(n) }

// seeEnd reads on after n bytes, the last announced, and returns how many came
// after all.
func (b *Body) seeEnd(n int) (int, error) {
	for range maxEmptyReads {
		if more, err := b.src.Read(b.probe[:]); more > 0 || err != nil {
			return n + more, err
		}
	}
	return n, io.ErrNoProgress
}

// replace puts a continuation into the place of the body that failed.
func (b *Body) replace(cause error) error {
	_ = b.release()
	res, err := b.resume(cause)
	if err == nil && !b.hold(res.Body) {
		_ = res.Body.Close()
	}
	if b.closed.Load() {
		return http.ErrBodyReadAfterClose
	}
	return err
}

// hold makes body the current one, unless Close came first.
func (b *Body) hold(body io.ReadCloser) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return false
	}
	b.src, b.current = body, body
	return true
}

// release closes the current body, once.
func (b *Body) release() error {
	b.mu.Lock()
	current := b.current
	b.current = nil
	b.mu.Unlock()
	if current == nil {
		return nil
	}
	return current.Close()
}

// Close ends a Read that is going on, and the search for a continuation too.
func (b *Body) Close() error {
	b.mu.Lock()
	b.closed.Store(true)
	cancel := b.cancel
	b.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return b.release()
}
