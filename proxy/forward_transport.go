package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// transportForwarder forwards through a Caddy http.reverse_proxy.transport
// module: whatever such a module can reach (TLS, HTTP/2, h2c, unix sockets,
// FastCGI), it can. It keeps nothing of a request after Forward has returned,
// and the module may be cleaned up while exchanges run: they go on.
type transportForwarder struct {
	rt            http.RoundTripper
	via           viaNames
	tunnelLinger  time.Duration
	ops           *headers.HeaderOps // what the transport wants set; nil: nothing
	proxyProtocol bool
	retired       <-chan struct{}
	targets       targetCache
}

var _ Forwarder = (*transportForwarder)(nil)

// forwardOptions are the settings of a transportForwarder. The zero value
// stands for the defaults.
type forwardOptions struct {
	// ViaName is our pseudonym in Via. Default: "greenroom".
	ViaName string
	// TunnelLinger bounds how long one direction of a tunnel goes on after
	// the other has ended. Default: one minute.
	TunnelLinger time.Duration
	// Retired is closed before rt is cleaned up. Requests that still come
	// leave no idle connection behind, which would hold the config for as
	// long as it is kept alive. nil: it never is.
	Retired <-chan struct{}
}

// newTransportForwarder makes a Forwarder of rt, which must be provisioned.
func newTransportForwarder(rt http.RoundTripper, opts forwardOptions) (*transportForwarder, error) {
	if opts.ViaName == "" {
		opts.ViaName = "greenroom"
	}
	if opts.TunnelLinger == 0 {
		opts.TunnelLinger = time.Minute
	}
	f := &transportForwarder{rt: rt, via: newViaNames(opts.ViaName), tunnelLinger: opts.TunnelLinger, retired: opts.Retired}
	if p, ok := rt.(reverseproxy.ProxyProtocolTransport); ok {
		f.proxyProtocol = p.ProxyProtocolEnabled()
	}
	if h, ok := rt.(reverseproxy.RequestHeaderOpsTransport); ok {
		f.ops = h.RequestHeaderOps()
		if err := f.ops.Provision(caddy.Context{}); err != nil {
			return nil, fmt.Errorf("header operations of the transport: %w", err)
		}
	}
	return f, nil
}

// Forward implements Forwarder.
func (f *transportForwarder) Forward(w http.ResponseWriter, r *http.Request, x *Exchange) error {
	to, err := f.target(x)
	if err != nil {
		return err
	}
	a := f.begin(w, r, x, to)
	defer f.closeIdle()
	defer a.end()
	return a.answer(f.rt.RoundTrip(a.out))
}

