package proxy

//lint:file-ignore SA1019 net/http's Transport does not send an extended CONNECT

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
)

// anyCertificate trusts the authority that Caddy makes for each test.
func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// secureHouse runs services with a site on https too, and waits until that has
// its certificate.
func secureHouse(t *testing.T, services string) *house {
	t.Helper()
	h := newHouse(t)
	h.secure = true
	h.load(services, "blue_green app")
	h.healthy("app")
	h.certified()
	return h
}

// certified waits until the site on https has its certificate.
func (h *house) certified() {
	h.t.Helper()
	until(h.t, "the site has its certificate", func() bool {
		c, err := tls.Dial("tcp", "localhost:"+portOf(h.https), anyCertificate())
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (h *house) url(scheme, path string) string {
	if scheme == "http" {
		return "http://" + h.http + path
	}
	return "https://localhost:" + portOf(h.https) + path
}

// roundTrip sends a request, and returns the response as it is.
func roundTrip(t *testing.T, transport http.RoundTripper, method, url string, body io.Reader, edit ...func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must(t, err)
	for _, e := range edit {
		e(r)
	}
	res, err := transport.RoundTrip(r)
	must(t, err)
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// http2Only is a client's transport for HTTP/2 over TLS.
func http2Only(t *testing.T) *http2.Transport {
	tr := &http2.Transport{TLSClientConfig: anyCertificate()}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func http3Only(t *testing.T) *http3.Transport {
	tr := &http3.Transport{TLSClientConfig: anyCertificate()}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func TestAClientMaySpeakAnyVersionOfHTTP(t *testing.T) {
	upstream := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("Via"), r.Header.Get("X-Forwarded-Proto"), body)
	})
	h := secureHouse(t, pair("app", upstream, upstream))
	h1 := &http.Transport{TLSClientConfig: anyCertificate(), DisableKeepAlives: true}
	for _, c := range []struct {
		name, scheme, want string
		transport          http.RoundTripper
	}{
		{"HTTP/1.1", "http", "1.1 greenroom http hello", h1},
		{"HTTP/1.1 over TLS", "https", "1.1 greenroom https hello", h1},
		{"HTTP/2", "https", "2.0 greenroom https hello", http2Only(t)},
		{"HTTP/3", "https", "3.0 greenroom https hello", http3Only(t)},
	} {
		a := ask(t, &http.Client{Transport: c.transport}, h.url(c.scheme, "/"), func(r *http.Request) {
			r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("hello"))
		})
		equal(t, c.name, a.body, c.want)
	}
}

func TestAWebSocketMayComeOverAnyVersionOfHTTP(t *testing.T) {
	if !withExtendedConnect(t) {
		return
	}
	upstream := streaming(t, "", nil)
	h := secureHouse(t, pair("app", upstream, upstream))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: anyCertificate()}}
	for _, scheme := range []string{"http", "https"} {
		c, _, err := websocket.Dial(ctx, h.url(scheme, "/ws"), &websocket.DialOptions{HTTPClient: client})
		must(t, err)
		echo(t, c, "over HTTP/1.1")
		must(t, c.CloseNow())
	}
	idle := func() {
		until(t, "no WebSocket counts any more", func() bool { return h.view("app").Blue.Inflight == 0 })
	}
	for name, transport := range map[string]http.RoundTripper{"HTTP/2": http2Only(t), "HTTP/3": http3Only(t)} {
		idle()
		t.Run(name, func(t *testing.T) { testExtendedConnect(t, ctx, h, transport) })
	}
	idle()
}

// extendedConnect asks for a WebSocket over the transport's version of HTTP.
func extendedConnect(ctx context.Context, transport http.RoundTripper, target *url.URL, body io.ReadCloser) *http.Request {
	r := (&http.Request{
		Method: http.MethodConnect, URL: target, Host: target.Host, Body: body,
		Header: http.Header{"Sec-Websocket-Version": {"13"}},
	}).WithContext(ctx)
	if _, h3 := transport.(*http3.Transport); h3 {
		r.Proto = "websocket"
	} else {
		r.Header[":protocol"] = []string{"websocket"}
	}
	return r
}

func testExtendedConnect(t *testing.T, ctx context.Context, h *house, transport http.RoundTripper) {
	target, err := url.Parse(h.url("https", "/ws"))
	must(t, err)
	body, out := io.Pipe()
	res, err := transport.RoundTrip(extendedConnect(ctx, transport, target, body))
	must(t, err)
	defer res.Body.Close()
	equal(t, "status", res.StatusCode, http.StatusOK)
	equal(t, "in-flight", h.view("app").Blue.Inflight, 1)
	send(t, out, "\x81\x82\x00\x00\x00\x00hi") // a text message, masked with zeros
	answer := make([]byte, 4)
	_, err = io.ReadFull(res.Body, answer)
	must(t, err)
	equal(t, "echo", string(answer), "\x81\x02hi")
	must(t, out.Close())
	equal(t, "rest", readAll(t, res.Body), "")
}

func TestGRPCGoesThroughToAnUpstreamThatSpeaksH2C(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, grpcServer{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	h := secureHouse(t, pair("app", l.Addr().String(), l.Addr().String(), "transport http {\nversions h2c 2\n}"))

	conn, err := grpc.NewClient("localhost:"+portOf(h.https), grpc.WithTransportCredentials(credentials.NewTLS(anyCertificate())))
	must(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := grpc_testing.NewTestServiceClient(conn)
	_, err = client.EmptyCall(ctx, new(grpc_testing.Empty))
	must(t, err)
	stream, err := client.FullDuplexCall(ctx)
	must(t, err)
	echoes(t, stream)
	_, err = client.UnaryCall(ctx, new(grpc_testing.SimpleRequest))
	if err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("a refusal: %v", err)
	}
}

func TestAnUpstreamMayListenOnAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	must(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	defer server.Close()
	h := newHouse(t)
	h.load(pair("app", "unix/"+path, "unix/"+path, "health http /healthz {\nname second\n}"), "blue_green app")
	h.healthy("app")
	equal(t, "answer", h.get("/").body, h.http)
}

func TestAnUpstreamMaySpeakTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS.ServerName, r.Proto) }))
	defer server.Close()
	address := "localhost:" + portOf(server.Listener.Addr().String())
	h := newHouse(t)
	h.load(pair("app", address, address, "health http / {\nname secure\ntls {\ninsecure_skip_verify\n}\n}", "transport http {\ntls_insecure_skip_verify\n}"), "blue_green app")
	h.healthy("app")
	equal(t, "answer", h.get("/").body, "localhostHTTP/1.1")
}
