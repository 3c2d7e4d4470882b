package proxy

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/greenroom-proxy/greenroom/internal/h1"
)

// request builds the outgoing request. It shares values, but no map, with r.
func (a *attempt) request(ctx context.Context, host string) *http.Request {
	out := a.r.WithContext(ctx)
	u := *a.r.URL
	u.Scheme = "" // the transport chooses, not the client's absolute-form
	u.Host = host
	out.URL = &u
	out.Close = false
	out.Header = a.requestHeader()
	a.attachBody(out)
	if a.ws == wsExtended {
		out.Method = http.MethodGet
		out.ContentLength = 0
	}
	if a.f.ops != nil {
		out.Header = out.Header.Clone() // the operations may edit values in place
		a.f.ops.ApplyToRequest(out)
	}
	return out
}

// attachBody gives out the client's body, or none: a nil Body lets a transport
// repeat the request by itself on a connection that died while idle.
func (a *attempt) attachBody(out *http.Request) {
	r := a.r
	if a.ws != wsNone || !hasBody(r) {
		out.Body, out.Trailer = nil, nil
		return
	}
	a.body = &requestBody{src: r.Body, size: -1, gone: a.upstreamGone, received: a.x.Received}
	// By way of Caddy's idle timeouts, which would else set a deadline of
	// their own after ours; unlike the ones for writing they are locked.
	a.body.interrupt = func() error { return a.rc.SetReadDeadline(longAgo) }
	if r.ProtoMajor == 1 {
		a.body.size = r.ContentLength
	}
	if r.ProtoMajor != 2 && httpguts.HeaderValuesContainsToken(r.Header["Expect"], "100-continue") {
		a.body.before = a.sendContinue // the server for HTTP/2 has no other order
	}
	if a.x.Upload != nil {
		a.x.Upload.lend(a.body, a.x.Received)
	}
	out.Body = a.body
	out.GetBody = a.body.rewind
	if out.Trailer = a.announcedTrailer(); out.Trailer != nil {
		a.body.after = func() {
			for k := range out.Trailer {
				out.Trailer[k] = r.Trailer[k]
			}
		}
		// HTTP/1 carries trailers in chunked framing only (RFC 9112 §7.1.2).
		out.ContentLength = -1
		delete(out.Header, "Content-Length")
	}
}

// announcedTrailer has the names of the trailers to pass on, still without
// values: the server knows these when the body has ended. It is nil if there
// are none.
func (a *attempt) announcedTrailer() (announced http.Header) {
	keep := a.endToEnd()
	announce := func(k string) {
		if keep(k) {
			if announced == nil {
				announced = make(http.Header)
			}
			announced[k] = nil
		}
	}
	if a.x.Upload != nil { // whose reading may go on from an attempt before
		for _, k := range a.x.Upload.trailers {
			announce(k)
		}
		return announced
	}
	for k := range a.r.Trailer {
		announce(k)
	}
	return announced
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// requestHeader makes the fields that go upstream.
func (a *attempt) requestHeader() http.Header {
	in := a.r.Header
	out := make(http.Header, len(in)+6)
	keep := a.endToEnd()
	for k, vv := range in {
		if keep(k) {
			out[unrepeated(k)] = vv
		}
	}
	if httpguts.HeaderValuesContainsToken(in["Te"], "trailers") {
		out["Te"] = []string{"trailers"} // the one coding a proxy may pass on unchanged
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = nil // or the transport invents one
	}
	var fields [8]h1.Field
	own := a.ownFields(fields[:0])
	for _, f := range own {
		delete(out, f.Name)
	}
	for _, f := range own {
		out[f.Name] = append(out[f.Name], f.Value)
	}
	if a.ws != wsNone {
		setWebSocketHeader(out, a.ws)
	}
	return out
}

// unrepeated is the name by which a field goes upstream. net/http's transport
// takes Idempotency-Key for leave to send a POST again by itself, when the
// connection that it was sent on dies: it does not see these names in lower case.
// Whether a request may reach an upstream twice is for Replay to say.
func unrepeated(field string) string {
	switch field {
	case "Idempotency-Key", "X-Idempotency-Key":
		return strings.ToLower(field)
	}
	return field
}

// endToEnd returns the rule by which fields of the client's, in the header or
// the trailer, go upstream.
func (a *attempt) endToEnd() func(field string) bool {
	trusted, listed := trustedProxy(a.r), connectionFields(a.r.Header)
	return func(k string) bool {
		return !hopByHop(k) && !slices.Contains(listed, k) && k[0] != ':' && (trusted || !claimsOrigin(k))
	}
}

func trustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// hopByHop reports whether a field, in canonical form, is for one connection
// only (RFC 9110 §7.6.1). Alt-Svc is among them because it would lead clients
// past us to the upstream it came from.
func hopByHop(field string) bool {
	switch field {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Proxy-Authenticate", "Proxy-Authorization", "Alt-Svc", "Http2-Settings":
		return true
	}
	return false
}

// connectionFields lists, in canonical form, what Connection names besides the
// fields that are hop-by-hop anyway.
func connectionFields(h http.Header) []string {
	var fields []string
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "" && name != "Close" && !hopByHop(name) {
				fields = append(fields, name)
			}
		}
	}
	return fields
}

