package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Every test closes its caches and servers: at the end nothing runs on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const KiB, MiB = 1 << 10, 1 << 20

func random(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), 7})
	_, _ = src.Read(b)
	return b
}

// origin is a real server, and the client for it.
type origin struct {
	t      testing.TB
	server *httptest.Server
	client *http.Transport

	mu      sync.Mutex
	handler http.Handler // guarded by mu
	asked   []string     // guarded by mu: "GET /a bytes=0-1 If-Match", of each request

	bytes atomic.Int64 // of bodies, as the handlers wrote them
}

func newOrigin(t testing.TB, h http.HandlerFunc) *origin {
	o := &origin{t: t, handler: h, client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	o.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := r.Method + " " + r.URL.Path
		for _, key := range []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Range"} {
			if v := r.Header.Get(key); v != "" {
				line += " " + key + "=" + v
			}
		}
		o.mu.Lock()
		o.asked = append(o.asked, line)
		h := o.handler
		o.mu.Unlock()
		h.ServeHTTP(counted{w, &o.bytes}, r)
	}))
	o.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	o.server.Start()
	t.Cleanup(func() { o.client.CloseIdleConnections(); o.server.Close() })
	return o
}

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (o *origin) now(h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handler = h
}

func (o *origin) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.asked...)
}

// at is a Fetcher for a path of the origin.
func (o *origin) at(path string) Fetcher {
	return fetchFunc(func(ctx context.Context, method string, h http.Header) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, o.server.URL+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header = h
		return o.client.RoundTrip(req)
	})
}

type fetchFunc func(ctx context.Context, method string, h http.Header) (*http.Response, error)

func (f fetchFunc) Fetch(ctx context.Context, method string, h http.Header) (*http.Response, error) {
	return f(ctx, method, h)
}

// file serves content as a file with this ETag.
func file(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("Etag", etag)
		}
		w.Header().Set("Content-Type", "video/mp4")
		http.ServeContent(w, r, "", longSince, bytes.NewReader(content))
	}
}

var longSince = time.Date(2025, 11, 1, 10, 0, 0, 0, time.UTC)

func newCache(t testing.TB, o Options) *Cache {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// small blocks make many of them out of little.
func smallBlocks() Options { return Options{Block: 4 * KiB, Memory: 4 * MiB} }

// edge is a real server with the cache in it.
type edge struct {
	t      testing.TB
	c      *Cache
	o      *origin
	terms  Terms
	server *httptest.Server
	client *http.Client
	held   bool // what a request says

	mu       sync.Mutex
	outcomes []Outcome // guarded by mu
}

func newEdge(t testing.TB, c *Cache, o *origin, terms Terms) *edge {
	e := &edge{t: t, c: c, o: o, terms: terms}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := c.Serve(w, r, e.request(r.URL.Path))
		e.mu.Lock()
		e.outcomes = append(e.outcomes, out)
		e.mu.Unlock()
		switch {
		case errors.Is(err, ErrAborted):
			panic(http.ErrAbortHandler)
		case errors.Is(err, ErrBusy):
			w.WriteHeader(http.StatusServiceUnavailable)
		case err != nil:
			w.Header().Set("X-Error", strings.ReplaceAll(err.Error(), "\n", " "))
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	e.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	e.server.Start()
	e.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2000}}
	t.Cleanup(func() { e.client.CloseIdleConnections(); e.server.Close() })
	return e
}

func (e *edge) request(path string) Request {
	return Request{Key: "o " + path, Scope: "o", Path: path, Origin: e.o.at(path), Terms: e.terms, Held: e.held}
}

type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

// get asks the edge; fields are "Key: value".
func (e *edge) get(path string, fields ...string) answer {
	return e.do(context.Background(), http.MethodGet, path, fields...)
}

func (e *edge) do(ctx context.Context, method, path string, fields ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, e.server.URL+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, f := range fields {
		key, value, _ := strings.Cut(f, ": ")
		req.Header.Add(key, value)
	}
	res, err := e.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: body, err: err}
}

func (a answer) status0() string { return a.header.Get("Cache-Status") }

func (a answer) want(t testing.TB, what string, status int, body []byte) {
	t.Helper()
	if a.err != nil || a.status != status || !bytes.Equal(a.body, body) {
		t.Errorf("%s: status %d, %d bytes, %v, X-Error %q; want %d with %d bytes", what, a.status, len(a.body), a.err, a.header.Get("X-Error"), status, len(body))
	}
}

// until waits for a condition of things that run beside the test.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func (e *edge) idle() {
	e.t.Helper()
	until(e.t, "all fetches end", func() bool { return e.c.Stats().Fills == 0 })
}

func results(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// equals compares a stream as it comes, for tests with more of them than memory
// has room for.
func equals(r io.Reader, content []byte) error {
	buf := make([]byte, 32*KiB)
	for at := 0; ; {
		n, err := r.Read(buf)
		if at+n > len(content) || !bytes.Equal(buf[:n], content[at:at+n]) {
			return fmt.Errorf("wrong bytes at %d", at)
		}
		at += n
		switch {
		case err == io.EOF && at == len(content):
			return nil
		case err != nil:
			return fmt.Errorf("%d bytes of %d: %w", at, len(content), err)
		}
	}
}

func lines(s []string) string { return fmt.Sprintf("%d requests: %s", len(s), strings.Join(s, " | ")) }

// stepHead lets h answer when hold is closed.
func stepHead(hold <-chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { <-hold; h(w, r) }
}
