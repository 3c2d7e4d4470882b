package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// arrival is one request as an upstream saw it, by its own clock.
type arrival struct{ began, arrived int64 }

// witness is an upstream that remembers all it was asked. The client's clock
// goes with each request, so that what had begun before an acknowledgement and
// came late is told from what began after it.
type witness struct {
	*backend
	color string

	mu       sync.Mutex
	arrivals []arrival // guarded by mu
}

func newWitness(t *testing.T, c switcher.Color) *witness {
	w := &witness{color: c.String()}
	w.backend = newBackend(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began, err := strconv.ParseInt(r.Header.Get("X-Began"), 10, 64)
		if err != nil {
			t.Errorf("a request without its time: %v", err)
		}
		w.mu.Lock()
		w.arrivals = append(w.arrivals, arrival{began, time.Now().UnixNano()})
		w.mu.Unlock()
		_, _ = io.WriteString(rw, w.color)
	}))
	return w
}

// serving is a time in which a color may be asked: from just before a flip to
// it was commanded until the flip away from it was acknowledged.
type serving struct{ from, until int64 }

// stale counts the arrivals that began and came while the color was off air.
func (w *witness) stale(times []serving) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.arrivals {
		on := false
		for _, s := range times {
			if a.began <= s.until && a.arrived >= s.from {
				on = true
				break
			}
		}
		if !on {
			n++
		}
	}
	return n
}

// load is a kind of client and its share of the requests.
type load struct {
	name    string
	url     string
	client  func() *http.Client
	fresh   bool // a new connection for each request
	workers int
	percent int
}

func loads(e *edge) []load {
	h1 := func() *http.Client {
		return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	}
	h1Fresh := func() *http.Client { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} }
	h2 := func() *http.Client {
		protocols := new(http.Protocols)
		protocols.SetHTTP2(true)
		return &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: insecure()}}
	}
	h2Fresh := func() *http.Client {
		c := h2()
		c.Transport.(*http.Transport).DisableKeepAlives = true
		return c
	}
	plain, secure := "http://"+e.http+"/", "https://localhost:"+port(e.https)+"/"
	return []load{
		{"HTTP/1.1 keep-alive", plain, h1, false, 8, 60},
		{"HTTP/1.1 fresh", plain, h1Fresh, true, 4, 14},
		{"HTTP/2 keep-alive", secure, h2, false, 8, 25},
		{"HTTP/2 fresh", secure, h2Fresh, true, 2, 1},
	}
}

// insecure trusts the edge's own authority, which is made for each test.
func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func TestTwoHundredFlipsUnderLoadLoseNothingAndNothingNewReachesTheOldColor(t *testing.T) {
	requests, flips := 200_000, 200
	if raceFlag == "-race" {
		requests = 40_000 // the detector is slow; the full number runs without it
	}
	blue, green := newWitness(t, switcher.Blue), newWitness(t, switcher.Green)
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue %s
			green %s
			health http /healthz
			sticky none
		}`, blue.address, green.address))
	e.start()
	e.healthy()

	var done, failed atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	for _, l := range loads(e) {
		var left atomic.Int64
		left.Store(int64(requests * l.percent / 100))
		client := l.client()
		for range l.workers {
			group.Go(func() {
				for left.Add(-1) >= 0 {
					if err := ask(t.Context(), client, l.url); err != nil {
						if failed.Add(1) <= 10 {
							t.Errorf("%s: %v", l.name, err)
						}
					}
					done.Add(1)
				}
			})
		}
	}
	times := flip(e, flips, func(i int) {
		goal := int64(requests) * int64(i+1) / int64(flips+2)
		e.until("enough requests are done", func() bool { return done.Load() >= goal })
	})
	group.Wait()
	took := time.Since(started)

	staleBlue, staleGreen := blue.stale(times.Blue), green.stale(times.Green)
	t.Logf("%d requests in %s, %d flips; failed %d; stale %d blue, %d green; seen %d blue, %d green",
		done.Load(), took.Round(time.Millisecond), flips, failed.Load(), staleBlue, staleGreen, len(blue.arrivals), len(green.arrivals))
	if failed.Load() > 0 || staleBlue+staleGreen > 0 {
		t.Errorf("%d failed, %d stale", failed.Load(), staleBlue+staleGreen)
	}
	if seen := len(blue.arrivals) + len(green.arrivals); seen < requests*99/100 || len(blue.arrivals) == 0 || len(green.arrivals) == 0 {
		t.Errorf("the upstreams saw %d of %d requests", seen, requests)
	}
	if e.stop(); t.Failed() {
		e.explain()
	}
}

// flip moves the service "app" back and forth, by cutovers and by rollbacks,
// and returns when each color was on air.
func flip(e *edge, n int, before func(i int)) (times switcher.PerColor[[]serving]) {
	e.t.Helper()
	client := e.client()
	times.Blue = []serving{{0, 1<<63 - 1}}
	active := switcher.Blue
	for i := range n {
		before(i)
		to := active.Other()
		commanded := time.Now().UnixNano()
		var err error
		if i%4 == 3 {
			_, err = client.Rollback(e.t.Context(), switcher.RollbackRequest{Request: switcher.Request{Services: []string{"app"}}})
		} else {
			_, err = client.Cutover(e.t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: to})
		}
		acknowledged := time.Now().UnixNano()
		if err != nil {
			e.t.Fatalf("flip %d to %s: %v", i, to, err)
		}
		was := *times.At(active)
		was[len(was)-1].until = acknowledged
		*times.At(to) = append(*times.At(to), serving{commanded, 1<<63 - 1})
		active = to
	}
	return times
}

// ask makes one request and wants an answer from either color.
func ask(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Began", strconv.FormatInt(time.Now().UnixNano(), 10))
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if s := string(body); resp.StatusCode != http.StatusOK || s != "blue" && s != "green" {
		return fmt.Errorf("status %d, body %.80q", resp.StatusCode, s)
	}
	return nil
}
