package proxy

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpproxy"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// Forwarding says by what requests are sent to the upstreams.
type Forwarding struct {
	// fast (Greenroom's own HTTP/1.1, in plaintext or over TLS), transport
	// (the transport module itself, whatever it is), or auto: fast where it
	// can do what the transport is set to, else transport. The fast one goes
	// by the settings of the transport http, but for the sizes of buffers.
	// Default: auto.
	By string `json:"by,omitempty"`

	// After how long a connection of the fast forwarder is used no more, up
	// to 168h; a tenth less by chance, so that those made together do not end
	// together. Default: 0, for as long as the upstream keeps it.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// How many connections to each upstream of the target the fast forwarder
	// makes ahead of each step of a cutover, 0 to 1000. Default: as many as
	// the other color has now, shared out among them, at least 1 and at most
	// 64; never more than the transport keeps idle.
	Ahead *int `json:"ahead,omitempty"`
}

const (
	forwardAuto      = "auto"
	forwardFast      = "fast"
	forwardTransport = "transport"
)

func (f *Forwarding) prepare() error {
	switch f.By {
	case "":
		f.By = forwardAuto
	case forwardAuto, forwardFast, forwardTransport:
	default:
		return fmt.Errorf("forwarder %.20q: want auto, fast or transport", f.By)
	}
	if f.By == forwardTransport && (f.MaxAge != 0 || f.Ahead != nil) {
		return errors.New("forwarder transport: max_age and ahead are of the fast forwarder; see the transport's keepalive")
	}
	ahead := 0
	if f.Ahead != nil {
		ahead = *f.Ahead
	}
	return errors.Join(
		inRange("forwarder max_age", time.Duration(f.MaxAge), 0, 168*time.Hour),
		inRange("forwarder ahead", ahead, 0, 1000),
	)
}

// idleKept is how many idle connections to an upstream are kept, where the config
// says nothing of the transport: Caddy's 32 are few for an upstream that has the
// traffic of a service for itself.
const idleKept = 256

func (s *Service) loadForwarder(ctx caddy.Context) (Forwarder, error) {
	if s.TransportRaw == nil {
		s.TransportRaw = caddyconfig.JSONModuleObject(reverseproxy.HTTPTransport{KeepAlive: &reverseproxy.KeepAlive{MaxIdleConnsPerHost: idleKept}}, "protocol", "http", nil)
	}
	var declared struct { // what loading a module takes out of it
		NetworkProxy json.RawMessage `json:"network_proxy"`
	}
	unread := json.Unmarshal(s.TransportRaw, &declared)
	module, err := ctx.LoadModule(s, "TransportRaw")
	if err = errors.Join(err, unread); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	options := forwardOptions{Retired: ctx.Done()}
	transport, isHTTP := module.(*reverseproxy.HTTPTransport)
	if isHTTP {
		adjust(transport)
	}
	why := "it is not http"
	if isHTTP {
		why = notFast(transport, declared.NetworkProxy != nil, httpproxy.FromEnvironment())
	}
	switch {
	case s.Forwarder.By == forwardTransport || s.Forwarder.By == forwardAuto && why != "":
		return newTransportForwarder(module.(http.RoundTripper), options)
	case why != "":
		return nil, fmt.Errorf("forwarder fast cannot do what the transport is set to: %s; change that, or leave it to forwarder auto", why)
	}
	t := newFastTransport(transport, s.Forwarder)
	context.AfterFunc(ctx, t.CloseIdleConnections)
	return newFastForwarder(t, options)
}

// adjust replaces two defaults of Caddy's transport that do not suit an edge
// for media: it would ask for gzip where the client did not, and send a body
// without waiting for the 100 Continue that the client waits for.
func adjust(t *reverseproxy.HTTPTransport) {
	if t.Compression == nil {
		t.Transport.DisableCompression = true
	}
	if t.ExpectContinueTimeout == 0 {
		t.Transport.ExpectContinueTimeout = time.Second
	}
}

// notFast says why a provisioned transport is not for the fast forwarder; empty: it
// is.
func notFast(t *reverseproxy.HTTPTransport, proxied bool, environment *httpproxy.Config) string {
	proxies := environment.HTTPProxy
	if t.TLS != nil {
		proxies = environment.HTTPSProxy
	}
	switch {
	case !slices.Contains(t.Versions, "1.1") || slices.Contains(t.Versions, "h2c"):
		return "the versions " + strings.Join(t.Versions, " ")
	case t.TLS != nil && len(t.Versions) > 1:
		return "TLS, over which the upstream may choose HTTP/2: set the versions to 1.1"
	case t.TLS != nil && strings.Contains(t.TLS.ServerName, "{"):
		return "a tls_server_name with a placeholder"
	case t.ProxyProtocol != "":
		return "proxy_protocol"
	case proxied || t.ForwardProxyURL != "":
		return "a proxy for outgoing connections"
	case proxies != "":
		return "HTTP_PROXY or HTTPS_PROXY in the environment"
	case t.Transport.DisableKeepAlives:
		return "keepalive off"
	case !t.Transport.DisableCompression:
		return "compression"
	}
	return ""
}

func newFastTransport(t *reverseproxy.HTTPTransport, f *Forwarding) *fastTransport {
	head := int(t.MaxResponseHeaderSize)
	if head <= 0 {
		head = 256 << 10
	}
	idle := t.KeepAlive.MaxIdleConnsPerHost
	if most := t.KeepAlive.MaxIdleConns; most > 0 {
		idle = min(idle, most)
	}
	fast := &fastTransport{
		dial:     t.Transport.DialContext,
		patience: fastPatience{Head: t.Transport.ResponseHeaderTimeout, Continue: t.Transport.ExpectContinueTimeout},
		pool: h1.Config{
			Limits:  h1.Limits{Head: head, Fields: 1000},
			MaxIdle: max(idle, 0), MaxOpen: max(t.MaxConnsPerHost, 0),
			IdleTimeout: max(time.Duration(t.KeepAlive.IdleConnTimeout), 0), MaxAge: time.Duration(f.MaxAge),
		},
	}
	if t.TLS != nil {
		fast.dial = dialTLS(t.Transport)
	}
	return fast
}

// dialTLS connects as the transport would, to an upstream that is asked for
// HTTP/1.1 only.
func dialTLS(t *http.Transport) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := t.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := t.TLSClientConfig.Clone()
		if config == nil { // the settings are all defaults
			config = new(tls.Config)
		}
		config.NextProtos = nil
		if host, _, err := net.SplitHostPort(address); err == nil && config.ServerName == "" {
			config.ServerName = host
		}
		if t.TLSHandshakeTimeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, t.TLSHandshakeTimeout)
			defer cancel()
		}
		secure := tls.Client(nc, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		return secure, nil
	}
}
