package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/coder/websocket"
)

// transport provisions an HTTPTransport that edit has set up.
func transport(t testing.TB, edit func(*reverseproxy.HTTPTransport)) *reverseproxy.HTTPTransport {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	tr := &reverseproxy.HTTPTransport{ExpectContinueTimeout: caddy.Duration(time.Hour)}
	if edit != nil {
		edit(tr)
	}
	must(t, tr.Provision(ctx))
	t.Cleanup(func() { _ = tr.Cleanup() })
	return tr
}

func transportForwarderOf(t testing.TB, edit func(*reverseproxy.HTTPTransport)) *transportForwarder {
	t.Helper()
	fw, err := newTransportForwarder(transport(t, edit), forwardOptions{})
	must(t, err)
	return fw
}

func TestForwardByTransport(t *testing.T) {
	testForwarder(t, func(t *testing.T) Forwarder { return transportForwarderOf(t, nil) })
}

// tlsUpstream speaks HTTP/2 and HTTP/1.1 over TLS.
func tlsUpstream(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func overTLS(tr *reverseproxy.HTTPTransport) {
	tr.TLS = &reverseproxy.TLSConfig{InsecureSkipVerify: true}
}

func TestForwardToATLSUpstreamNamesItsHost(t *testing.T) {
	hosts := make(chan string, 1)
	addr := tlsUpstream(t, func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Proto + " " + r.Host })
	f := newFront(t, transportForwarderOf(t, overTLS), addr).start(t, frontH1)
	equal(t, "status", get(t, f, "/").StatusCode, http.StatusOK)
	equal(t, "seen upstream", receive(t, hosts), "HTTP/2.0 "+addr)
}

func TestForwardWebSocketToATLSUpstream(t *testing.T) {
	addr := tlsUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		_ = c.Write(r.Context(), websocket.MessageText, []byte("hello"))
		_ = c.Close(websocket.StatusNormalClosure, "")
	})
	f := newFront(t, transportForwarderOf(t, overTLS), addr).start(t, frontH1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, f.server.URL, nil)
	must(t, err)
	_, b, err := c.Read(ctx)
	must(t, err)
	equal(t, "message", string(b), "hello")
	_, _, err = c.Read(ctx)
	equal(t, "close status", websocket.CloseStatus(err), websocket.StatusNormalClosure)
	receive(t, f.finished)
}

func TestForwardSendsAnUploadAgainWhenAnHTTP2UpstreamDies(t *testing.T) {
	body := noise(300_000)
	for _, at := range []int64{0, 100_000, 300_000} {
		dying := tlsUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, at)
			panic(http.ErrAbortHandler)
		})
		sums := make(chan [sha256.Size]byte, 1)
		addr := tlsUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
			h := sha256.New()
			_, _ = io.Copy(h, r.Body)
			sums <- [sha256.Size]byte(h.Sum(nil))
		})
		for _, p := range []frontProtocol{frontH1, frontH2} {
			f := newFront(t, transportForwarderOf(t, overTLS), dying, addr)
			f.keep = kept(t, 70_000, 300_000)
			f.start(t, p)
			equal(t, "status", put(t, f, bytes.NewReader(body), int64(len(body))).StatusCode, http.StatusOK)
			equal(t, "sum", receive(t, sums), sha256.Sum256(body))
			freed(t, f)
		}
	}
}

func TestForwardRelaysAnEarlyAnswerOfAnHTTP2Upstream(t *testing.T) {
	addr := tlsUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too big", http.StatusRequestEntityTooLarge)
	})
	f := newFront(t, transportForwarderOf(t, overTLS), addr).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbe") // and no more
	must(t, receive(t, f.results))
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 413 ") {
		t.Errorf("head %q", head)
	}
}

func TestForwardEndsATunnelWhoseClientIgnoresTheEnd(t *testing.T) {
	fw, err := newTransportForwarder(transport(t, nil), forwardOptions{TunnelLinger: time.Millisecond})
	must(t, err)
	f, _, br := openTunnel(t, fw, "", func(c net.Conn, _ *bufio.Reader) { send(t, c, agreeUpgrade) })
	equal(t, "client", readAll(t, br), "") // its own side stays open
	receive(t, f.finished)
}

func TestForwardWebSocketFromATLSClient(t *testing.T) {
	f := newFront(t, transportForwarderOf(t, nil), echoServer(t))
	f.server = httptest.NewTLSServer(f)
	t.Cleanup(f.server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, f.server.URL, &websocket.DialOptions{HTTPClient: f.server.Client()})
	must(t, err)
	must(t, receive(t, f.results))
	must(t, c.Write(ctx, websocket.MessageText, []byte("hello")))
	_, b, err := c.Read(ctx)
	must(t, err)
	equal(t, "echo", string(b), "hello")
	must(t, c.Close(websocket.StatusNormalClosure, ""))
	receive(t, f.finished)
}

