package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// media are n bytes that are never the same at two offsets.
func media(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// store is a server with one object at every path, which answers as it is told.
type store struct {
	*httptest.Server
	content []byte
	etag    string

	mu     sync.Mutex
	answer http.HandlerFunc // guarded by mu; nil: honestly
	seen   []*http.Request  // guarded by mu
}

func newStore(t testing.TB, content []byte) *store {
	s := &store{content: content, etag: `"v1"`}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = discardLog
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r.Clone(context.Background()))
	answer := s.answer
	s.mu.Unlock()
	if answer == nil {
		answer = s.honest
	}
	answer(w, r)
}

var modified = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func (s *store) honest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Etag", s.etag)
	w.Header().Set("Content-Type", "video/mp4")
	http.ServeContent(w, r, "", modified, bytes.NewReader(s.content))
}

func (s *store) tell(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// asked returns the requests so far.
func (s *store) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.seen...)
}

// dying answers honestly, and resets the connection after n bytes of the body.
func (s *store) dying(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.honest(&fatal{ResponseWriter: w, left: n}, r)
	}
}

type fatal struct {
	http.ResponseWriter
	left int
}

func (f *fatal) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p[:min(len(p), f.left)])
	if f.left -= n; f.left == 0 || err != nil {
		_ = http.NewResponseController(f.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

var discardLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// at makes the endpoints of an origin.
func at(urls ...string) []Endpoint {
	var all []Endpoint
	for _, u := range urls {
		all = append(all, Endpoint{URL: u})
	}
	return all
}

// made runs an origin until the test ends.
func made(t testing.TB, c Config) *Origin {
	t.Helper()
	if c.Name == "" {
		c.Name = "vod"
	}
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, o)
	return o
}

func run(t testing.TB, o *Origin) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// signer signs as "id" with the secret.
func signer(t testing.TB, secret string) *sign.S3 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("id "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := sign.OpenKeys(sign.KeyFile{Path: path, Encoding: sign.Text})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.NewS3(keys, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// got is a response that was read to its end.
type got struct {
	*http.Response
	body []byte
	err  error // of Fetch, or of reading
}

func fetch(t testing.TB, b Object, method string, h http.Header) got {
	t.Helper()
	res, err := b.Fetch(t.Context(), method, h)
	if err != nil {
		return got{err: err}
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return got{res, body, err}
}

// wants fails unless g is an *Error with the status and the text.
func (g got) wants(t *testing.T, status int, text string) {
	t.Helper()
	e, ok := errors.AsType[*Error](g.err)
	if !ok || e.Status() != status || e.Timeout() != (status == 504) || !strings.Contains(e.Error(), text) {
		t.Errorf("got %v, want %d and %q", g.err, status, text)
	}
}

// nobody is an address at which nobody listens.
func nobody(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// raw accepts connections, reads the head of a request on each, and has answer
// write what it likes. Then it closes them.
func raw(t testing.TB, answer func(c net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				p := make([]byte, 16<<10)
				for n := 0; !bytes.Contains(p[:n], []byte("\r\n\r\n")); {
					more, err := c.Read(p[n:])
					if err != nil {
						return
					}
					n += more
				}
				answer(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return "http://" + l.Addr().String()
}

// says writes text and closes.
func says(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

// eventually waits for a condition that is to come.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}
