package proxy

//lint:file-ignore SA1019 the Transport of net/http refuses to send :protocol

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

var extendedConnectTests = map[string]func(*testing.T, Forwarder){
	"a WebSocket over HTTP/2 becomes an upgrade":                  testConnectEcho,
	"a WebSocket over HTTP/2 learns of a refusal":                 testConnectRefused,
	"a WebSocket over HTTP/2 is not promised by a 200":            testConnect200,
	"a WebSocket over HTTP/2 is not opened by a wrong accept key": testConnectWrongAccept,
	"a WebSocket over HTTP/2 is reset when cut":                   testConnectCut,
	"a WebSocket over HTTP/2 that is reset frees the upstream":    testConnectReset,
}

// withExtendedConnect runs the calling test in a process whose HTTP/2 server
// allows extended CONNECT: net/http reads that from the environment once, as
// it is initialized. It reports whether this is that process.
func withExtendedConnect(t *testing.T) bool {
	t.Helper()
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

type h2Stream struct {
	*http.Response
	out *io.PipeWriter
}

// connectH2 sends an extended CONNECT.
func connectH2(t *testing.T, f *front) *h2Stream {
	t.Helper()
	tr := &http2.Transport{TLSClientConfig: f.server.Client().Transport.(*http.Transport).TLSClientConfig}
	t.Cleanup(tr.CloseIdleConnections)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, f.server.URL+"/chat", pr)
	must(t, err)
	req.Header[":protocol"] = []string{"websocket"}
	req.Header.Set("Sec-WebSocket-Version", "13")
	res, err := tr.RoundTrip(req)
	must(t, err)
	t.Cleanup(func() { res.Body.Close() })
	return &h2Stream{Response: res, out: pw}
}

// upgradeUpstream agrees to an upgrade with the right key, or a spoilt one.
func upgradeUpstream(t *testing.T, spoil string, script func(c net.Conn, br *bufio.Reader)) string {
	return rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		equal(t, "method", req.Method+" "+req.URL.Path, "GET /chat")
		equal(t, "Upgrade", req.Header.Get("Upgrade"), "websocket")
		accept := acceptFor(req.Header.Get("Sec-Websocket-Key")) + spoil
		_, _ = io.WriteString(c, strings.Replace(agreeUpgrade, "as-it-came", accept, 1))
		script(c, br)
	})
}

func testConnectEcho(t *testing.T, fw Forwarder) {
	if !withExtendedConnect(t) {
		return
	}
	f := newFront(t, fw, upgradeUpstream(t, "", func(c net.Conn, br *bufio.Reader) { _, _ = io.Copy(c, br) })).start(t, frontH2)
	s := connectH2(t, f)
	equal(t, "status", s.StatusCode, http.StatusOK)
	for _, k := range []string{"Connection", "Upgrade", "Sec-Websocket-Accept"} {
		equal(t, k, s.Header.Get(k), "")
	}
	for _, msg := range []string{"one", strings.Repeat("two", 20_000)} {
		go func() { _, _ = io.WriteString(s.out, msg) }()
		b := make([]byte, len(msg))
		_, err := io.ReadFull(s.Body, b)
		must(t, err)
		equal(t, "echo", string(b), msg)
	}
	s.out.Close() // the upstream then ends too
	equal(t, "rest", readAll(t, s.Body), "")
	must(t, receive(t, f.results))
	equal(t, "detached", receive(t, f.exchanges).Detached(), false)
}

func testConnectRefused(t *testing.T, fw Forwarder) {
	if !withExtendedConnect(t) {
		return
	}
	f := newFront(t, fw, upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "members only", http.StatusForbidden)
	})).start(t, frontH2)
	s := connectH2(t, f)
	equal(t, "status", s.StatusCode, http.StatusForbidden)
	equal(t, "body", readAll(t, s.Body), "members only\n")
	must(t, receive(t, f.results))
}

func testConnect200(t *testing.T, fw Forwarder) {
	if !withExtendedConnect(t) {
		return
	}
	f := newFront(t, fw, upstreamServer(t, func(http.ResponseWriter, *http.Request) {})).start(t, frontH2)
	equal(t, "status", connectH2(t, f).StatusCode, http.StatusBadGateway)
	attemptError(t, receive(t, f.results), StageSent)
}

func testConnectWrongAccept(t *testing.T, fw Forwarder) {
	if !withExtendedConnect(t) {
		return
	}
	f := newFront(t, fw, upgradeUpstream(t, "x", func(net.Conn, *bufio.Reader) {})).start(t, frontH2)
	equal(t, "status", connectH2(t, f).StatusCode, http.StatusBadGateway)
	attemptError(t, receive(t, f.results), StageSent)
}

func testConnectCut(t *testing.T, fw Forwarder) {
	if !withExtendedConnect(t) {
		return
	}
	f := newFront(t, fw, upgradeUpstream(t, "", func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })).start(t, frontH2)
	s := connectH2(t, f)
	receive(t, f.exchanges).Cut(errors.New("drained"))
	if _, err := io.ReadAll(s.Body); err == nil {
		t.Error("the tunnel ended as if whole")
	}
	if err := receive(t, f.results); !errors.Is(err, ErrAborted) {
		t.Errorf("got %v", err)
	}
}

func testConnectReset(t *testing.T, fw Forwarder) {
	if !withExtendedConnect(t) {
		return
	}
	ended := make(chan struct{})
	f := newFront(t, fw, upgradeUpstream(t, "", func(_ net.Conn, br *bufio.Reader) {
		_, _ = io.Copy(io.Discard, br)
		close(ended)
	})).start(t, frontH2)
	connectH2(t, f).Body.Close() // sends RST_STREAM
	receive(t, ended)
	if err := receive(t, f.results); !errors.Is(err, ErrAborted) {
		t.Errorf("got %v", err)
	}
}