// answer passes on what the upstream has answered, if it has.
func (a *attempt) answer(res *http.Response, err error) error {
	if err != nil {
		return a.failed(err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return a.switched(res)
	}
	if a.ws == wsExtended && res.StatusCode/100 == 2 {
		// A 2xx would tell the client that its tunnel stands (RFC 8441 §5).
		_ = res.Body.Close()
		return a.failed(fmt.Errorf("answered %d instead of switching to WebSocket", res.StatusCode))
	}
	if res.StatusCode < http.StatusOK || res.StatusCode > 999 {
		_ = res.Body.Close()
		return a.failed(fmt.Errorf("answered with the status %d", res.StatusCode))
	}
	return a.relay(res)
}

// closeIdle closes what a request has left behind after the cleanup: a server of
// before takes requests until its listener is closed.
func (f *transportForwarder) closeIdle() {
	select {
	case <-f.retired:
		switch t := f.rt.(type) { // those too that become idle only now
		case *reverseproxy.HTTPTransport:
			t.Transport.CloseIdleConnections()
		case *fastTransport:
			t.CloseIdleConnections()
		}
	default:
	}
}

// attempt is one call of Forward.
type attempt struct {
	f    *transportForwarder
	w    http.ResponseWriter
	rc   *http.ResponseController
	r    *http.Request
	x    *Exchange
	out  *http.Request // nil while a light needs none: outgoing
	ws   webSocketKind
	body *requestBody // nil: no body is sent

	light     *light                  // what stands for out's context; nil: nothing
	cancelOut context.CancelCauseFunc // of out's context
	unlink    func() bool             // unties that from r's context; nil: it is a child of r's
	kept      bool                    // a tunnel has taken over: no cancel

	connecting atomic.Bool // the transport is looking for a connection

	mu    sync.Mutex
	phase attemptPhase            // guarded by mu
	conn  net.Conn                // guarded by mu; the transport's latest
	hints int                     // guarded by mu; interim responses relayed
	drop  context.CancelCauseFunc // guarded by mu; ends the search for a continuation; nil: there is none
}

type attemptPhase uint8

const (
	phaseWaiting  attemptPhase = iota // for the head of the response
	phaseRelaying                     // a head is being written, or was
	phaseEnded                        // w must not be touched any more
)

func (f *transportForwarder) begin(w http.ResponseWriter, r *http.Request, x *Exchange, to *target) *attempt {
	a := &attempt{f: f, w: w, rc: http.NewResponseController(w), r: r, x: x, ws: webSocketRequest(r)}
	parent := r.Context()
	if a.ws != wsNone {
		// net/http ends a request's context when its handler returns; a
		// tunnel goes on. The tie is cut when the tunnel takes over.
		parent = context.WithoutCancel(parent)
	}
	ctx, cancel := context.WithCancelCause(parent)
	if a.ws != wsNone {
		a.unlink = context.AfterFunc(r.Context(), func() { cancel(context.Cause(r.Context())) })
	}
	a.cancelOut = cancel
	x.Became(requestKind(r, a.ws == wsNone && hasBody(r)))
	x.Expects(r.ContentLength)
	tc := f.transportContext(ctx, a, to)
	a.out = a.request(httptrace.WithClientTrace(tc, &httptrace.ClientTrace{
		GetConn:        func(string) { a.connecting.Store(true) },
		GotConn:        a.connected,
		Got1xxResponse: a.interim,
	}), tc.urlHost(to))
	x.OnCut(a.cut)
	return a
}

// cancel ends the upstream's side because of cause.
func (a *attempt) cancel(cause error) {
	if a.light != nil {
		a.light.cancel(cause)
		return
	}
	a.cancelOut(cause)
}

// cause is why the attempt was ended; nil: it was not.
func (a *attempt) cause() error {
	if a.light != nil {
		return a.light.cause()
	}
	return context.Cause(a.out.Context())
}

// end makes sure that nothing of the attempt reaches w after Forward returned.
func (a *attempt) end() {
	a.enter(phaseEnded)
	if a.kept {
		return
	}
	a.x.OnCut(nil)
	a.x.OnEnd(nil)
	if a.unlink != nil {
		a.unlink()
	}
	a.dropBody(nil)
	a.cancel(nil)
}

func (a *attempt) dropBody(cause error) {
	a.mu.Lock()
	drop := a.drop
	a.mu.Unlock()
	if drop != nil {
		drop(cause)
	}
}

func (a *attempt) enter(p attemptPhase) {
	a.mu.Lock()
	a.phase = p
	a.mu.Unlock()
}

// cut ends the exchange: the upstream's side at once, and a client that does
// not send or not read, which would hold us in a Read or a Write.
func (a *attempt) cut(cause error) {
	a.dropBody(cause) // first: what is canceled must not be continued
	a.cancel(cause)
	if a.body != nil {
		a.body.stop(errBodyReleased)
	}
	a.wakeWriter()
}

// wakeEvery is for a Write that began just as it was to be woken: what is
// around w may have set a deadline of its own after ours.
const wakeEvery = time.Second

// wakeWriter ends a Write to the client that is going on. It goes past what is
// around the server's own writer, since Caddy's idle timeouts may not be told
// of a deadline from another goroutine; the server's own may.
func (a *attempt) wakeWriter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.phase != phaseRelaying {
		return
	}
	_ = http.NewResponseController(innermost(a.w)).SetWriteDeadline(longAgo)
	time.AfterFunc(wakeEvery, a.wakeWriter)
}

// innermost is the writer that w was made around.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapped.Unwrap()
	}
}

// maxInterim bounds the interim responses to one request; the transport has
// no bound of its own once they are passed to us.
const maxInterim = 32

// interim relays a 1xx response (RFC 9110 §15.2). It is called on the
// transport's goroutine, perhaps after RoundTrip has returned.
func (a *attempt) interim(code int, header textproto.MIMEHeader) error {
	if code == http.StatusContinue {
		return nil // the server sends its own when the body is first read
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hints++; a.hints > maxInterim {
		return fmt.Errorf("more than %d interim responses", maxInterim)
	}
	a.writeInterimLocked(code, http.Header(header))
	return nil
}

// sendContinue answers Expect: 100-continue. net/http would do it by itself
// in the body's first Read, but does not order that with other 1xx responses.
func (a *attempt) sendContinue() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writeInterimLocked(http.StatusContinue, nil)
}

// writeInterimLocked sends a 1xx with header alone: the fields set on w so far
// belong to the final response.
func (a *attempt) writeInterimLocked(code int, header http.Header) {
	if a.phase != phaseWaiting || !a.r.ProtoAtLeast(1, 1) {
		return // HTTP/1.0 knows no 1xx (RFC 9110 §15.2)
	}
	h := a.w.Header()
	final := h.Clone()
	clear(h)
	a.copyResponseHeader(h, header)
	a.w.WriteHeader(code)
	clear(h)
	for k, vv := range final {
		h[k] = vv
	}
}
