package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

var webSocketTests = map[string]func(*testing.T, Forwarder){
	"a WebSocket goes on after its handler returned":         testWebSocketEcho,
	"bytes sent ahead of the switch are not lost":            testTunnelAhead,
	"half-closes reach the other side":                       testTunnelHalfClose,
	"an upstream's end closes the client's side":             testTunnelUpstreamEnd,
	"a client's end closes the upstream's side":              testTunnelClientEnd,
	"a cut closes a tunnel":                                  testTunnelCut,
	"a refused upgrade is an ordinary response":              testUpgradeRefused,
	"a bulk of bytes crosses a tunnel unharmed":              testTunnelBulk,
	"a client that leaves before the switch cancels the try": testUpgradeClientGone,
}

// echoServer echoes WebSocket messages until the client closes.
func echoServer(t *testing.T) string {
	return upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}, InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	})
}

func testWebSocketEcho(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, echoServer(t))
	f.before = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Color", "blue") }
	f.start(t, frontH1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, res, err := websocket.Dial(ctx, f.server.URL, &websocket.DialOptions{Subprotocols: []string{"chat"}})
	must(t, err)
	defer c.CloseNow()
	must(t, receive(t, f.results)) // the handler has returned
	equal(t, "detached", receive(t, f.exchanges).Detached(), true)
	equal(t, "subprotocol", c.Subprotocol(), "chat")
	equal(t, "X-Color", res.Header.Get("X-Color"), "blue")
	for _, s := range []string{"one", strings.Repeat("two", 10_000)} {
		must(t, c.Write(ctx, websocket.MessageText, []byte(s)))
		c.SetReadLimit(1 << 20)
		_, b, err := c.Read(ctx)
		must(t, err)
		equal(t, "echo", string(b), s)
	}
	equal(t, "finished early", len(f.finished), 0)
	must(t, c.Close(websocket.StatusNormalClosure, ""))
	receive(t, f.finished)
}

const (
	askUpgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	agreeUpgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: as-it-came\r\n\r\n"
)

// openTunnel has script serve the upstream's side of a tunnel, and returns the
// client's side with both heads read.
func openTunnel(t *testing.T, fw Forwarder, ahead string, script func(c net.Conn, br *bufio.Reader)) (*front, net.Conn, *bufio.Reader) {
	t.Helper()
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		if head := readHead(br); !strings.Contains(head, "\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n") ||
			!strings.Contains(head, "Upgrade: websocket\r\n") {
			t.Errorf("upstream got %q", head)
		}
		script(c, br)
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, askUpgrade+ahead)
	head := readHead(br)
	for _, want := range []string{"HTTP/1.1 101 ", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n", "Sec-WebSocket-Accept: as-it-came\r\n"} {
		if !strings.Contains(head, want) {
			t.Fatalf("no %q in %q", want, head)
		}
	}
	return f, c, br
}

func testTunnelAhead(t *testing.T, fw Forwarder) {
	f, c, br := openTunnel(t, fw, "early bird", func(c net.Conn, br *bufio.Reader) {
		send(t, c, agreeUpgrade+"early worm")
		b := make([]byte, 10)
		_, _ = io.ReadFull(br, b)
		equal(t, "upstream", string(b), "early bird")
	})
	equal(t, "client", readAll(t, br), "early worm")
	c.Close()
	receive(t, f.finished)
}

func testTunnelHalfClose(t *testing.T, fw Forwarder) {
	f, c, br := openTunnel(t, fw, "", func(c net.Conn, br *bufio.Reader) {
		send(t, c, agreeUpgrade)
		send(t, c, "you said "+readAll(t, br)) // comes only when the client has ended
	})
	send(t, c, "all")
	must(t, c.(*net.TCPConn).CloseWrite())
	equal(t, "client", readAll(t, br), "you said all")
	receive(t, f.finished)
}

func testTunnelUpstreamEnd(t *testing.T, fw Forwarder) {
	f, c, br := openTunnel(t, fw, "", func(c net.Conn, _ *bufio.Reader) { send(t, c, agreeUpgrade) })
	equal(t, "client", readAll(t, br), "")
	c.Close()
	receive(t, f.finished)
}

func testTunnelClientEnd(t *testing.T, fw Forwarder) {
	ended := make(chan struct{})
	f, c, br := openTunnel(t, fw, "", func(c net.Conn, br *bufio.Reader) {
		send(t, c, agreeUpgrade+"x")
		_, _ = io.Copy(io.Discard, br)
		close(ended)
	})
	_, err := br.ReadByte() // now there is a tunnel, and not only a head
	must(t, err)
	c.Close()
	receive(t, ended)
	receive(t, f.finished)
}

func testTunnelCut(t *testing.T, fw Forwarder) {
	ended := make(chan struct{})
	f, _, br := openTunnel(t, fw, "", func(c net.Conn, br *bufio.Reader) {
		send(t, c, agreeUpgrade)
		_, _ = io.Copy(io.Discard, br)
		close(ended)
	})
	must(t, receive(t, f.results))
	receive(t, f.exchanges).Cut(errors.New("drained"))
	_, _ = io.Copy(io.Discard, br)
	receive(t, ended)
	receive(t, f.finished)
	equal(t, "finished again", len(f.finished), 0)
}

func testUpgradeRefused(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "members only", http.StatusForbidden)
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	for range 2 { // the connection stays good for another
		send(t, c, askUpgrade)
		res, err := http.ReadResponse(br, nil)
		must(t, err)
		equal(t, "status", res.StatusCode, http.StatusForbidden)
		equal(t, "body", readAll(t, res.Body), "members only\n")
		must(t, receive(t, f.results))
		equal(t, "detached", receive(t, f.exchanges).Detached(), false)
	}
}

func testTunnelBulk(t *testing.T, fw Forwarder) {
	const size = 3<<20 + 7
	f, c, br := openTunnel(t, fw, "", func(c net.Conn, br *bufio.Reader) {
		send(t, c, agreeUpgrade)
		_, _ = io.Copy(c, br)
	})
	bulk := strings.Repeat("0123456", size/7)
	go func() {
		_, _ = io.WriteString(c, bulk)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	equal(t, "came back", readAll(t, br) == bulk, true)
	receive(t, f.finished)
}

func testUpgradeClientGone(t *testing.T, fw Forwarder) {
	addr, got := silent(t)
	f := newFront(t, fw, addr).start(t, frontH1)
	c, _ := dialRaw(t, f.addr())
	send(t, c, askUpgrade)
	receive(t, got)
	c.Close()
	attemptError(t, receive(t, f.results), StageCanceled)
}
