package h1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// failed wants an *Error with a stage, a kind, and a text.
func failed(t testing.TB, err error, s Stage, k Kind, text string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Stage != s || e.Kind != k || !strings.Contains(e.Error(), text) {
		t.Errorf("got %+v, want stage %q, kind %d, text %q", err, s, k, text)
	}
}

// script is a connection that says what it is told, in pieces, and keeps what
// it hears.
type script struct {
	say   string
	piece int   // bytes for one Read; 0: all
	end   error // behind say; nil: io.EOF
	heard strings.Builder
}

func (s *script) Read(p []byte) (int, error) {
	if s.say == "" {
		if s.end != nil {
			return 0, s.end
		}
		return 0, io.EOF
	}
	if s.piece > 0 {
		p = p[:min(len(p), s.piece)]
	}
	n := copy(p, s.say)
	s.say = s.say[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)    { return s.heard.Write(p) }
func (*script) Close() error                     { return nil }
func (*script) LocalAddr() net.Addr              { return nil }
func (*script) RemoteAddr() net.Addr             { return nil }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

// serve runs what is at the other end of each connection, until the test ends.
func serve(t testing.TB, each func(c net.Conn, br *bufio.Reader)) (dial func(context.Context) (net.Conn, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	serveOn(t, l, each)
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
}

func serveOn(t testing.TB, l net.Listener, each func(c net.Conn, br *bufio.Reader)) {
	var all sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				each(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
}

// answering reads requests, and says the same after each.
func answering(text string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, br *bufio.Reader) {
		for hear(br) == nil {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// hear reads a request, with its content.
func hear(br *bufio.Reader) error {
	r, err := http.ReadRequest(br)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	return err
}

// connect makes a Conn that is closed when the test ends.
func connect(t testing.TB, dial func(context.Context) (net.Conn, error)) *Conn {
	t.Helper()
	nc, err := dial(t.Context())
	must(t, err)
	c := NewConn(nc, Limits{})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var get = &Request{Method: "GET", Target: "/", Host: "a.example"}

// ask sends get and reads the whole answer.
func ask(c *Conn) (res Response, body string, err error) {
	if err = c.WriteHead(get); err != nil {
		return
	}
	if res, err = c.ReadHead(nil, nil); err != nil {
		return
	}
	b, err := io.ReadAll(c)
	return res, string(b), err
}

// eventually waits for a condition that is to come.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// Waiting reports whether the peer has sent something that was not read from the
// socket, or has left. It takes nothing, and does not wait.
func (c *Conn) Waiting() bool { return c.raw != nil && new(peeker).at(c.raw) != sightNothing }