func TestForwardToATLSUpstreamThatCannotShakeHandsIsADialFailure(t *testing.T) {
	f := newFront(t, transportForwarderOf(t, overTLS), rawUpstream(t, func(net.Conn, *bufio.Reader) {})).start(t, frontH1)
	res, err := f.server.Client().Post(f.server.URL, "", strings.NewReader("body"))
	must(t, err)
	res.Body.Close()
	equal(t, "BodyRead", attemptError(t, receive(t, f.results), StageDial).BodyRead, false)
}

func TestForwardToAUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "fw") // t.TempDir may be too long for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	must(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host)
	})}}
	s.Start()
	t.Cleanup(s.Close)
	f := newFront(t, transportForwarderOf(t, nil), "unix/"+path).start(t, frontH1)
	equal(t, "host", readAll(t, get(t, f, "/").Body), f.addr())
}

func TestForwardAnnouncesTheClientInThePROXYProtocol(t *testing.T) {
	f := newFront(t, transportForwarderOf(t, func(tr *reverseproxy.HTTPTransport) { tr.ProxyProtocol = "v1" }),
		rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
			line, _ := br.ReadString('\n')
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"+line)
		})).start(t, frontH1)
	if line := readAll(t, get(t, f, "/").Body); !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 ") {
		t.Errorf("got %q", line)
	}
}

func TestForwardWaitsForAHeadNoLongerThanTheTransportSays(t *testing.T) {
	addr, _ := silent(t)
	f := newFront(t, transportForwarderOf(t, func(tr *reverseproxy.HTTPTransport) {
		tr.ResponseHeaderTimeout = caddy.Duration(time.Millisecond)
	}), addr).start(t, frontH1)
	get(t, f, "/")
	equal(t, "Timeout", attemptError(t, receive(t, f.results), StageSent).Timeout, true)
}

func TestForwardCallsASlowDialATimeout(t *testing.T) {
	f := newFront(t, transportForwarderOf(t, func(tr *reverseproxy.HTTPTransport) {
		tr.DialTimeout = caddy.Duration(1) // has passed before anything is tried
	}), refused(t)).start(t, frontH1)
	get(t, f, "/")
	equal(t, "Timeout", attemptError(t, receive(t, f.results), StageDial).Timeout, true)
}

func TestForwardGoesOnWhenTheTransportIsCleanedUp(t *testing.T) {
	next := make(chan string)
	addr := upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		for s := range next {
			_, _ = io.WriteString(w, s)
			w.(http.Flusher).Flush()
		}
	})
	tr := transport(t, nil)
	fw, err := newTransportForwarder(tr, forwardOptions{})
	must(t, err)
	f := newFront(t, fw, addr).start(t, frontH1)
	res := get(t, f, "/")
	must(t, tr.Cleanup())
	next <- "still here"
	close(next)
	equal(t, "body", readAll(t, res.Body), "still here")
	must(t, receive(t, f.results))
}

func TestForwardLendsABodyAgainUntilItIsRead(t *testing.T) {
	body := &requestBody{src: strings.NewReader("body"), size: 4, interrupt: func() error { t.Error("interrupted"); return nil }}
	must(t, body.Close())
	again, err := body.rewind()
	must(t, err)
	equal(t, "body", readAll(t, again), "body")
	if _, err := body.rewind(); err == nil {
		t.Error("a body was lent again after it had been read")
	}
	touched, err := body.release()
	must(t, err)
	equal(t, "touched", touched, true)
	if _, err := body.Read(make([]byte, 1)); err == nil {
		t.Error("a released body was read")
	}
}

func TestForwardLeavesTheRequestItWasGivenAlone(t *testing.T) {
	f := newFront(t, transportForwarderOf(t, overTLS), tlsUpstream(t, func(http.ResponseWriter, *http.Request) {}))
	var before, after http.Header
	var r *http.Request
	f.before = func(_ http.ResponseWriter, req *http.Request) { r, before = req, req.Header.Clone() }
	f.start(t, frontH1)
	host := f.addr()
	get(t, f, "/path?q")
	must(t, receive(t, f.results))
	after = r.Header
	equal(t, "Host", r.Host, host)
	equal(t, "URL", r.URL.String(), "/path?q")
	equal(t, "fields", len(after), len(before))
	for k := range before {
		equal(t, k, strings.Join(after[k], "|"), strings.Join(before[k], "|"))
	}
}

func TestForwardLeavesNoConnectionInATransportThatWasCleanedUpBefore(t *testing.T) {
	closed := make(chan error, 1)
	addr := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, err := br.ReadByte()
		closed <- err
	})
	tr, retired := transport(t, nil), make(chan struct{})
	fw, err := newTransportForwarder(tr, forwardOptions{Retired: retired})
	must(t, err)
	f := newFront(t, fw, addr).start(t, frontH1)
	close(retired)
	must(t, tr.Cleanup())
	equal(t, "body", readAll(t, get(t, f, "/").Body), "ok")
	equal(t, "end of the connection", receive(t, closed), io.EOF)
}
