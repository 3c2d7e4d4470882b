package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/textproto"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// fastForwarder forwards over HTTP/1.1 by our own codec. Requests without content
// go the short way; those with it, and WebSockets, as a transportForwarder sends them.
type fastForwarder struct {
	*transportForwarder
	t *fastTransport
}

var _ Forwarder = (*fastForwarder)(nil)

func newFastForwarder(t *fastTransport, opts forwardOptions) (*fastForwarder, error) {
	f, err := newTransportForwarder(t, opts)
	return &fastForwarder{f, t}, err
}

// Forward implements Forwarder.
func (f *fastForwarder) Forward(w http.ResponseWriter, r *http.Request, x *Exchange) error {
	if hasBody(r) || r.Trailer != nil || f.ops != nil || webSocketRequest(r) != wsNone {
		return f.transportForwarder.Forward(w, r, x)
	}
	to, err := f.target(x)
	if err != nil {
		return err
	}
	l := &light{t: f.t, to: to}
	l.a.f, l.a.w, l.a.r, l.a.x, l.a.light = f.transportForwarder, w, r, x, l
	l.a.rc = http.NewResponseController(w)
	x.Became(requestKind(r, false))
	x.Expects(0)
	x.OnCut(l.a.cut)
	defer f.closeIdle()
	defer l.a.end()
	return l.a.answer(l.roundTrip())
}

// light is an attempt at a request without content and without an upgrade: it
// wants neither an http.Request nor a context of its own.
type light struct {
	a     attempt
	t     *fastTransport
	to    *target
	first fastExchange

	// guarded by a.mu
	going *fastExchange // nil: none is
	dials *dialing      // nil: it does not
	ended error         // why it was ended
}

// cancel ends the upstream's side because of cause.
func (l *light) cancel(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	if l.ended == nil {
		l.ended = cause
	}
	if l.going != nil {
		l.going.cancel()
	}
	if l.dials != nil {
		l.dials.stop(cause)
	}
}

func (l *light) cause() error {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	if l.ended != nil {
		return l.ended
	}
	return context.Cause(l.a.r.Context())
}

// roundTrip sends the request and returns the response. On a connection that had
// been idle it may fail without having been seen, and is then sent once more. If
// it is what upstreams die of, it gets no further by itself.
func (l *light) roundTrip() (*http.Response, error) {
	c, pool, idled, err := l.connect(false)
	if err != nil {
		return nil, err
	}
	res, err := l.exchange(&l.first, pool, c)
	if err == nil || !idled || !repeatable(l.a.r.Method, err) || l.cause() != nil {
		return res, err
	}
	if c, pool, _, err = l.connect(true); err != nil {
		return nil, err
	}
	return l.exchange(new(fastExchange), pool, c)
}

// connect takes a connection, and a fresh one where there can be one.
func (l *light) connect(fresh bool) (c *h1.Conn, pool *h1.Pool, idled bool, err error) {
	pool = l.to.pool.Load()
	if pool == nil {
		pool = l.t.poolFor(l.to)
	}
	for {
		if !fresh {
			if c = pool.Idle(time.Now()); c != nil {
				return c, pool, true, nil
			}
		}
		c, idled, err = l.dial(pool, fresh)
		if !errors.Is(err, h1.ErrPoolClosed) {
			return c, pool, idled, err
		}
		pool = l.t.poolFor(l.to)
	}
}

// dial waits for a connection as long as anybody wants it. It is made by another
// goroutine, so that the stack that takes is not kept for as long as a stream
// lasts, and by a context that leaves no trace in the request's.
func (l *light) dial(pool *h1.Pool, fresh bool) (c *h1.Conn, idled bool, err error) {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(l.a.r.Context()))
	defer stop(nil)
	d := &dialing{stop: stop}
	l.a.mu.Lock()
	l.dials = d
	ended := l.ended
	l.a.mu.Unlock()
	if ended != nil {
		return nil, false, ended
	}
	l.a.connecting.Store(true)
	l.t.vigil.watch(&d.watched, l.a.r.Context(), d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, idled, err = lender(fresh)(pool, ctx, time.Now())
	}()
	<-done
	d.unwatch()
	if err == nil {
		l.a.connecting.Store(false)
	}
	l.a.mu.Lock()
	l.dials = nil
	l.a.mu.Unlock()
	return c, idled, err
}

// dialing is a search for a connection that is going on.
type dialing struct {
	watched
	stop context.CancelCauseFunc
}

func (d *dialing) cancel() { d.stop(context.Cause(d.ctx)) }

// exchange sends the request over c, and waits for the head of the response.
func (l *light) exchange(x *fastExchange, pool *h1.Pool, c *h1.Conn) (*http.Response, error) {
	x.begin(pool, c)
	l.t.vigil.watch(&x.watched, l.a.r.Context(), x)
	if err := l.goes(x); err != nil {
		x.fail()
		return nil, err
	}
	head, err := l.send(x)
	var res *http.Response
	if err == nil {
		res, err = x.response(l.a.r, head)
	}
	if err != nil {
		x.fail()
	}
	return res, err
}

// goes makes x what cancel ends, unless it has come before.
func (l *light) goes(x *fastExchange) error {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	l.going = x
	return l.ended
}

func (l *light) send(x *fastExchange) (h1.Response, error) {
	r := l.a.r
	own := ownFieldLists.Get().(*ownFieldList)
	defer own.giveBack()
	own.list = l.a.ownFields(own.list)
	q := h1.Request{Method: r.Method, Target: r.URL.RequestURI(), Host: r.Host, Header: r.Header, Set: own.list}
	if !trustedProxy(r) {
		q.Omit = claimsOrigin
	}
	if err := x.writeHead(&q); err != nil {
		return h1.Response{}, err
	}
	return x.head(l.t.patience.Head, l.interim)
}

// ownFieldList is lent while a head is written.
type ownFieldList struct{ list []h1.Field }

var ownFieldLists = sync.Pool{New: func() any { return &ownFieldList{make([]h1.Field, 0, 8)} }}

func (o *ownFieldList) giveBack() {
	clear(o.list)
	o.list = o.list[:0]
	ownFieldLists.Put(o)
}

func (l *light) interim(status int, h http.Header) error {
	return l.a.interim(status, textproto.MIMEHeader(h))
}

// outgoing is the request as it was sent, for what wants one.
func (a *attempt) outgoing() *http.Request {
	if a.out == nil {
		tc := a.f.transportContext(a.r.Context(), a, a.light.to)
		a.out = a.request(tc, tc.urlHost(a.light.to))
	}
	return a.out
}
