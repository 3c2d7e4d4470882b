package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/internal/spool"
)

// testForwarder is what every Forwarder must pass. newForwarder makes one that
// speaks HTTP/1.1 in plaintext and waits without limit for a 100 Continue.
func testForwarder(t *testing.T, newForwarder func(t *testing.T) Forwarder) {
	suites := []map[string]func(*testing.T, Forwarder){
		fieldTests, responseTests, bodyTests, failureTests, webSocketTests, extendedConnectTests, replayTests, endTests,
	}
	for _, suite := range suites {
		for name, test := range suite {
			t.Run(name, func(t *testing.T) {
				others := goleak.IgnoreCurrent() // of the tests before, and of Caddy
				t.Cleanup(func() { goleak.VerifyNone(t, others) })
				test(t, newForwarder(t))
			})
		}
	}
}

// patience is how long a test waits for what must happen; it never decides.
const patience = 20 * time.Second

// front is a server that forwards every request: the handler of these tests.
type front struct {
	fw        Forwarder
	upstreams []string // attempts after a StageDial error go on to the next
	trusted   bool
	before    func(w http.ResponseWriter, r *http.Request) // nil: nothing
	keep      *spool.Limits                                // of bodies, which any unanswered attempt then may send again; nil: none
	room      spool.Room

	results   chan error     // of Forward
	exchanges chan *Exchange // before Forward
	finished  chan struct{}  // by tunnels
	server    *httptest.Server
}

type frontProtocol string

const (
	frontH1  frontProtocol = "http/1.1"
	frontH2  frontProtocol = "h2"
	frontH2C frontProtocol = "h2c"
)

func newFront(t *testing.T, fw Forwarder, upstreams ...string) *front {
	return &front{
		fw: fw, upstreams: upstreams,
		results: make(chan error, 64), exchanges: make(chan *Exchange, 64), finished: make(chan struct{}, 64),
	}
}

func (f *front) start(t *testing.T, p frontProtocol) *front {
	t.Helper()
	f.server = httptest.NewUnstartedServer(f)
	switch p {
	case frontH2:
		f.server.EnableHTTP2 = true
		f.server.StartTLS()
	case frontH2C:
		f.server.Config.Protocols = new(http.Protocols)
		f.server.Config.Protocols.SetUnencryptedHTTP2(true)
		f.server.Start()
	default:
		f.server.Start()
	}
	t.Cleanup(f.server.Close)
	return f
}

func (f *front) addr() string { return f.server.Listener.Addr().String() }

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, f.trusted)
	caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, peerIP(r.RemoteAddr))
	if f.before != nil {
		f.before(w, r)
	}
	var err error
	var body *upload
	if f.keep != nil {
		body = newUpload(w, r, spool.New(&f.room, *f.keep, r.ContentLength))
		defer body.giveBack(w)
	}
	for _, upstream := range f.upstreams {
		x := &Exchange{Upstream: upstream, Upload: body, finish: func() { f.finished <- struct{}{} }}
		f.exchanges <- x
		err = f.fw.Forward(w, r, x)
		f.results <- err
		var attempt *AttemptError
		if !errors.As(err, &attempt) || attempt.BodyRead ||
			attempt.Stage != StageDial && (body == nil || attempt.Stage != StageSent) {
			break
		}
	}
	var attempt *AttemptError
	switch {
	case errors.As(err, &attempt):
		body.giveBack(w)
		w.WriteHeader(http.StatusBadGateway)
	case err != nil:
		panic(http.ErrAbortHandler)
	}
}

// receive waits for what must come.
func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

// upstreamServer runs a handler and returns its address.
func upstreamServer(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// rawUpstream serves every connection with script, and closes it after.
func rawUpstream(t *testing.T, script func(c net.Conn, br *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				script(c, bufio.NewReader(c))
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// dialRaw opens a connection to write and read by hand.
func dialRaw(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c, bufio.NewReader(c)
}

// readHead reads up to and with the empty line.
func readHead(br *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := br.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

func send(t *testing.T, w io.Writer, s string) {
	t.Helper()
	_, err := io.WriteString(w, s)
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	must(t, err)
	return string(b)
}

// attemptError wants err to be an AttemptError at stage.
func attemptError(t *testing.T, err error, stage Stage) *AttemptError {
	t.Helper()
	var a *AttemptError
	if !errors.As(err, &a) {
		t.Fatalf("got %v, want an AttemptError", err)
	}
	equal(t, "stage of "+a.Error(), a.Stage, stage)
	return a
}
