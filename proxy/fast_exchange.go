package proxy

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// fastExchange is one request and its response on a connection, which goes back
// to its pool when both are over.
type fastExchange struct {
	pool   *h1.Pool
	c      *h1.Conn
	turn   uint64
	sides  atomic.Int32          // that are not over: the one that reads, and the one that sends a body
	broken atomic.Pointer[error] // why the body could not be sent, if that was not the upstream's fault
	watched

	res  http.Response
	body fastBody
}

// begin has the exchange end when ctx does.
func (x *fastExchange) begin(t *fastTransport, pool *h1.Pool, c *h1.Conn, ctx context.Context) {
	x.pool, x.c, x.turn = pool, c, c.Exchange()
	x.sides.Store(1)
	t.vigil.watch(x, ctx)
}

// cancel ends what goes on on the connection. Later it does nothing.
func (x *fastExchange) cancel() { x.c.Cancel(x.turn) }

// leave is called by each side when it is over.
func (x *fastExchange) leave() {
	if x.sides.Add(-1) == 0 {
		x.pool.Put(x.c, time.Now())
	}
}

// sending reports whether a body may still be read.
func (x *fastExchange) sending() bool { return x.sides.Load() > 0 }

// fail is for the side that reads, when there is no response.
func (x *fastExchange) fail() {
	x.cancel()
	x.unwatch()
	x.leave()
}

// over is called when the response has ended, well or not. A body that is still
// being sent is of no use to anybody.
func (x *fastExchange) over() {
	if x.sides.Load() > 1 {
		x.cancel()
	}
	x.unwatch()
	x.leave()
}

// head waits for the final head of the response, for as long as patience if that
// is not zero.
func (x *fastExchange) head(patience time.Duration, interim func(status int, h http.Header) error) (h1.Response, error) {
	if patience > 0 {
		_ = x.c.SetReadDeadline(time.Now().Add(patience))
	}
	head, err := x.c.ReadHead(nil, interim)
	if err == nil && patience > 0 {
		_ = x.c.SetReadDeadline(time.Time{})
	}
	return head, err
}

// response makes the response to r of its head.
func (x *fastExchange) response(r *http.Request, head h1.Response) (*http.Response, error) {
	x.res = http.Response{
		StatusCode: head.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: head.Header, ContentLength: head.Length, Request: r, Body: http.NoBody,
	}
	if head.Status == http.StatusSwitchingProtocols {
		x.unwatch()
		nc, ahead, ok := x.c.Hijack()
		x.leave()
		if !ok {
			return nil, cmp.Or(context.Cause(r.Context()), net.ErrClosed)
		}
		x.res.Body = &switchedConn{Conn: nc, ahead: ahead}
		return &x.res, nil
	}
	if len(head.Announced) > 0 {
		x.res.Trailer = make(http.Header, len(head.Announced))
		for _, name := range head.Announced {
			x.res.Trailer[name] = nil
		}
	}
	if head.Length == 0 && x.res.Trailer == nil {
		x.over()
		return &x.res, nil
	}
	x.body.x = x
	x.res.Body = &x.body
	return &x.res, nil
}

// fastBody is a response's body.
type fastBody struct {
	x    *fastExchange
	err  error
	over bool
}

func (b *fastBody) Read(p []byte) (int, error) {
	if b.over {
		return 0, cmp.Or(b.err, error(net.ErrClosed))
	}
	n, err := b.x.c.Read(p)
	if err == io.EOF {
		for name, values := range b.x.c.Trailer() {
			if b.x.res.Trailer == nil {
				b.x.res.Trailer = make(http.Header)
			}
			b.x.res.Trailer[name] = values
		}
	}
	if err != nil {
		b.finish(err)
	}
	return n, err
}

func (b *fastBody) finish(err error) {
	b.over, b.err = true, err
	if err != io.EOF {
		b.x.cancel()
	}
	b.x.over()
}

// Close gives the connection back, which is of use only if all was read.
func (b *fastBody) Close() error {
	if !b.over {
		b.finish(net.ErrClosed)
	}
	return nil
}

// switchedConn is a connection after a 101, with what came behind that.
type switchedConn struct {
	net.Conn
	ahead []byte
}

func (c *switchedConn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite half-closes, where the connection can.
func (c *switchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}
