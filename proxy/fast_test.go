package proxy

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func fastForwarderOf(t testing.TB, edit ...func(*reverseproxy.HTTPTransport)) *fastForwarder {
	t.Helper()
	provisioned := transport(t, func(tr *reverseproxy.HTTPTransport) {
		for _, e := range edit {
			e(tr)
		}
	})
	adjust(provisioned)
	tr := newFastTransport(provisioned, new(Forwarding))
	t.Cleanup(tr.CloseIdleConnections)
	fw, err := newFastForwarder(tr, forwardOptions{})
	must(t, err)
	return fw
}

func TestForwardFast(t *testing.T) {
	testForwarder(t, func(t *testing.T) Forwarder { return fastForwarderOf(t) })
}

func TestForwardFastOverTLSIsHTTP11(t *testing.T) {
	seen := make(chan string, 3)
	addr := tlsUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- r.Proto + " " + r.Host + " " + r.TLS.ServerName + " " + string(body)
	})
	f := newFront(t, fastForwarderOf(t, func(tr *reverseproxy.HTTPTransport) {
		tr.Versions = []string{"1.1"}
		tr.TLS = &reverseproxy.TLSConfig{InsecureSkipVerify: true, ServerName: "app.example.com"}
	}), addr).start(t, frontH1)
	for range 2 {
		equal(t, "status", get(t, f, "/").StatusCode, http.StatusOK)
		equal(t, "seen upstream", receive(t, seen), "HTTP/1.1 "+f.addr()+" app.example.com ")
	}
	res, err := http.Post("http://"+f.addr()+"/", "text/plain", strings.NewReader("content"))
	must(t, err)
	res.Body.Close()
	equal(t, "seen upstream", receive(t, seen), "HTTP/1.1 "+f.addr()+" app.example.com content")
}

func TestForwardFastOverTLSRefusesAStrangersCertificate(t *testing.T) {
	addr := tlsUpstream(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	f := newFront(t, fastForwarderOf(t, func(tr *reverseproxy.HTTPTransport) {
		tr.Versions, tr.TLS = []string{"1.1"}, new(reverseproxy.TLSConfig)
	}), addr).start(t, frontH1)
	get(t, f, "/")
	err := attemptError(t, receive(t, f.results), StageDial)
	if !strings.Contains(err.Error(), "certificate") || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v", err)
	}
}

func TestForwardFastHasAConnectionForManyRequestsAndReturnsItClean(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }))
	conns := make(chan net.Conn, 100)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns <- c
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	f := newFront(t, fastForwarderOf(t), s.Listener.Addr().String()).start(t, frontH1)
	for i := range 50 {
		path := "/" + strconv.Itoa(i)
		equal(t, "body", readAll(t, get(t, f, path).Body), path)
	}
	equal(t, "connections", len(conns), 1)
}

func TestAnUpstreamIsToldSoonThatNobodyWaits(t *testing.T) {
	left := make(chan struct{})
	addr := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = br.ReadByte() // until we hang up
		close(left)
	})
	f := newFront(t, fastForwarderOf(t), addr).start(t, frontH1)
	c, _ := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	receive(t, f.exchanges)
	c.Close()
	receive(t, left)
	attemptError(t, receive(t, f.results), StageCanceled)
}

