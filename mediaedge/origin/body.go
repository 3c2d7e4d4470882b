package origin

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// body is what one endpoint sends. It ends with io.EOF only if it was whole;
// any other end blames the endpoint, unless the reader closed it or left.
// It is read by one goroutine, and may be closed by any.
type body struct {
	a      *attempt
	src    io.ReadCloser
	err    error     // of the last Read, if there was one
	read   time.Time // when it ended
	timer  *time.Timer
	late   atomic.Bool // the timer has ended a Read
	closed atomic.Bool
}

func newBody(a *attempt, src io.ReadCloser) *body {
	b := &body{a: a, src: src}
	b.timer = time.AfterFunc(time.Hour, func() {
		b.late.Store(true)
		a.cancel(errIdle)
	})
	b.timer.Stop()
	return b
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.timer.Reset(b.a.o.timeouts.Idle)
	rested := !b.read.IsZero() && time.Since(b.read) > b.a.o.timeouts.Idle
	n, err := b.src.Read(p)
	b.timer.Stop()
	b.read = time.Now()
	b.a.o.totals.bytes.Add(uint64(n))
	if err != nil {
		b.err = b.ended(err, rested)
	}
	return n, b.err
}

// ended says what the end of a body means. rested: it was not read for so long
// that the endpoint may have lost its patience.
func (b *body) ended(err error, rested bool) error {
	switch {
	case err == io.EOF:
		b.a.whole()
		b.a.end()
		return io.EOF
	case b.closed.Load():
		return http.ErrBodyReadAfterClose
	case b.a.client() != nil:
		b.a.end()
		return b.a.client()
	case b.late.Load():
		err = errIdle
	case rested:
		b.a.end()
		return b.a.error("the body, which was not read for a while: "+err.Error(), statusOf(err))
	}
	return b.a.fail("the body: "+err.Error(), statusOf(err))
}

// Close ends a Read that is going on.
func (b *body) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.timer.Stop()
	b.a.end()
	return b.src.Close()
}
