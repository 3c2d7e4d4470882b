package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// startH3 serves f over HTTP/3 and returns a client's transport.
func (f *front) startH3(t *testing.T) (addr string, tr *http3.Transport) {
	t.Helper()
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.StartTLS() // lends its certificate
	t.Cleanup(tlsServer.Close)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	server := &http3.Server{Handler: f, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: tlsServer.TLS.Certificates})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(pc)
	}()
	tr = &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(func() { tr.Close(); server.Close(); pc.Close(); <-done })
	return pc.LocalAddr().String(), tr
}

func TestForwardWebSocketOverHTTP3(t *testing.T) {
	f := newFront(t, transportForwarderOf(t, nil), upgradeUpstream(t, "", func(c net.Conn, br *bufio.Reader) { _, _ = io.Copy(c, br) }))
	addr, tr := f.startH3(t)
	pr, pw := io.Pipe()
	req := (&http.Request{
		Method: http.MethodConnect, Proto: "websocket", Host: addr,
		URL:    &url.URL{Scheme: "https", Host: addr, Path: "/chat"},
		Header: http.Header{"Sec-Websocket-Version": {"13"}}, Body: pr,
	}).WithContext(t.Context())
	res, err := tr.RoundTrip(req)
	must(t, err)
	defer res.Body.Close()
	equal(t, "status", res.StatusCode, http.StatusOK)
	equal(t, "Sec-WebSocket-Accept", res.Header.Get("Sec-Websocket-Accept"), "")
	send(t, pw, "hello")
	b := make([]byte, 5)
	_, err = io.ReadFull(res.Body, b)
	must(t, err)
	equal(t, "echo", string(b), "hello")
	pw.Close()
	equal(t, "rest", readAll(t, res.Body), "")
	must(t, receive(t, f.results))
}

func TestForwardSendsAnUploadOverHTTP3Again(t *testing.T) {
	body := noise(300_000)
	for _, at := range []int64{0, 100_000, 300_000} {
		addr, arrivals := taking(t)
		f := newFront(t, transportForwarderOf(t, nil), dyingAfter(t, at), addr)
		f.keep = kept(t, 70_000, 300_000)
		address, tr := f.startH3(t)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+address, bytes.NewReader(body))
		must(t, err)
		res, err := tr.RoundTrip(r)
		must(t, err)
		res.Body.Close()
		equal(t, "status", res.StatusCode, http.StatusOK)
		equal(t, "arrival", receive(t, arrivals), arrival{sha256.Sum256(body), int64(len(body)), http.MethodPut, nil})
		freed(t, f)
	}
}

func TestForwardOverHTTP3(t *testing.T) {
	via := make(chan string, 1)
	f := newFront(t, transportForwarderOf(t, nil), upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		via <- r.Header.Get("Via")
		_, _ = io.Copy(w, r.Body)
	}))
	addr, tr := f.startH3(t)
	pr, pw := io.Pipe()
	go func() { _, _ = io.WriteString(pw, "body"); pw.Close() }()
	res, err := (&http.Client{Transport: tr}).Post("https://"+addr, "", pr)
	must(t, err)
	defer res.Body.Close()
	equal(t, "body", readAll(t, res.Body), "body")
	equal(t, "Via", receive(t, via), "3.0 greenroom")
}
