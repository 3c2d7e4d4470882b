package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// exitRefused is the exit code of a cutover that a gate refused.
const exitRefused = 10

// sick answers its probes as told: ok, fail, hang, or in turn.
type sick struct {
	*backend
	mood atomic.Value // string
	n    atomic.Int64
}

func newSick(t *testing.T, mood string) *sick {
	s := new(sick)
	s.mood.Store(mood)
	s.backend = newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			_, _ = w.Write([]byte("green"))
			return
		}
		switch s.mood.Load() {
		case "fail":
			http.Error(w, "migrating", http.StatusServiceUnavailable)
		case "hang":
			<-r.Context().Done()
		case "flap": // up for a while, then down for a while
			if s.n.Add(1)/6%2 == 1 {
				http.Error(w, "flapping", http.StatusServiceUnavailable)
			}
		}
	}))
	return s
}

func TestACutoverToAPoolThatIsNotReadyIsRefusedWithTheReasonAndTrafficStays(t *testing.T) {
	blue := newBackend(t, saying("blue"))
	well, ill := newSick(t, "ok"), newSick(t, "fail")
	for _, c := range []struct {
		name, green, options, timeout string
		wants                         []string
	}{
		{"empty", "", "", "10s", []string{"app", "the green pool is empty"}},
		{"half healthy", well.address + " " + ill.address, "", "10s", []string{
			"app", "1 of 2 upstreams healthy", "needs 100%", ill.address, "http GET /ready", "status 503, want 200-299"}},
		{"half healthy where three quarters are wanted", well.address + " " + ill.address, "min_healthy 75%", "10s", []string{"1 of 2", "needs 75%"}},
		{"not healthy at all", ill.address, "min_healthy 1%", "10s", []string{"0 of 1 upstreams healthy", "status 503"}},
		{"slower than the timeout", newSick(t, "hang").address, "", "50ms", []string{"no answer within 50ms"}},
		{"nobody there", freeAddress(t), "", "10s", []string{"connection refused"}},
		{"flapping", newSick(t, "flap").address, "soak 5s", "10s", []string{"app", "green"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.green != "" {
				c.green = "green " + c.green
			}
			e := newEdge(t, fmt.Sprintf(`
				service app {
					blue %s
					%s
					health blue http /healthz
					health green http /ready {
						interval 100ms
						timeout %s
						fall 1
					}
					%s
					gate_timeout 1500ms
				}`, blue.address, c.green, c.timeout, c.options))
			e.start()
			e.until("blue is healthy", func() bool { return e.view().Blue.Healthy == 1 })

			plan := e.cli("plan", "app", "--to", "green")
			if plan.code != exitRefused {
				t.Errorf("plan: %s", plan)
			}
			out := e.cli("cutover", "app", "--to", "green", "--reason", "v2")
			if out.code != exitRefused {
				t.Errorf("want exit code %d: %s", exitRefused, out)
			}
			for _, want := range c.wants {
				if !strings.Contains(out.stdout+out.stderr, want) {
					t.Errorf("no %q in: %s", want, out)
				}
			}
			v := e.view()
			if v.Split != switcher.All(switcher.Blue) || v.Phase != switcher.Steady || v.Generation != 1 {
				t.Errorf("after the refusal: %s, %s, generation %d", v.Split, v.Phase, v.Generation)
			}
			if v.Last == nil || v.Last.Result != switcher.ResultRefused || v.Last.Detail == "" {
				t.Errorf("history: %+v", v.Last)
			}
			if body := fetch(t, "http://"+e.http+"/"); body != "blue" {
				t.Errorf("%q answers", body)
			}
		})
	}
}

func TestARampWhoseTargetDiesIsUndoneAtOnce(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newSick(t, "ok")
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue %s
			green %s
			health http /ready {
				interval 100ms
				fall 1
			}
			sticky none
		}`, blue.address, green.address))
	e.start()
	e.healthy()
	if out := e.cli("split", "app", "green=50"); out.code != 0 {
		t.Fatal(out)
	}
	if v := e.view(); v.Split.Green != 50 || v.Phase != switcher.Ramping {
		t.Fatalf("%s, %s", v.Split, v.Phase)
	}
	green.mood.Store("fail")
	e.until("all traffic is back on blue", func() bool { return e.view().Split == switcher.All(switcher.Blue) })
	e.until("the move has ended", func() bool { return e.view().Phase == switcher.Steady })
	if last := e.view().Last; last.Result != switcher.ResultAborted || !strings.Contains(last.Detail, "no healthy upstream left") {
		t.Errorf("history: %+v", last)
	}
}

// fetch returns the body of a good answer.
func fetch(t *testing.T, url string) string {
	t.Helper()
	return fetchHost(t, url, "")
}

// fetchHost is fetch with another Host.
func fetchHost(t *testing.T, url, host string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	return do(t, r)
}

// bodyOf returns the body of a good answer.
func bodyOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %v: %.200s", resp.StatusCode, err, body)
	}
	return string(body)
}
