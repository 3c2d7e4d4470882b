package proxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/internal/spool"
)

func TestWhoMayReachMoreThanOneUpstream(t *testing.T) {
	for _, c := range []struct {
		name   string
		replay *Replay
		method string
		key    string
		want   bool
	}{
		{"PUT", nil, "PUT", "", true}, {"DELETE", nil, "DELETE", "", true}, {"GET", nil, "GET", "", true},
		{"POST", nil, "POST", "", false}, {"PATCH", nil, "PATCH", "", false}, {"POST with a key", nil, "POST", "k", false},
		{"MOVE", nil, "MOVE", "", false},
		{"POST with a key and leave", &Replay{IdempotencyKey: true}, "POST", "k", true},
		{"POST without a key", &Replay{IdempotencyKey: true}, "POST", "", false},
		{"PUT without a key", &Replay{IdempotencyKey: true}, "PUT", "", true},
		{"POST that is listed", &Replay{Methods: []string{"POST"}}, "POST", "", true},
		{"PUT that is not", &Replay{Methods: []string{"POST"}}, "PUT", "", false},
		{"all", &Replay{Methods: []string{"all"}}, "PATCH", "", true},
		{"CONNECT of all", &Replay{Methods: []string{"all"}}, "CONNECT", "", false},
		{"off", &Replay{Off: true, IdempotencyKey: true}, "PUT", "k", false},
	} {
		s := &Service{Replay: c.replay}
		must(t, s.prepare())
		r := httptest.NewRequest(c.method, "/", strings.NewReader("body"))
		r.Header.Set("Idempotency-Key", c.key)
		equal(t, c.name, s.Replay.allows(r), c.want)
	}
}

func TestARequestThatIsNotIdempotentReachesOneUpstream(t *testing.T) {
	body := noise(200_000)
	for _, method := range []string{"POST", "PATCH", "PUT", "DELETE"} {
		for _, at := range []int64{0, 1, rand.Int64N(200_000), 200_000} {
			var seen, whole atomic.Int64
			first := atomic.Bool{}
			origin := func(w http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				h := sha256.New()
				if first.CompareAndSwap(false, true) {
					if n, _ := io.CopyN(h, r.Body, at); n == int64(len(body)) {
						whole.Add(1)
					}
					panic(http.ErrAbortHandler)
				}
				_, _ = io.Copy(h, r.Body)
				if [sha256.Size]byte(h.Sum(nil)) == sha256.Sum256(body) {
					whole.Add(1)
				}
			}
			e := realEdge(t, new(Service), spool.Limits{Memory: gib, AllMemory: gib}, origin, origin, origin)
			server := e.front(t)
			r, err := http.NewRequest(method, server.URL, bytes.NewReader(body))
			must(t, err)
			res, err := server.Client().Do(r)
			must(t, err)
			res.Body.Close()
			what := fmt.Sprintf("%s, dead after %d: ", method, at)
			if idempotent := method == "PUT" || method == "DELETE"; idempotent {
				equal(t, what+"status", res.StatusCode, 200)
				equal(t, what+"upstreams", seen.Load(), 2)
				equal(t, what+"replays", value(t, e.outcomes().replays), 1)
			} else {
				equal(t, what+"status", res.StatusCode, 502)
				equal(t, what+"upstreams", seen.Load(), 1)
				equal(t, what+"refusals", value(t, e.runtime.metrics.unreplayed.WithLabelValues("app", "method")), 1)
				if whole.Load() > 1 {
					t.Errorf("%s seen whole %d times", what, whole.Load())
				}
			}
		}
	}
}

// realEdge is the service "app" with real upstreams.
func realEdge(t *testing.T, config *Service, limits spool.Limits, upstreams ...http.HandlerFunc) *edge {
	t.Helper()
	var addresses []string
	for _, h := range upstreams {
		addresses = append(addresses, upstreamServer(t, h))
	}
	e, _ := newTestEdge(t, config, transportForwarderOf(t, nil).Forward, addresses...)
	e.spool = limits
	return e
}

// front serves e as Caddy would.
func (e *edge) front(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		err := (&Handler{edge: e}).ServeHTTP(w, r, nil)
		if refused, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
			http.Error(w, refused.Err.Error(), refused.StatusCode)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAnUploadThatIsNotSentAgainSaysWhy(t *testing.T) {
	none := 0
	dead := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 90_000)
		panic(http.ErrAbortHandler)
	}
	plenty := spool.Limits{Memory: gib, AllMemory: gib}
	for _, c := range []struct {
		name    string
		config  *Service
		limits  spool.Limits
		chunked bool
		reason  unreplayed
		tries   int64
	}{
		{"off", &Service{Replay: &Replay{Off: true}}, plenty, false, unreplayedOff, 1},
		{"another method", &Service{Replay: &Replay{Methods: []string{"POST"}}}, plenty, false, unreplayedMethod, 1},
		{"known to be too large", new(Service), spool.Limits{Memory: 99_999, AllMemory: gib}, false, unreplayedTooLarge, 1},
		{"too large", new(Service), spool.Limits{Memory: 40_000, AllMemory: gib}, true, unreplayedTooLarge, 1},
		{"no room", new(Service), spool.Limits{Memory: gib, AllMemory: 10_000}, false, unreplayedFull, 1},
		{"no disk", new(Service), spool.Limits{Disk: gib, AllDisk: gib, Dir: "/dev/null/x"}, false, unreplayedDisk, 1},
		{"attempts", &Service{Retry: &Retry{Attempts: &none}}, plenty, false, unreplayedAttempts, 1},
		{"budget", &Service{Retry: &Retry{BudgetPercent: &none, BudgetMin: &none}}, plenty, false, unreplayedBudget, 1},
		{"everyone is dead", new(Service), plenty, true, unreplayedNoUpstream, 2},
	} {
		var tries atomic.Int64
		h := func(w http.ResponseWriter, r *http.Request) { tries.Add(1); dead(w, r) }
		e := realEdge(t, c.config, c.limits, h, h)
		server := e.front(t)
		var body io.Reader = bytes.NewReader(noise(100_000))
		if c.chunked {
			body = struct{ io.Reader }{body}
		}
		r, err := http.NewRequest("PUT", server.URL, body)
		must(t, err)
		res, err := server.Client().Do(r)
		must(t, err)
		text := readAll(t, res.Body)
		res.Body.Close()
		equal(t, c.name+": status", res.StatusCode, 502)
		equal(t, c.name+": upstreams", tries.Load(), c.tries)
		if !strings.Contains(text, unreplayedTexts[c.reason]) {
			t.Errorf("%s: %s", c.name, text)
		}
		equal(t, c.name+": refusals", value(t, e.runtime.metrics.unreplayed.WithLabelValues("app", string(c.reason))), 1)
		m, d := e.runtime.spools.Held()
		equal(t, c.name+": held", m+d, 0)
	}
}

func TestARequestWithoutABodyKeepsNothing(t *testing.T) {
	e, _ := newTestEdge(t, new(Service), nil)
	e.spool = *kept(t, gib, gib)
	w := httptest.NewRecorder()
	equal(t, "PUT", e.upload(w, httptest.NewRequest("PUT", "/", nil)), nil)
	equal(t, "POST", e.upload(w, httptest.NewRequest("POST", "/", strings.NewReader("body"))), nil)
}