func TestAHeadThatDoesNotComeInTimeIsATimeoutAlsoBehindABody(t *testing.T) {
	addr := rawUpstream(t, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	f := newFront(t, fastForwarderOf(t, func(tr *reverseproxy.HTTPTransport) {
		tr.ResponseHeaderTimeout = caddy.Duration(10 * time.Millisecond)
	}), addr).start(t, frontH1)
	for _, body := range []string{"", "content"} {
		res, err := http.Post("http://"+f.addr()+"/", "text/plain", strings.NewReader(body))
		must(t, err)
		res.Body.Close()
		if err := attemptError(t, receive(t, f.results), StageSent); !err.Timeout {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

func TestAHeadMayComeBeforeItsRequestIsWholeAndIsBoundNoMore(t *testing.T) {
	more := make(chan struct{})
	addr := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		send(t, c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
		_, _ = io.ReadFull(br, make([]byte, len("7\r\ncontent\r\n0\r\n\r\n")))
		<-more
		send(t, c, "1\r\nb\r\n0\r\n\r\n")
	})
	f := newFront(t, fastForwarderOf(t, func(tr *reverseproxy.HTTPTransport) {
		tr.ResponseHeaderTimeout = caddy.Duration(10 * time.Millisecond)
	}), addr).start(t, frontH2C)
	out, in := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, "http://"+f.addr()+"/", out)
	must(t, err)
	client := &http.Transport{Protocols: new(http.Protocols)}
	client.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(client.CloseIdleConnections)
	res, err := client.RoundTrip(r)
	must(t, err)
	defer res.Body.Close()
	_, err = io.WriteString(in, "content")
	must(t, err)
	must(t, in.Close())
	time.AfterFunc(50*time.Millisecond, func() { close(more) }) // longer than a head may take
	equal(t, "body", readAll(t, res.Body), "ab")
	must(t, receive(t, f.results))
}

func TestADialThatHangsEndsWithItsClient(t *testing.T) {
	dialing, ended := make(chan struct{}), make(chan error, 1)
	tr := &fastTransport{dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	}}
	fw, err := newFastForwarder(tr, forwardOptions{})
	must(t, err)
	f := newFront(t, fw, "127.0.0.1:1").start(t, frontH1)
	c, _ := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	receive(t, dialing)
	c.Close()
	receive(t, ended)
	attemptError(t, receive(t, f.results), StageCanceled)
}

func TestAPoolThatNobodyUsesIsForgottenAndMadeAnew(t *testing.T) {
	addr := upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	fw := fastForwarderOf(t)
	f := newFront(t, fw, addr).start(t, frontH1)
	equal(t, "body", readAll(t, get(t, f, "/").Body), "ok")
	until(t, "the connection is idle", func() bool { return fw.t.poolOf(addr, "tcp", addr).Stats().Idle == 1 })
	fw.t.CloseIdleConnections()
	fw.t.mu.Lock()
	equal(t, "pools", len(fw.t.pools), 0)
	fw.t.mu.Unlock()
	equal(t, "body", readAll(t, get(t, f, "/").Body), "ok") // whose target still knows the old one
}

func TestAWriterThatPanicsLeavesNoConnectionOut(t *testing.T) {
	addr, _ := spliced(t, 100_000) // more than is read at a time, less than is spliced
	fw := fastForwarderOf(t)
	f := newFront(t, fw, addr)
	f.start(t, frontH1)
	inner := f.server.Config.Handler
	f.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(panicking{w}, r)
	})
	if res, err := http.Get("http://" + f.addr()); err == nil {
		res.Body.Close()
		t.Errorf("answered %d", res.StatusCode)
	}
	until(t, "no connection is out", func() bool { return fw.t.poolOf(addr, "tcp", addr).Stats().Open == 0 })
}

type panicking struct{ http.ResponseWriter }

func (panicking) Write([]byte) (int, error) { panic(http.ErrAbortHandler) }

// spliced serves a body of n random bytes, and returns its hash.
func spliced(t *testing.T, n int) (addr string, sum [32]byte) {
	body := make([]byte, n)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(body)
	return upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = w.Write(body)
	}), sha256.Sum256(body)
}

func TestASplicedBodyIsTheSameAndCountedWhole(t *testing.T) {
	for _, n := range []int{spliceLeast - 1, spliceLeast, spliceLeast + 1, firstPiece, firstPiece + 1, 9<<20 + 7} {
		addr, sum := spliced(t, n)
		f := newFront(t, fastForwarderOf(t), addr).start(t, frontH1)
		for range 2 { // over one connection
			hash := sha256.New()
			read, err := io.Copy(hash, get(t, f, "/").Body)
			must(t, err)
			if read != int64(n) || [32]byte(hash.Sum(nil)) != sum {
				t.Errorf("%d bytes of %d, hash %x", read, n, hash.Sum(nil))
			}
			x := receive(t, f.exchanges)
			must(t, receive(t, f.results))
			equal(t, "counted", x.sent.Load(), int64(n))
		}
	}
}

