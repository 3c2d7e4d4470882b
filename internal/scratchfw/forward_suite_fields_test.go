package proxy

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var fieldTests = map[string]func(*testing.T, Forwarder){
	"hop-by-hop fields end at the proxy in both directions":      testHopByHop,
	"only the trailers token of TE is passed on":                 testTE,
	"Via grows by one entry and no User-Agent is invented":       testVia,
	"a request framed twice goes on framed once":                 testFramedTwice,
	"an untrusted client cannot claim an origin":                 testUntrusted,
	"a trusted proxy's claims are kept and extended":             testTrusted,
	"a peer without an address adds nothing to X-Forwarded-For":  testUnixPeer,
	"a request in early data is marked":                          testEarlyData,
	"fields set before are kept and those of the upstream added": testFieldsKept,
}

// exchangeFields sends header through the proxy and returns what arrives, and
// the response, whose header the upstream made of reply.
func exchangeFields(t *testing.T, f *front, header, reply http.Header) (http.Header, *http.Response) {
	t.Helper()
	got := make(chan http.Header, 1)
	f.upstreams = []string{upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		for k, vv := range reply {
			w.Header()[k] = vv
		}
	})}
	f.start(t, frontH1)
	req, err := http.NewRequest(http.MethodGet, f.server.URL+"/", nil)
	must(t, err)
	req.Header = header
	res, err := f.server.Client().Do(req)
	must(t, err)
	res.Body.Close()
	must(t, receive(t, f.results))
	return receive(t, got), res
}

func testHopByHop(t *testing.T, fw Forwarder) {
	got, res := exchangeFields(t, newFront(t, fw), http.Header{
		"Connection": {"X-Hop, upgrade"}, "X-Hop": {"1"}, "Keep-Alive": {"5"}, "Proxy-Connection": {"x"},
		"Proxy-Authorization": {"x"}, "Upgrade": {"h2c"}, "X-End": {"1"},
	}, http.Header{
		"Connection": {"X-Back"}, "X-Back": {"1"}, "Keep-Alive": {"5"}, "Proxy-Connection": {"x"},
		"Proxy-Authenticate": {"x"}, "Upgrade": {"h2c"}, "Alt-Svc": {"h3"}, "X-End": {"1"},
	})
	for _, k := range []string{"Connection", "X-Hop", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade"} {
		equal(t, "request's "+k, got.Get(k), "")
	}
	for _, k := range []string{"Connection", "X-Back", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Upgrade", "Alt-Svc"} {
		equal(t, "response's "+k, res.Header.Get(k), "")
	}
	equal(t, "request's X-End", got.Get("X-End"), "1")
	equal(t, "response's X-End", res.Header.Get("X-End"), "1")
}

func testTE(t *testing.T, fw Forwarder) {
	got, _ := exchangeFields(t, newFront(t, fw), http.Header{"Te": {"gzip, trailers"}}, nil)
	equal(t, "TE", got.Get("Te"), "trailers")
}

func testVia(t *testing.T, fw Forwarder) {
	head := make(chan string, 1)
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		head <- readHead(br)
		send(t, c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nVia: 1.0 first\r\n\r\n")
	readHead(br)
	got := receive(t, head)
	if !strings.Contains(got, "Via: 1.0 first\r\nVia: 1.1 greenroom\r\n") {
		t.Errorf("Via in %q", got)
	}
	if strings.Contains(got, "User-Agent") {
		t.Errorf("User-Agent in %q", got)
	}
}

func testFramedTwice(t *testing.T, fw Forwarder) {
	head := make(chan string, 1)
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		head <- readHead(br)
		send(t, c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	readHead(br)
	got := receive(t, head)
	if strings.Contains(got, "Content-Length") || !strings.Contains(got, "Transfer-Encoding: chunked\r\n") {
		t.Errorf("head %q", got)
	}
}

func testUntrusted(t *testing.T, fw Forwarder) {
	names := []string{
		"Forwarded", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Original-Url",
		"X-Rewrite-Url", "X-Real-Ip", "True-Client-Ip", "X_Forwarded_For", "X_real_ip",
	}
	sent := http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}}
	for _, k := range names {
		sent[k] = []string{"x"}
	}
	f := newFront(t, fw)
	got, _ := exchangeFields(t, f, sent, nil)
	equal(t, "X-Forwarded-For", strings.Join(got["X-Forwarded-For"], "|"), "127.0.0.1")
	equal(t, "X-Forwarded-Proto", strings.Join(got["X-Forwarded-Proto"], "|"), "http")
	equal(t, "X-Forwarded-Host", strings.Join(got["X-Forwarded-Host"], "|"), f.addr())
	for _, k := range names {
		if _, ok := got[k]; ok {
			t.Errorf("%s reached the upstream", k)
		}
	}
}

func testTrusted(t *testing.T, fw Forwarder) {
	f := newFront(t, fw)
	f.trusted = true
	got, _ := exchangeFields(t, f, http.Header{
		"X-Forwarded-For": {"1.1.1.1", "2.2.2.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"site"}, "X-Real-Ip": {"1.1.1.1"},
	}, nil)
	equal(t, "X-Forwarded-For", strings.Join(got["X-Forwarded-For"], "|"), "1.1.1.1, 2.2.2.2, 127.0.0.1")
	equal(t, "X-Forwarded-Proto", got.Get("X-Forwarded-Proto"), "https")
	equal(t, "X-Forwarded-Host", got.Get("X-Forwarded-Host"), "site")
	equal(t, "X-Real-IP", got.Get("X-Real-Ip"), "1.1.1.1")
}

func testUnixPeer(t *testing.T, fw Forwarder) {
	for _, trusted := range []bool{false, true} {
		f := newFront(t, fw)
		f.trusted = trusted
		f.before = func(_ http.ResponseWriter, r *http.Request) { r.RemoteAddr = "@" }
		got, _ := exchangeFields(t, f, http.Header{"X-Forwarded-For": {"1.1.1.1"}}, nil)
		want := []string(nil)
		if trusted {
			want = []string{"1.1.1.1"}
		}
		if !slices.Equal(got["X-Forwarded-For"], want) {
			t.Errorf("trusted %v: X-Forwarded-For %q", trusted, got["X-Forwarded-For"])
		}
		equal(t, "X-Forwarded-Proto", got.Get("X-Forwarded-Proto"), "http")
	}
}

func testEarlyData(t *testing.T, fw Forwarder) {
	f := newFront(t, fw)
	f.before = func(_ http.ResponseWriter, r *http.Request) { r.TLS = &tls.ConnectionState{} }
	got, _ := exchangeFields(t, f, http.Header{}, nil)
	equal(t, "Early-Data", got.Get("Early-Data"), "1")
	equal(t, "X-Forwarded-Proto", got.Get("X-Forwarded-Proto"), "https")
}

func testFieldsKept(t *testing.T, fw Forwarder) {
	f := newFront(t, fw)
	f.before = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Color", "blue")
		w.Header().Set("Set-Cookie", "a=1")
		w.Header().Set("Server", "front")
	}
	_, res := exchangeFields(t, f, http.Header{}, http.Header{"Set-Cookie": {"b=2"}, "Server": {"back"}})
	equal(t, "X-Color", res.Header.Get("X-Color"), "blue")
	equal(t, "Set-Cookie", strings.Join(res.Header["Set-Cookie"], "|"), "a=1|b=2")
	equal(t, "Server", strings.Join(res.Header["Server"], "|"), "back")
}
