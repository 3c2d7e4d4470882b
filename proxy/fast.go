package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// fastTransport sends requests over connections of our own codec, HTTP/1.1 only.
// To a transportForwarder it is a transport like others; unlike net/http's it
// costs a request no goroutine without a body, and no connection is used again
// on which an upstream said more than its answer.
type fastTransport struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	patience fastPatience
	pool     h1.Config // of each; but for Dial
	pools    sync.Map  // address, with the client where the PROXY protocol is used, to *h1.Pool
}

// fastPatience bounds waiting. Zero: no bound.
type fastPatience struct {
	Head     time.Duration // for the response's head, when the request was sent
	Continue time.Duration // for leave to send a body; 0: it is sent at once
}

// dialing carries the context of the request that a connection is dialed for,
// which has what a dialer of Caddy's looks up.
func (t *fastTransport) poolOf(address string) *h1.Pool {
	if p, ok := t.pools.Load(address); ok {
		return p.(*h1.Pool)
	}
	config := t.pool
	config.Dial = func(ctx context.Context) (net.Conn, error) { return t.dial(ctx, "tcp", address) }
	p, _ := t.pools.LoadOrStore(address, h1.NewPool(config))
	return p.(*h1.Pool)
}

// CloseIdleConnections closes what nobody uses; pools go on.
func (t *fastTransport) CloseIdleConnections() {
	t.pools.Range(func(_, p any) bool {
		p.(*h1.Pool).Sweep(time.Now().Add(t.pool.IdleTimeout + 24*time.Hour))
		return true
	})
}

// sweep closes what has been idle for too long.
func (t *fastTransport) sweep(now time.Time) {
	t.pools.Range(func(_, p any) bool {
		p.(*h1.Pool).Sweep(now)
		return true
	})
}

// RoundTrip implements http.RoundTripper.
func (t *fastTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	pool := t.poolOf(r.URL.Host)
	for {
		res, again, err := t.try(pool, r)
		if !again {
			return res, err
		}
		if r.Body == nil {
			continue
		}
		body, failed := http.NoBody, errors.New("the body was read")
		if r.GetBody != nil {
			var b io.ReadCloser
			if b, failed = r.GetBody(); failed == nil {
				copied := *r
				copied.Body = b
				r = &copied
				continue
			}
		}
		_ = body
		return nil, err
	}
}

// try is one exchange. again: it failed on a connection that had been idle, as
// it does on one that the upstream was closing.
func (t *fastTransport) try(pool *h1.Pool, r *http.Request) (res *http.Response, again bool, err error) {
	ctx := r.Context()
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(r.URL.Host)
	}
	c, idled, err := pool.Get(ctx, time.Now())
	if err != nil {
		closeBody(r)
		return nil, false, err
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.NetConn(), Reused: idled})
	}
	x := &fastExchange{pool: pool, c: c, turn: c.Exchange(), r: r}
	x.sides.Store(1)
	x.untie = context.AfterFunc(ctx, x.cancel)
	head, err := x.begin(t.patience)
	if err == nil {
		res, err = x.response(head)
	}
	if err == nil {
		return res, false, nil
	}
	x.cancel()
	x.untie()
	x.leave()
	var failed *h1.Error
	again = idled && ctx.Err() == nil && errors.As(err, &failed) && (failed.Stage == h1.StageSending || failed.Stage == h1.StageWaiting) &&
		(failed.Kind == h1.KindEOF || failed.Kind == h1.KindReset) && !x.sending()
	if x.broken.Load() != nil {
		err = *x.broken.Load()
	}
	return nil, again, err
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// fastExchange is one request and its response on a connection.
type fastExchange struct {
	pool   *h1.Pool
	c      *h1.Conn
	turn   uint64
	r      *http.Request
	untie  func() bool
	sides  atomic.Int32          // that are not over: the one that reads, and the one that sends a body
	broken atomic.Pointer[error] // why the body could not be sent, if that was not the upstream's fault
	res    http.Response
}

func (x *fastExchange) cancel() { x.c.Cancel(x.turn) }

// leave is called by each side when it is over.
func (x *fastExchange) leave() {
	if x.sides.Add(-1) == 0 {
		x.pool.Put(x.c, time.Now())
	}
}

