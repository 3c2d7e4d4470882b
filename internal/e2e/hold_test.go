package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAPoolThatFlapsTogetherServesAsSoonAsItsChecksPass(t *testing.T) {
	var ill atomic.Bool // what all upstreams share
	var addresses []string
	for range 2 {
		addresses = append(addresses, newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ready" && ill.Load() {
				http.Error(w, "the database", http.StatusServiceUnavailable)
			}
		})).address)
	}
	e := newEdge(t, fmt.Sprintf(`service app {
			blue %s
			green %s
			health http /ready {
				interval 100ms
				timeout 5s
				fall 1
				rise 2
				hold_min 5m
				flap_window 5m
			}
		}`, strings.Join(addresses, " "), addresses[0]))
	e.start()
	e.healthy()
	status := func() int {
		res := e.ask(http.MethodGet, "/")
		res.Body.Close()
		return res.StatusCode
	}
	for range 2 { // the second fall is a flap
		ill.Store(true)
		e.until("none is healthy", func() bool { return e.view().Blue.Healthy == 0 })
		if got := status(); got != http.StatusServiceUnavailable {
			t.Errorf("%d from a pool that fails its checks", got)
		}
		ill.Store(false)
		e.until("all pass", func() bool { v := e.view(); return v.Blue.Healthy+v.Blue.Held == 2 })
		if got := status(); got != http.StatusOK {
			t.Errorf("%d from a pool that passes its checks", got)
		}
	}
	v := e.view()
	if v.Blue.Healthy != 0 || v.Blue.Held != 2 || !strings.Contains(v.Blue.Reason, "flapping, held until") {
		t.Errorf("%+v", v.Blue.PoolHealth)
	}
	if t.Failed() {
		e.explain()
	}
}
