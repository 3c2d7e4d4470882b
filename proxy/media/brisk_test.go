package media

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

const kib = 1 << 10

// sizes is a client that takes so many bytes a second, and remembers how many
// came at a time.
type sizes struct {
	http.ResponseWriter
	rate   int // 0: all at once
	writes []int
	body   bytes.Buffer
}

func (s *sizes) Write(p []byte) (int, error) {
	if s.rate > 0 {
		time.Sleep(time.Duration(len(p)) * time.Second / time.Duration(s.rate))
	}
	s.writes = append(s.writes, len(p)/kib)
	return s.body.Write(p)
}

// SetWriteDeadline is there so that the server's timeouts apply.
func (*sizes) SetWriteDeadline(time.Time) error { return nil }

// behind is what Caddy puts around a client for a request.
func behind(s *sizes, change func(*http.Request, *caddyhttp.IdleTimeoutWriter)) (http.ResponseWriter, *http.Request) {
	r := httptest.NewRequest(http.MethodGet, "http://media.test/a.ts", nil)
	idle := &caddyhttp.IdleTimeoutWriter{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: s}, Ctrl: http.NewResponseController(s),
		Deadline: caddyhttp.IdleDeadline{Timeout: time.Minute}, MaxChunk: caddyhttp.DefaultMaxWriteChunk, Logger: zap.NewNop(),
	}
	if change != nil {
		change(r, idle)
	}
	return idle, r.WithContext(caddyhttp.ContextWithIdleTimeouts(r.Context(), nil, idle))
}

func TestABlockGoesToAFastClientInFewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := bytes.Repeat([]byte("0123456789abcdef"), 64*kib)
		for _, c := range []struct {
			what string
			rate int
			want []int
		}{
			{"at once", 0, []int{256, 768, 1024}},
			{"fast", 1 << 20, []int{256, 768, 1024}},
			{"slow", 32 * kib, slices.Concat([]int{256}, slices.Repeat([]int{64}, 12+16))},
		} {
			s := &sizes{rate: c.rate}
			w, r := behind(s, nil)
			w = hasten(w, r)
			for range 2 {
				if n, err := w.Write(block); n != len(block) || err != nil {
					t.Fatalf("%s: %d, %v", c.what, n, err)
				}
			}
			if !slices.Equal(s.writes, c.want) {
				t.Errorf("%s: writes of %d KiB, want %d", c.what, s.writes, c.want)
			}
			if !bytes.Equal(s.body.Bytes(), slices.Repeat(block, 2)) {
				t.Errorf("%s: other bytes", c.what)
			}
		}
	})
}

func TestAClientThatBecomesFastIsSeen(t *testing.T) {
	for _, c := range []struct {
		chunk, n int
		took     time.Duration
		want     int
	}{
		{256 * kib, 256 * kib, 2 * time.Second, 1024 * kib},
		{256 * kib, 256 * kib, 2*time.Second + 1, 64 * kib},
		{1024 * kib, 1024 * kib, 9 * time.Second, 64 * kib},
		{64 * kib, 64 * kib, time.Second / 2, 1024 * kib},
		{64 * kib, 64 * kib, time.Second, 64 * kib},
		{64 * kib, kib, 0, 64 * kib},
		{1024 * kib, kib, time.Minute, 1024 * kib},
	} {
		if got := nextChunk(c.chunk, c.n, c.took); got != c.want {
			t.Errorf("%d of %d in %v: %d, want %d", c.n, c.chunk, c.took, got, c.want)
		}
	}
}

func TestWhoIsStrictWithSlowClientsStaysSo(t *testing.T) {
	for what, change := range map[string]func(*http.Request, *caddyhttp.IdleTimeoutWriter){
		"HTTP/2":          func(r *http.Request, _ *caddyhttp.IdleTimeoutWriter) { r.ProtoMajor = 2 },
		"TLS":             func(r *http.Request, _ *caddyhttp.IdleTimeoutWriter) { r.TLS = new(tls.ConnectionState) },
		"a minimum rate":  func(_ *http.Request, idle *caddyhttp.IdleTimeoutWriter) { idle.Deadline.MinRate = 1000 },
		"a chunk":         func(_ *http.Request, idle *caddyhttp.IdleTimeoutWriter) { idle.MaxChunk = 32 * kib },
		"a short timeout": func(_ *http.Request, idle *caddyhttp.IdleTimeoutWriter) { idle.Deadline.Timeout = 29 * time.Second },
		"no timeouts":     func(*http.Request, *caddyhttp.IdleTimeoutWriter) {},
	} {
		w, r := behind(new(sizes), change)
		if what == "no timeouts" {
			r = r.WithContext(t.Context())
		}
		if got := hasten(w, r); got != w {
			t.Errorf("%s: a writer that is brisk", what)
		}
	}
}