// sending reports whether a body may still be read.
func (x *fastExchange) sending() bool { return x.sides.Load() > 0 }

// begin sends the request, and waits for the head of the response.
func (x *fastExchange) begin(p fastPatience) (h1.Response, error) {
	q := h1.Request{
		Method: x.r.Method,
		Target: x.r.URL.RequestURI(),
		Host:   cmp.Or(x.r.Host, x.r.URL.Host),
		Header: x.r.Header,
	}
	if httpguts.HeaderValuesContainsToken(x.r.Header["Connection"], "upgrade") {
		q.Upgrade = x.r.Header.Get("Upgrade")
	}
	if x.r.Body != nil && x.r.Body != http.NoBody && q.Upgrade == "" {
		q.Length = x.r.ContentLength
		if q.Length == 0 {
			q.Length = -1
		}
		q.Expect = p.Continue > 0 && httpguts.HeaderValuesContainsToken(x.r.Header["Expect"], "100-continue")
		if q.Length < 0 {
			for name := range x.r.Trailer {
				q.Trailers = append(q.Trailers, name)
			}
		}
	}
	if err := x.c.WriteHead(&q); err != nil {
		var failed *h1.Error
		if errors.As(err, &failed) && failed.Stage == h1.StageRefused {
			closeBody(x.r)
			return h1.Response{}, err
		}
		// An answer may have come all the same.
	}
	proceed := true
	if q.Expect {
		_ = x.c.SetReadDeadline(time.Now().Add(p.Continue))
		var err error
		if proceed, err = x.c.AwaitContinue(x.interim); err != nil {
			closeBody(x.r)
			return h1.Response{}, err
		}
		_ = x.c.SetReadDeadline(time.Time{})
	}
	if q.Length != 0 && proceed {
		x.sides.Add(1)
		go x.send()
	} else {
		closeBody(x.r)
	}
	if p.Head > 0 && q.Length == 0 {
		_ = x.c.SetReadDeadline(time.Now().Add(p.Head))
	}
	head, err := x.c.ReadHead(nil, x.interim)
	if err == nil && p.Head > 0 {
		_ = x.c.SetReadDeadline(time.Time{})
	}
	return head, err
}

func (x *fastExchange) interim(status int, h http.Header) error {
	if trace := httptrace.ContextClientTrace(x.r.Context()); trace != nil && trace.Got1xxResponse != nil {
		return trace.Got1xxResponse(status, textproto.MIMEHeader(h))
	}
	return nil
}

// send sends the body. It goes on while the response is read.
func (x *fastExchange) send() {
	defer x.leave()
	defer closeBody(x.r)
	var buffers loan
	defer buffers.giveBack()
	if err := x.c.Flush(); err != nil { // or an upstream would wait for a client that does
		return
	}
	for {
		buf := buffers.buffer()
		n, err := x.r.Body.Read(buf)
		if n > 0 {
			buffers.passed(n)
			if _, werr := x.c.Write(buf[:n]); werr != nil {
				return // the response, if there is one, says more
			}
		}
		if err == io.EOF {
			_ = x.c.End(x.r.Trailer)
			return
		}
		if err != nil {
			x.broken.CompareAndSwap(nil, &err)
			x.cancel()
			return
		}
	}
}

// response makes the response of its head.
func (x *fastExchange) response(head h1.Response) (*http.Response, error) {
	x.res = http.Response{
		StatusCode: head.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: head.Header, ContentLength: head.Length, Request: x.r, Body: http.NoBody,
	}
	if head.Status == http.StatusSwitchingProtocols {
		x.untie()
		nc, ahead, ok := x.c.Hijack()
		x.leave()
		if !ok {
			return nil, cmp.Or(context.Cause(x.r.Context()), net.ErrClosed)
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
	x.res.Body = &fastBody{x: x}
	return &x.res, nil
}

// over is called when the response has ended, well or not. A body that is still
// being sent is of no use to anybody.
func (x *fastExchange) over() {
	if x.sides.Load() > 1 {
		x.cancel()
	}
	x.untie()
	x.leave()
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
