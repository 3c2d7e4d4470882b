package proxy

import (
	"cmp"
	"context"
	"errors"
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
	pool  *h1.Pool
	c     *h1.Conn
	turn  uint64
	sides atomic.Int32 // that are not over: the one that reads, and the one that sends a body
	watched
	untie func() bool // from a context that ends the exchange; nil: there is none

	res  http.Response
	body fastBody
}

func (x *fastExchange) begin(pool *h1.Pool, c *h1.Conn) {
	x.pool, x.c, x.turn = pool, c, c.Exchange()
	x.sides.Store(1)
}

// cancel ends what goes on on the connection. Later it does nothing.
func (x *fastExchange) cancel() { x.c.Cancel(x.turn) }

// leave is called by each side when it is over.
func (x *fastExchange) leave() {
	if x.sides.Add(-1) == 0 {
		x.pool.Put(x.c, time.Now())
	}
}

// parts from what would cancel it.
func (x *fastExchange) parts() {
	x.unwatch()
	if x.untie != nil {
		x.untie()
	}
}

// fail is for the side that reads, when there is no response.
func (x *fastExchange) fail() {
	x.cancel()
	x.parts()
	x.leave()
}

// over is called when the response has ended, well or not. A body that is still
// being sent is of no use to anybody.
func (x *fastExchange) over() {
	if x.sides.Load() > 1 {
		x.cancel()
	}
	x.parts()
	x.leave()
}

// writeHead sends the head of a request. An error is of a request that cannot be
// sent at all; after any other an answer may have come all the same.
func (x *fastExchange) writeHead(q *h1.Request) error {
	err := x.c.WriteHead(q)
	if failed, ok := errors.AsType[*h1.Error](err); ok && failed.Stage == h1.StageRefused {
		return err
	}
	return nil
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
		x.parts()
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

var _ spliceable = (*fastBody)(nil)

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
	if err != nil {
		b.finish(err)
	}
	return n, err
}

// await waits until Read need not wait, so that nobody holds a buffer for it; false:
// there is no way to, but to Read.
func (b *fastBody) await() bool { return !b.over && b.x.c.Await() }

// bulk implements spliceable.
func (b *fastBody) bulk() (ahead []byte, from *net.TCPConn, left int64) {
	if b.over {
		return nil, nil, 0
	}
	ahead, from, left, _ = b.x.c.Bulk()
	return ahead, from, left
}

// took implements spliceable.
func (b *fastBody) took(n int64) {
	if err := b.x.c.Took(n); err != nil {
		b.finish(err)
	}
}

func (b *fastBody) finish(err error) {
	b.over, b.err = true, err
	if err == io.EOF {
		b.x.takeTrailer()
	} else {
		b.x.cancel()
	}
	b.x.over()
}

func (x *fastExchange) takeTrailer() {
	for name, values := range x.c.Trailer() {
		if x.res.Trailer == nil {
			x.res.Trailer = make(http.Header)
		}
		x.res.Trailer[name] = values
	}
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