// claimsOrigin reports whether a field says who the client is, or what it asked
// for, in a way that upstreams tend to believe. Such fields count only from a
// trusted proxy. CGI-like upstreams cannot tell "_" from "-", so neither do we.
func claimsOrigin(field string) bool {
	if strings.IndexByte(field, '_') >= 0 {
		field = http.CanonicalHeaderKey(strings.ReplaceAll(field, "_", "-"))
	}
	switch field {
	case "Forwarded", "Forwarded-For", "X-Real-Ip", "X-Client-Ip", "Client-Ip", "True-Client-Ip", "X-Remote-Ip", "X-Remote-Addr",
		"X-Originating-Ip", "X-Cluster-Client-Ip", "X-Proxyuser-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Fastly-Client-Ip",
		"Fly-Client-Ip", "X-Appengine-User-Ip", "X-Azure-Clientip", "X-Azure-Socketip", "X-Envoy-External-Address",
		"X-Scheme", "X-Url-Scheme", "Front-End-Https", "X-Arr-Ssl", "Cf-Visitor", "X-Host", "X-Rewrite-Url",
		"X-Original-Url", "X-Original-Uri", "X-Original-Host", "X-Original-Proto", "X-Original-Method",
		"X-Original-For", "X-Original-Forwarded-For", "X-Original-Remote-Addr":
		return true
	}
	// All of these are said by proxies: -For, -Proto, -Ssl, -Prefix, -User.
	rest, ok := strings.CutPrefix(field, "X-Forwarded")
	return ok && (rest == "" || rest[0] == '-')
}

// ownFields adds the fields that we set ourselves to list, instead of the client's
// of these names. What a trusted proxy said before us is kept in them: X-Forwarded-For
// grows by the peer's address, and Via by our name.
func (a *attempt) ownFields(list []h1.Field) []h1.Field {
	r := a.r
	trusted := trustedProxy(r)
	if peer := peerIP(r.RemoteAddr); peer != "" {
		if trusted {
			if prior := strings.Join(a.endToEndValues("X-Forwarded-For"), ", "); prior != "" {
				peer = prior + ", " + peer
			}
		}
		list = append(list, h1.Field{Name: "X-Forwarded-For", Value: peer})
	}
	if !trusted || first(a.endToEndValues("X-Forwarded-Proto")) == "" {
		proto := "http"
		if r.TLS != nil {
			proto = "https"
		}
		list = append(list, h1.Field{Name: "X-Forwarded-Proto", Value: proto})
	}
	if !trusted || first(a.endToEndValues("X-Forwarded-Host")) == "" {
		list = append(list, h1.Field{Name: "X-Forwarded-Host", Value: r.Host})
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		list = append(list, h1.Field{Name: "Early-Data", Value: "1"}) // RFC 8470 §5.1
	}
	for _, prior := range a.endToEndValues("Via") {
		list = append(list, h1.Field{Name: "Via", Value: prior})
	}
	return append(list, h1.Field{Name: "Via", Value: a.f.via.of(r)})
}

// endToEndValues are the client's values of a field that is not hop-by-hop, unless
// its Connection says that it is.
func (a *attempt) endToEndValues(field string) []string {
	values := a.r.Header[field]
	if values != nil && slices.Contains(connectionFields(a.r.Header), field) {
		return nil
	}
	return values
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// peerIP is the IP of a RemoteAddr, without zone; "" when there is none, as
// with a unix socket, whose peer is "@".
func peerIP(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return ""
	}
	host, _, _ = strings.Cut(host, "%")
	return host
}

// viaNames are our Via entries, by the protocol in which a request was
// received (RFC 9110 §7.6.3).
type viaNames struct{ v10, v11, v2, v3 string }

func newViaNames(name string) viaNames {
	return viaNames{"1.0 " + name, "1.1 " + name, "2.0 " + name, "3.0 " + name}
}

func (v *viaNames) of(r *http.Request) string {
	switch {
	case r.ProtoMajor == 3:
		return v.v3
	case r.ProtoMajor == 2:
		return v.v2
	case r.ProtoAtLeast(1, 1):
		return v.v11
	}
	return v.v10
}
