package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// depot is what all upstreams take uploads for. One in two of those that come
// for the first time kills its connection, at a random byte.
type depot struct {
	deaths atomic.Int64
	mu     sync.Mutex
	comes  map[string]int    // guarded by mu; how often an upload was begun, by path
	sums   map[string]string // guarded by mu; of those that were answered
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.comes[r.URL.Path]++
	first := d.comes[r.URL.Path] == 1
	d.mu.Unlock()
	h := sha256.New()
	if first && rand.IntN(2) == 0 {
		var size int64
		_, _ = fmt.Sscan(r.Header.Get("X-Size"), &size)
		at := rand.Int64N(size + 1)
		if n := rand.IntN(4); n == 0 {
			at = size // all of it was read
		}
		_, _ = io.CopyN(h, r.Body, at)
		d.deaths.Add(1)
		panic(http.ErrAbortHandler)
	}
	_, _ = io.Copy(h, r.Body)
	d.mu.Lock()
	d.sums[r.URL.Path] = fmt.Sprintf("%x", h.Sum(nil))
	d.mu.Unlock()
}

// tally returns what has come, for one who read the answers: what a handler that
// died had noted is ordered before its reader by nothing but the lock.
func (d *depot) tally() (comes map[string]int, sums map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.comes), maps.Clone(d.sums)
}

// newDepot is an edge in front of three upstreams.
func newDepot(t *testing.T, options string) (*edge, *depot) {
	d := &depot{comes: make(map[string]int), sums: make(map[string]string)}
	var addresses []string
	for range 3 {
		addresses = append(addresses, newBackend(t, d).address)
	}
	e := newEdge(t, checkedApp(strings.Join(addresses, " "), addresses[0], fmt.Sprintf(`
			retries_per_second 1000
			replay {
				disk 8MiB
				%s
			}`, options)))
	e.start()
	e.healthy()
	return e, d
}

// uploads sends 200 bodies of random sizes, and returns the statuses by path.
func uploads(t *testing.T, e *edge, method string) (statuses map[string]int, sums map[string]string) {
	t.Helper()
	content := film(4 << 20)
	clients := []*http.Client{{}, h2Client(t)}
	urls := []string{"http://" + e.http, "https://localhost:" + port(e.https)}
	statuses, sums = make(map[string]int), make(map[string]string)
	var mu sync.Mutex
	var group sync.WaitGroup
	next := make(chan int)
	for range 8 {
		group.Go(func() {
			for n := range next {
				path := fmt.Sprintf("/%s/%d", method, n)
				body := content[:1+rand.IntN(1<<(10+n%13))]
				var reader io.Reader = bytes.NewReader(body)
				if n%3 == 0 {
					reader = struct{ io.Reader }{reader} // of unknown length
				}
				r, err := http.NewRequestWithContext(t.Context(), method, urls[n%2]+path, reader)
				if err != nil {
					t.Error(err)
					continue
				}
				r.Header.Set("X-Size", fmt.Sprint(len(body)))
				status := 0
				if resp, err := clients[n%2].Do(r); err == nil {
					resp.Body.Close()
					status = resp.StatusCode
				} else {
					t.Errorf("%s: %v", path, err)
				}
				mu.Lock()
				statuses[path], sums[path] = status, fmt.Sprintf("%x", sha256.Sum256(body))
				mu.Unlock()
			}
		})
	}
	for n := range 200 {
		next <- n
	}
	close(next)
	group.Wait()
	return statuses, sums
}

func TestTwoHundredUploadsWhoseUpstreamsDieArriveByteIdentical(t *testing.T) {
	e, d := newDepot(t, "")
	statuses, sums := uploads(t, e, http.MethodPut)
	_, arrived := d.tally()
	for path, status := range statuses {
		if status != http.StatusOK || arrived[path] != sums[path] {
			t.Errorf("%s: %d, with the right bytes: %v", path, status, arrived[path] == sums[path])
		}
	}
	metrics := fetch(t, "http://"+e.admin+"/metrics")
	replays := metric(t, metrics, `greenroom_replays_total{service="app"}`)
	if int64(replays) != d.deaths.Load() || replays < 50 {
		t.Errorf("%v replays after %d deaths", replays, d.deaths.Load())
	}
	for _, store := range []string{"memory", "disk"} {
		if n := metric(t, metrics, `greenroom_replay_spooled_bytes{store="`+store+`"}`); n != 0 {
			t.Errorf("%v bytes are still kept: %s", n, store)
		}
	}
	t.Logf("200 uploads, %d deaths, %v replays", d.deaths.Load(), replays)
	if t.Failed() {
		e.explain()
	}
}

func TestAPOSTWhoseUpstreamDiesIsAClear502AndNeverDoubled(t *testing.T) {
	e, d := newDepot(t, "")
	statuses, sums := uploads(t, e, http.MethodPost)
	comes, arrived := d.tally()
	refused := 0
	for path, status := range statuses {
		if status == http.StatusBadGateway {
			refused++
		} else if status != http.StatusOK || arrived[path] != sums[path] {
			t.Errorf("%s: %d, with the right bytes: %v", path, status, arrived[path] == sums[path])
		}
		if comes[path] != 1 {
			t.Errorf("%s came %d times", path, comes[path])
		}
	}
	if int64(refused) != d.deaths.Load() {
		t.Errorf("%d were refused after %d deaths", refused, d.deaths.Load())
	}
	metrics := fetch(t, "http://"+e.admin+"/metrics")
	if n := metric(t, metrics, `greenroom_replay_refusals_total{reason="method",service="app"}`); int(n) != refused {
		t.Errorf("%v refusals are counted", n)
	}
	t.Logf("200 uploads, %d deaths, %d times 502", d.deaths.Load(), refused)
	if t.Failed() {
		e.explain()
	}
}
