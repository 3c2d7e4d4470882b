package e2e

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// comparedEdge serves the service "app" from two apps, whose health checks are
// green whatever they answer.
func comparedEdge(t *testing.T, blue, green http.Handler, options string) *edge {
	t.Helper()
	e := newEdge(t, checkedApp(newBackend(t, blue).address, newBackend(t, green).address, "sticky none\n"+options))
	e.start()
	e.healthy()
	t.Cleanup(func() {
		if t.Failed() {
			e.explain()
		}
	})
	return e
}

// briefly compares in the shortest window, by few samples of one client.
const briefly = `
			compare {
				min_samples 20
				clients 1
				window 10s
			}`

// failing answers each n-th request with 500.
func failing(color string, n int64) http.Handler {
	var asked atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%n == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, color)
	})
}

// visitors ask at a fixed rate, and take 500 for an answer.
type visitors struct {
	leave time.Duration // without an answer, after so long; zero: never
	asked atomic.Int64
	bad   switcher.PerColor[atomic.Int64] // answers
}

// visitorsPerSecond is that rate.
const visitorsPerSecond = 80

// startVisitors asks e until the test ends.
func startVisitors(t *testing.T, e *edge) *visitors { return new(visitors).start(t, e) }

func (c *visitors) start(t *testing.T, e *edge) *visitors {
	client := &http.Client{Timeout: cmp.Or(c.leave, patience), Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(time.Second / visitorsPerSecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				asking.Go(func() { c.ask(t, client, "http://"+e.http+"/") })
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		asking.Wait()
		client.CloseIdleConnections()
	})
	return c
}

func (c *visitors) ask(t *testing.T, client *http.Client, url string) {
	c.asked.Add(1)
	res, err := client.Get(url)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if c.leave > 0 && os.IsTimeout(err) {
		return
	}
	color, unknown := switcher.ParseColor(string(body))
	switch {
	case err != nil || unknown != nil:
		t.Errorf("body %.80q, %v", body, err)
	case res.StatusCode != http.StatusOK:
		c.bad.At(color).Add(1)
	}
}

// compared is what has come of comparing the colors of the service "app".
func (e *edge) compared() (v compare.Verdict) {
	e.t.Helper()
	if c := e.view().Cutover; c != nil && len(c.Compared) == 1 {
		v = c.Compared[0].Verdict
	}
	return v
}

// by returns what was found by a metric.
func by(v compare.Verdict, m compare.Metric) (found compare.Finding) {
	for _, f := range v.Findings {
		if f.Metric == m {
			return f
		}
	}
	return found
}

// isBack wants all traffic on blue, and history to have the verdict of a ramp
// that was undone by it, and returns what was found.
func (e *edge) isBack(t *testing.T, m compare.Metric) compare.Finding {
	t.Helper()
	if v := e.view(); v.Split != switcher.All(switcher.Blue) {
		t.Fatalf("%s: %+v", v.Split, v.Cutover)
	}
	for range 50 {
		if body := fetch(t, "http://"+e.http+"/"); body != "blue" {
			t.Fatalf("%q answers", body)
		}
	}
	var doc struct{ Moves []switcher.Move }
	out := e.cli("history", "app", "--json")
	if err := json.Unmarshal([]byte(out.stdout), &doc); err != nil || len(doc.Moves) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	last := doc.Moves[0]
	if last.Result != switcher.ResultAborted || last.Split != switcher.All(switcher.Blue) || len(last.Compared) != 1 || last.Compared[0].State != compare.Worse {
		t.Fatalf("history: %s", out)
	}
	f := by(last.Compared[0].Verdict, m)
	if f.State != compare.Worse || f.P > f.Level || f.Level <= 0 || f.Long.New.Samples < 20 || f.Long.Old.Samples < 20 {
		t.Errorf("found by %s: %+v", m, f)
	}
	t.Logf("%.1f s and %d requests until the verdict, %d of them to green: %s", f.Long.Seconds,
		f.Long.New.Samples+f.Long.Old.Samples, f.Long.New.Samples, f.Sentence("blue", "green"))
	return f
}
