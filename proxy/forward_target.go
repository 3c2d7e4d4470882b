package proxy

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// The names under which Caddy's transports look things up; reverseproxy does
// not export them.
const (
	dialInfoCtxKey   = caddy.CtxKey("reverse_proxy.dial_info")
	proxyProtocolVar = "reverse_proxy.proxy_protocol_info"
	tlsH1OnlyVar     = "reverse_proxy.tls_h1_only"
)

// target is an upstream's address, parsed.
type target struct {
	info  reverseproxy.DialInfo
	boxed any                     // info, so that a context's Value need not allocate
	pool  atomic.Pointer[h1.Pool] // of a fastForwarder; nil: not looked up yet
}

func parseTarget(upstream string) (*target, error) {
	addr, err := caddy.ParseNetworkAddress(upstream)
	if err != nil {
		return nil, err
	}
	if n := addr.PortRangeSize(); n != 1 {
		return nil, fmt.Errorf("names %d sockets, not one", n)
	}
	t := &target{info: reverseproxy.DialInfo{
		Upstream: &reverseproxy.Upstream{Dial: upstream},
		Network:  addr.Network,
		Address:  addr.JoinHostPort(0),
		Host:     addr.Host,
		Port:     strconv.Itoa(int(addr.StartPort)),
	}}
	t.boxed = t.info
	return t, nil
}

// targetCache remembers parsed addresses. The zero value is empty.
type targetCache struct {
	known atomic.Pointer[map[string]*target] // replaced whole
	mu    sync.Mutex                         // held while it is
}

// maxTargets bounds the cache where addresses come and go, as in a pool that
// a scheduler fills with new ports for months.
const maxTargets = 1024

func (c *targetCache) get(upstream string) (*target, error) {
	if known := c.known.Load(); known != nil {
		if t, ok := (*known)[upstream]; ok {
			return t, nil
		}
	}
	t, err := parseTarget(upstream)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[string]*target{}
	if known := c.known.Load(); known != nil && len(*known) < maxTargets {
		maps.Copy(next, *known)
	}
	next[upstream] = t
	c.known.Store(&next)
	return t, nil
}

// target is where an exchange goes; the error is an *AttemptError.
func (f *transportForwarder) target(x *Exchange) (*target, error) {
	to, err := f.targets.get(x.Upstream)
	if err != nil {
		return nil, &AttemptError{Err: fmt.Errorf("upstream %s: %w", x.Upstream, err), Stage: StageDial}
	}
	return to, nil
}

// transportContext is the context of an outgoing request: the client's, with
// what a transport module looks up in it. The table of variables is a copy,
// since a transport may go on dialing, and reading it, after the request it
// dialed for has ended.
type transportContext struct {
	context.Context
	dial any // a reverseproxy.DialInfo
	vars map[string]any
}

func (c *transportContext) Value(key any) any {
	switch key {
	case dialInfoCtxKey:
		return c.dial
	case caddyhttp.VarsCtxKey:
		return c.vars
	}
	return c.Context.Value(key)
}

func (f *transportForwarder) transportContext(parent context.Context, a *attempt, to *target) *transportContext {
	vars, _ := parent.Value(caddyhttp.VarsCtxKey).(map[string]any)
	c := &transportContext{Context: parent, dial: to.boxed, vars: maps.Clone(vars)}
	if c.vars == nil {
		c.vars = make(map[string]any)
	}
	if a.ws != wsNone {
		c.vars[tlsH1OnlyVar] = true
	}
	if f.proxyProtocol {
		c.vars[proxyProtocolVar] = reverseproxy.ProxyProtocolInfo{AddrPort: clientAddrPort(vars)}
	}
	if repl, ok := parent.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && f.ops != nil {
		repl.Set("http.reverse_proxy.upstream.address", to.info.String())
		repl.Set("http.reverse_proxy.upstream.hostport", to.info.Address)
		repl.Set("http.reverse_proxy.upstream.host", to.info.Host)
		repl.Set("http.reverse_proxy.upstream.port", to.info.Port)
	}
	return c
}

// clientAddrPort is the client as Caddy determined it; invalid when unknown.
func clientAddrPort(vars map[string]any) netip.AddrPort {
	s, _ := vars[caddyhttp.ClientIPVarKey].(string)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, 0)
}

// urlHost is what the transport keys its connections by: the address, and
// with the PROXY protocol the client too, since such a connection is bound to
// the client it was announced for. The client's part is escaped, for HTTP/2
// parses the host.
func (c *transportContext) urlHost(to *target) string {
	info, ok := c.vars[proxyProtocolVar].(reverseproxy.ProxyProtocolInfo)
	if !ok {
		return to.info.Address
	}
	return url.QueryEscape(info.AddrPort.String() + "->" + to.info.Address)
}
