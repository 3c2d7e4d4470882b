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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// fastTransport sends requests over connections of our own codec, HTTP/1.1 only.
// To a transportForwarder it is a transport like others; unlike net/http's it
// costs a request no goroutine without a body, holds no byte of a body back, and
// uses no connection again on which an upstream said more than its answer.
type fastTransport struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	patience fastPatience
	pool     h1.Config // of each; but for Dial
	vigil    vigil

	mu      sync.Mutex
	pools   map[string]*h1.Pool // guarded by mu; by the upstream, in Caddy's form
	sweeper *time.Timer         // guarded by mu; nil: there are no pools
}

// fastPatience bounds waiting. Zero: no bound.
type fastPatience struct {
	Head     time.Duration // for the response's head, when the request was sent
	Continue time.Duration // for leave to send a body; 0: it is sent at once
}

// RoundTrip implements http.RoundTripper. Where to dial is in the request's
// context, as for Caddy's transports. What failed on a connection that had been
// idle is sent once more, over a fresh one.
func (t *fastTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, again, err := t.try(r, false)
	if !again {
		return res, err
	}
	if r.Body != nil {
		if r.GetBody == nil {
			return nil, err
		}
		body, unread := r.GetBody()
		if unread != nil {
			return nil, err
		}
		copied := *r
		copied.Body = body
		r = &copied
	}
	res, _, err = t.try(r, true)
	return res, err
}

// connect takes a connection, and a fresh one where there can be one.
func (t *fastTransport) connect(r *http.Request, fresh bool) (pool *h1.Pool, c *h1.Conn, idled bool, err error) {
	upstream, network, address := r.URL.Host, "tcp", r.URL.Host
	if info, ok := reverseproxy.GetDialInfo(r.Context()); ok {
		upstream, network, address = info.Upstream.Dial, info.Network, info.Address
	}
	for {
		pool = t.poolOf(upstream, network, address)
		c, idled, err = lender(fresh)(pool, r.Context(), time.Now())
		if !errors.Is(err, h1.ErrPoolClosed) {
			return pool, c, idled, err
		}
	}
}

// lender is how to ask a pool for a connection.
func lender(fresh bool) func(*h1.Pool, context.Context, time.Time) (*h1.Conn, bool, error) {
	if fresh {
		return (*h1.Pool).Fresh
	}
	return (*h1.Pool).Get
}

// try is one exchange. again: it failed on a connection that had been idle, as
// it does on one that the upstream was closing.
func (t *fastTransport) try(r *http.Request, fresh bool) (res *http.Response, again bool, err error) {
	ctx := r.Context()
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(r.URL.Host)
	}
	pool, c, idled, err := t.connect(r, fresh)
	if err != nil {
		closeBody(r)
		return nil, false, err
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.NetConn(), Reused: idled})
	}
	s := &fastSending{r: r}
	s.begin(pool, c)
	s.untie = context.AfterFunc(ctx, s.cancel)
	head, err := s.exchange(t.patience)
	if err == nil {
		res, err = s.response(r, head)
	}
	if err == nil {
		return res, false, nil
	}
	s.fail()
	again = idled && ctx.Err() == nil && repeatable(r.Method, err)
	if again && s.sent != nil {
		<-s.sent // or it would go on reading what is to be sent again
	}
	if broken := s.broken.Load(); broken != nil {
		err = *broken
	}
	return nil, again, err
}