func TestASplicedBodyThatBreaksOffIsCutAndNeverPadded(t *testing.T) {
	for _, reset := range []bool{false, true} {
		addr := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
			readHead(br)
			send(t, c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 500_000))
			if reset {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
		})
		f := newFront(t, fastForwarderOf(t), addr).start(t, frontH1)
		read, err := io.Copy(io.Discard, get(t, f, "/").Body)
		if err == nil || read > 500_000 || !reset && read != 500_000 {
			t.Errorf("reset %v: %d bytes, %v", reset, read, err)
		}
		x := receive(t, f.exchanges)
		if err := receive(t, f.results); err == nil {
			t.Error("no error")
		}
		if counted := x.sent.Load(); counted < read {
			t.Errorf("counted %d of %d", counted, read)
		}
	}
}

func TestNoWriterIsPassedThatMayChangeWhatIsWritten(t *testing.T) {
	addr, sum := spliced(t, 1<<20)
	f := newFront(t, fastForwarderOf(t), addr)
	f.start(t, frontH1)
	inner := f.server.Config.Handler
	var through int
	f.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(&countingWriter{w, &through}, r)
	})
	hash := sha256.New()
	_, err := io.Copy(hash, get(t, f, "/").Body)
	must(t, err)
	must(t, receive(t, f.results))
	if [32]byte(hash.Sum(nil)) != sum || through != 1<<20 {
		t.Errorf("%d bytes went through the writer", through)
	}
}

type countingWriter struct {
	http.ResponseWriter
	n *int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	*w.n += len(p)
	return w.ResponseWriter.Write(p)
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestTheFastForwarderIsChosenWhereItCanDoWhatTheTransportIsSetTo(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct{ options, refused string }{
		{"", ""},
		{"transport http {\n\tversions 1.1 2\n\tkeepalive 10s\n\tresponse_header_timeout 5s\n}", ""},
		{"transport http {\n\ttls\n\tversions 1.1\n}", ""},
		{"transport http {\n\ttls\n}", "set the versions to 1.1"},
		{"transport http {\n\tversions h2c\n}", "h2c"},
		{"transport http {\n\tversions 2\n}", "the versions 2"},
		{"transport http {\n\tproxy_protocol v2\n}", "proxy_protocol"},
		{"transport http {\n\tkeepalive off\n}", "keepalive off"},
		{"transport http {\n\tnetwork_proxy url http://10.0.0.1:3128\n}", "a proxy for outgoing connections"},
		{"transport http {\n\ttls\n\tversions 1.1\n\ttls_server_name {http.request.host}\n}", "placeholder"},
		{"transport fastcgi", "it is not http"},
	} {
		try := func(which string) error { return h.try(h.caddyfile(in(c.options+"\n"+which), "")) }
		must(t, try(""))
		must(t, try("forwarder transport"))
		err := try("forwarder fast")
		if c.refused == "" {
			must(t, err)
		} else if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), `service "app"`) {
			t.Errorf("%s: got %v", c.options, err)
		}
	}
}

func TestAHTTPProxyInTheEnvironmentIsLeftToTheTransport(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://10.0.0.1:3128")
	h := newHouse(t)
	if err := h.try(h.caddyfile(in("forwarder fast"), "")); err == nil || !strings.Contains(err.Error(), "HTTP_PROXY") {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsToTheTargetAreMadeAheadOfACutover(t *testing.T) {
	var open atomic.Int64 // but for those of probes, which come and go
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	h := newHouse(t)
	h.load(pair("app", upstreamServer(t, func(http.ResponseWriter, *http.Request) {}), s.Listener.Addr().String(), "forwarder fast {", "ahead 7", "}"), "")
	h.healthy("app")
	h.cutover("app", switcher.Green)
	until(t, "seven are open", func() bool { return open.Load() == 7 })
	plan, err := h.client().Plan(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Blue})
	must(t, err)
	gates := ""
	for _, v := range plan.Gates {
		gates += v.String() + "\n"
	}
	if !strings.Contains(gates, `gate "connections": 7 connections to each of 1 healthy upstreams are to be made`) {
		t.Errorf("the plan says %s", gates)
	}
}

func TestAsManyConnectionsAreMadeAheadAsTheOtherColorHas(t *testing.T) {
	for _, c := range []struct{ open, upstreams, want int }{{0, 3, 1}, {1, 3, 1}, {10, 3, 4}, {1000, 3, aheadMost}, {5, 0, 5}} {
		equal(t, fmt.Sprint(c), aheadShare(c.open, c.upstreams), c.want)
	}
}
