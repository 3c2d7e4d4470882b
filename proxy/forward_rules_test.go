package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// anyHTTP has a client's transport for each version of HTTP.
func anyHTTP(t *testing.T) map[string]http.RoundTripper {
	h1 := &http.Transport{TLSClientConfig: anyCertificate()}
	h1.Protocols = new(http.Protocols)
	h1.Protocols.SetHTTP1(true)
	t.Cleanup(h1.CloseIdleConnections)
	return map[string]http.RoundTripper{"HTTP/1": h1, "HTTP/2": http2Only(t), "HTTP/3": http3Only(t)}
}

func TestAnIdleConnectionThatDiedFailsNoGET(t *testing.T) {
	var requests atomic.Int64
	upstream := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		for readHead(br) != "" && requests.Add(1)%2 == 1 {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		} // the second request on a connection finds it closed
	})
	h := secureHouse(t, pair("app", upstream, upstream))
	for name, transport := range anyHTTP(t) {
		client := &http.Client{Transport: transport}
		equal(t, name+": first", ask(t, client, h.url("https", "/")).body, "ok")
		before := requests.Load()
		equal(t, name+": second", ask(t, client, h.url("https", "/")).body, "ok")
		equal(t, name+": requests seen for the second", requests.Load()-before, 2)
		requests.Store(0) // the connection is used once more
	}
}

func TestAGETThatDiedIsTriedAtAnotherUpstreamWithAnAccessLogToo(t *testing.T) {
	var died atomic.Int64
	dying := rawUpstream(t, func(_ net.Conn, br *bufio.Reader) {
		if readHead(br) != "" {
			died.Add(1)
		}
	})
	h := newHouse(t)
	h.secure = true
	h.load(pair("app", dying+" "+saying(t, "alive"), dying, "balance round_robin"), "log\nblue_green app")
	h.healthy("app")
	h.certified()
	for name, transport := range anyHTTP(t) {
		died.Store(0)
		for range 4 {
			equal(t, name, ask(t, &http.Client{Transport: transport}, h.url("https", "/")).body, "alive")
		}
		equal(t, name+": an upstream died", died.Load() > 0, true)
	}
}

func TestForwardRefusesAStatusThatIsNone(t *testing.T) {
	for _, status := range []string{"000", "099"} {
		f := newFront(t, transportForwarderOf(t, nil), rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 "+status+" Odd\r\nContent-Length: 0\r\n\r\n")
		})).start(t, frontH1)
		equal(t, "status", get(t, f, "/").StatusCode, http.StatusBadGateway)
		attemptError(t, receive(t, f.results), StageSent)
	}
}

func TestTrailersKeepTheRulesOfHeaders(t *testing.T) {
	t.Setenv("PREVIEW_SECRET", "sixteen characters")
	seen := make(chan http.Header, 1)
	upstream, _ := counting(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	})
	h := secureHouse(t, pair("app", upstream, upstream, "preview {\nheader X-Preview {env.PREVIEW_SECRET}\n}"))
	for name, transport := range anyHTTP(t) {
		if name == "HTTP/3" {
			continue // its client sends trailers that the server does not give to handlers
		}
		r, err := http.NewRequest(http.MethodPost, h.url("https", "/"), struct{ io.Reader }{strings.NewReader("body")})
		must(t, err)
		r.Trailer = http.Header{"X-Sum": {"1"}, "X-Real-Ip": {"1.2.3.4"}, "X-Preview": {"sixteen characters"}, "Alt-Svc": {"x"}}
		res, err := transport.RoundTrip(r)
		must(t, err)
		res.Body.Close()
		trailer := receive(t, seen)
		equal(t, name+": trailers", len(trailer), 1)
		equal(t, name+": X-Sum", trailer.Get("X-Sum"), "1")
	}
}

func TestOnlyWeNameTheColor(t *testing.T) {
	upstream := upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Color", "chartreuse")
		w.Header().Set("Trailer", "X-Color, X-Sum")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "text")
		w.Header().Set("X-Sum", "1")
	})
	h := newHouse(t)
	h.load(pair("app", upstream, upstream, "color_header x-color"), "blue_green app")
	h.healthy("app")
	res, err := http.Get("http://" + h.http)
	must(t, err)
	defer res.Body.Close()
	equal(t, "X-Color", strings.Join(res.Header.Values("X-Color"), "|"), "blue")
	readAll(t, res.Body)
	equal(t, "trailers", len(res.Trailer), 1)
	equal(t, "X-Sum", res.Trailer.Get("X-Sum"), "1")
}

func TestForwardBelievesNoOneWhoIsNotTrusted(t *testing.T) {
	claims := []string{
		"Forwarded", "X-Forwarded", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-User", "X-Scheme", "Front-End-Https",
		"X-Client-Ip", "X-Cluster-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Original-Host", "X-Original-Uri", "X_Real_Ip",
	}
	for _, claim := range claims {
		equal(t, claim, claimsOrigin(claim), true)
	}
	for _, field := range []string{"Accept", "X-Forwardedness", "X-Original-Filename", "Host", "X-Request-Id"} {
		equal(t, field, claimsOrigin(field), false)
	}
	heads := make(chan http.Header, 1)
	for _, trusted := range []bool{false, true} {
		f := newFront(t, transportForwarderOf(t, nil), upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) { heads <- r.Header }))
		f.trusted = trusted
		f.start(t, frontH1)
		r, err := http.NewRequest(http.MethodGet, f.server.URL, nil)
		must(t, err)
		for _, claim := range append(claims, "Http2-Settings") {
			r.Header[claim] = []string{"x"}
		}
		res, err := f.server.Client().Do(r)
		must(t, err)
		res.Body.Close()
		head := receive(t, heads)
		equal(t, "Http2-Settings", head.Get("Http2-Settings"), "")
		got := slices.DeleteFunc(slices.Clone(claims), func(claim string) bool { return head.Get(claim) == "" && head[claim] == nil })
		if trusted {
			equal(t, "claims of the trusted", len(got), len(claims))
		} else {
			equal(t, "claims of others", len(got), 0)
		}
	}
}

func TestForwardKnowsAConnectionThatIsClosed(t *testing.T) {
	for name, dial := range map[string]func(addr string) (net.Conn, error){
		"TCP": func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
		"TLS": func(addr string) (net.Conn, error) { return tls.Dial("tcp", addr, anyCertificate()) },
	} {
		c, err := dial(tlsUpstream(t, func(http.ResponseWriter, *http.Request) {}))
		must(t, err)
		equal(t, name+": closed while open", closed(c), false)
		must(t, c.Close())
		equal(t, name+": closed", closed(c), true)
	}
	equal(t, "none", closed(nil), false)
}

func TestForwardTellsAnUploadThatItsHTTP2UpstreamLeft(t *testing.T) {
	heads := make(chan struct{}, 1)
	addr := tlsUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		heads <- struct{}{}
		panic(http.ErrAbortHandler) // resets the stream; the connection stays
	})
	f := newFront(t, transportForwarderOf(t, func(tr *reverseproxy.HTTPTransport) { overTLS(tr) }), addr).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbe") // and no more
	receive(t, heads)
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 502 ") {
		t.Errorf("head %q", head)
	}
}
