package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
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
	to, err := f.targets.get(x.Upstream)
	if err != nil {
		return &AttemptError{Err: fmt.Errorf("upstream %s: %w", x.Upstream, err), Stage: StageDial}
	}
	l := &light{t: f.t, to: to}
	l.a = attempt{f: f.transportForwarder, w: w, r: r, x: x, light: l}
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
	a      attempt
	t      *fastTransport
	to     *target
	fields [8]h1.Field
	first  fastExchange

	// guarded by a.mu
	going *fastExchange           // nil: none is
	stop  context.CancelCauseFunc // ends the dialing; nil: none is going on
	ended error                   // why it was ended
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
	if l.stop != nil {
		l.stop(cause)
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
// been idle it may fail without having been seen, and is then sent again.
func (l *light) roundTrip() (*http.Response, error) {
	pool := l.to.pool.Load()
	if pool == nil {
		pool = l.t.poolFor(l.to)
	}
	x := &l.first
	for {
		c := pool.Idle(time.Now())
		idled := c != nil
		if !idled {
			var err error
			c, idled, err = l.dial(pool)
			if errors.Is(err, h1.ErrPoolClosed) {
				pool = l.t.poolFor(l.to)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		res, err := l.exchange(x, pool, c)
		if err == nil || !idled || !repeatable(l.a.r.Method, err) || l.cause() != nil {
			return res, err
		}
		x = new(fastExchange)
	}
}

// dial waits for a connection as long as anybody wants it.
func (l *light) dial(pool *h1.Pool) (c *h1.Conn, idled bool, err error) {
	ctx, stop := context.WithCancelCause(l.a.r.Context())
	defer stop(nil)
	l.a.mu.Lock()
	l.stop = stop
	ended := l.ended
	l.a.mu.Unlock()
	if ended != nil {
		return nil, false, ended
	}
	l.a.connecting.Store(true)
	c, idled, err = pool.Get(ctx, time.Now())
	if err == nil {
		l.a.connecting.Store(false)
	}
	l.a.mu.Lock()
	l.stop = nil
	l.a.mu.Unlock()
	return c, idled, err
}

// exchange sends the request over c, and waits for the head of the response.
func (l *light) exchange(x *fastExchange, pool *h1.Pool, c *h1.Conn) (*http.Response, error) {
	x.begin(l.t, pool, c, l.a.r.Context())
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
	q := h1.Request{Method: r.Method, Target: r.URL.RequestURI(), Host: r.Host, Header: r.Header, Set: l.a.ownFields(l.fields[:0])}
	if !trustedProxy(r) {
		q.Omit = claimsOrigin
	}
	if err := x.c.WriteHead(&q); err != nil {
		if failed, ok := errors.AsType[*h1.Error](err); ok && failed.Stage == h1.StageRefused {
			return h1.Response{}, err
		}
		// An answer may have come all the same.
	}
	return x.head(l.t.patience.Head, l.interim)
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
