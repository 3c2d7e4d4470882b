package rig

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // what RFC 6455 §1.3 prescribes
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Kind is what sort of connection is held open.
type Kind string

// The kinds: two of streams, and a connection that is kept when its only request
// has been answered.
const (
	WebSocket    Kind = "websocket"
	ServerEvents Kind = "sse"
	KeepAlive    Kind = "keepalive"
)

// What is said on each before it falls silent: an event (or, on what is no stream, as much), or a WebSocket's
// message, masked with zeros, and its echo.
const (
	event   = "data: hello\n\n"
	message = "\x81\x85\x00\x00\x00\x00hello"
	echo    = "\x81\x05hello"
)

const key = "dGhlIHNhbXBsZSBub25jZQ=="

// Upstream holds every stream open until the client goes, or Release.
type Upstream struct {
	Address string
	server  *http.Server

	mu   sync.Mutex
	over chan struct{} // guarded by mu; closed by Release
}

// NewUpstream listens on loopback. It has to be closed.
func NewUpstream() (*Upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &Upstream{Address: l.Addr().String(), over: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/"+string(ServerEvents), func(w http.ResponseWriter, r *http.Request) {
		over := u.until()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no") // nginx would wait for more
		_, _ = io.WriteString(w, event)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	mux.HandleFunc("/"+string(KeepAlive), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, event) })
	mux.HandleFunc("/"+string(WebSocket), u.answerWebSocket)
	u.server = &http.Server{Handler: mux}
	go func() { _ = u.server.Serve(l) }()
	return u, nil
}

// Close ends it and all streams.
func (u *Upstream) Close() { _ = u.server.Close() }

// until is closed when the streams that begin now are to end.
func (u *Upstream) until() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.over
}

// Release ends all streams. A proxy may not notice that the client of a silent
// one has gone, and would go on holding it.
func (u *Upstream) Release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.over)
	u.over = make(chan struct{})
}

func (u *Upstream) answerWebSocket(w http.ResponseWriter, r *http.Request) {
	over := u.until()
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	if err != nil {
		return
	}
	if _, err := io.ReadFull(rw, make([]byte, len(message))); err != nil {
		return
	}
	if _, err := io.WriteString(conn, echo); err != nil {
		return
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-over:
			_ = conn.Close()
		case <-stop:
		}
	}()
	_, _ = conn.Read(make([]byte, 1)) // until it goes
}

// Held are open connections.
type Held []net.Conn

// Close closes them.
func (s Held) Close() {
	for _, c := range s {
		_ = c.Close()
	}
}

// Open opens n connections of a kind through the proxy at address, some at a time.
func Open(ctx context.Context, address string, k Kind, n int) (Held, error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	var held Held    // guarded by mu
	var failed error // guarded by mu
	turns := make(chan struct{}, 32)
	for range n {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			c, err := dial(ctx, address, k)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			held = append(held, c)
		})
	}
	group.Wait()
	if failed != nil {
		held.Close()
		return nil, fmt.Errorf("%d of %d connections: the last error: %w", n-len(held), n, failed)
	}
	return held, nil
}

// dial opens one stream, and passes what is said on it.
func dial(ctx context.Context, address string, k Kind) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(Patience))
	if err := converse(conn, address, k); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func converse(conn net.Conn, address string, k Kind) error {
	request := fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n", k, address)
	status, awaited := http.StatusOK, event
	if k == WebSocket {
		request += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
		status, awaited = http.StatusSwitchingProtocols, echo
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 1<<10)
	res, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
	if err != nil {
		return err
	}
	if res.StatusCode != status {
		return fmt.Errorf("answered with the status %d", res.StatusCode)
	}
	body := io.Reader(res.Body)
	if k == WebSocket {
		body = in
		if _, err := io.WriteString(conn, message); err != nil {
			return err
		}
	}
	got := make([]byte, len(awaited))
	if _, err := io.ReadFull(body, got); err != nil {
		return err
	}
	if !bytes.Equal(got, []byte(awaited)) {
		return fmt.Errorf("%q came instead of %q", got, awaited)
	}
	return nil
}