// repeatable reports whether a request that failed on a connection that had been
// idle was, most likely, not seen, and does no harm if it was.
func repeatable(method string, err error) bool {
	failed, ok := errors.AsType[*h1.Error](err)
	return ok && (failed.Stage == h1.StageSending || failed.Stage == h1.StageWaiting) &&
		(failed.Kind == h1.KindEOF || failed.Kind == h1.KindReset) && slices.Contains(idempotent, method)
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// fastSending is an exchange of an http.Request, with its body.
type fastSending struct {
	fastExchange
	r      *http.Request
	sent   chan struct{}         // closed when the body is read no more; nil: it is not read at all
	broken atomic.Pointer[error] // why the body could not be sent, if that was not the upstream's fault

	mu              sync.Mutex
	headed, bounded bool // guarded by mu; expectHead's
}

// exchange sends the request, and waits for the head of the response.
func (s *fastSending) exchange(p fastPatience) (h1.Response, error) {
	q := s.request(p.Continue > 0)
	if err := s.writeHead(&q); err != nil {
		closeBody(s.r)
		return h1.Response{}, err
	}
	proceed := true
	if q.Expect {
		_ = s.c.SetReadDeadline(time.Now().Add(p.Continue))
		var err error
		if proceed, err = s.c.AwaitContinue(s.interim); err != nil {
			closeBody(s.r)
			return h1.Response{}, err
		}
		_ = s.c.SetReadDeadline(time.Time{})
	}
	if q.Length == 0 || !proceed {
		closeBody(s.r)
		return s.head(p.Head, s.interim)
	}
	s.sides.Add(1)
	s.sent = make(chan struct{})
	go s.send(p.Head)
	head, err := s.head(0, s.interim) // the body may take its time
	s.expectHead(0)
	return head, err
}

// expectHead bounds the wait for the head from here on. Zero says that it has come,
// and is the last word, whichever side is done first.
func (s *fastSending) expectHead(patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.headed:
	case patience > 0:
		s.bounded = true
		_ = s.c.SetReadDeadline(time.Now().Add(patience))
	default:
		s.headed = true
		if s.bounded {
			_ = s.c.SetReadDeadline(time.Time{})
		}
	}
}

func (s *fastSending) request(expects bool) h1.Request {
	r := s.r
	q := h1.Request{
		Method: r.Method,
		Target: r.URL.RequestURI(),
		Host:   cmp.Or(r.Host, r.URL.Host),
		Header: r.Header,
	}
	if httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") {
		q.Upgrade = r.Header.Get("Upgrade")
	}
	if r.Body == nil || r.Body == http.NoBody || q.Upgrade != "" {
		return q
	}
	q.Length = r.ContentLength
	if q.Length == 0 {
		q.Length = -1
	}
	q.Expect = expects && httpguts.HeaderValuesContainsToken(r.Header["Expect"], "100-continue")
	if q.Length < 0 {
		for name := range r.Trailer {
			q.Trailers = append(q.Trailers, name)
		}
	}
	return q
}

func (s *fastSending) interim(status int, h http.Header) error {
	if trace := httptrace.ContextClientTrace(s.r.Context()); trace != nil && trace.Got1xxResponse != nil {
		return trace.Got1xxResponse(status, textproto.MIMEHeader(h))
	}
	return nil
}

// send sends the body. It goes on while the response is read, and bounds the wait
// for that when all was sent.
func (s *fastSending) send(patience time.Duration) {
	defer close(s.sent)
	defer s.leave()
	defer closeBody(s.r)
	var buffers loan
	defer buffers.giveBack()
	if err := s.c.Flush(); err != nil { // or an upstream would wait for a client that does
		return
	}
	for {
		buf := buffers.buffer()
		n, err := s.r.Body.Read(buf)
		if n > 0 {
			if _, werr := s.c.Write(buf[:n]); werr != nil {
				s.unsent(werr)
				return
			}
			buffers.passed(n) // not before: it may lend buf to somebody else
		}
		if err == io.EOF {
			if err := s.c.End(s.r.Trailer); err != nil {
				s.unsent(err)
			} else if patience > 0 {
				s.expectHead(patience)
			}
			return
		}
		if err != nil {
			s.breaks(err)
			return
		}
	}
}

// unsent is for a body that could not be written. If that was the upstream's
// doing, the response, if there is one, says more; what was wrong with the body
// itself, nobody will say.
func (s *fastSending) unsent(err error) {
	if failed, ok := errors.AsType[*h1.Error](err); ok && failed.Kind == h1.KindMisuse {
		s.breaks(err)
	}
}

// breaks ends the exchange because of the body.
func (s *fastSending) breaks(cause error) {
	s.broken.CompareAndSwap(nil, &cause)
	s.cancel()
}
