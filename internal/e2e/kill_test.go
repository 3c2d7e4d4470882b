package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// warden is an upstream that wants to be probed before it is asked.
type warden struct {
	*backend
	probes    atomic.Int64 // since the edge was started
	unprobed  atomic.Int64 // requests that came too early
	requested atomic.Int64
}

// rise is how many probes make an upstream healthy in these tests.
const rise = 2

func newWarden(t *testing.T, color string) *warden {
	w := new(warden)
	w.backend = newBackend(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			w.probes.Add(1)
			return
		}
		w.requested.Add(1)
		if w.probes.Load() < rise {
			w.unprobed.Add(1)
		}
		_, _ = io.WriteString(rw, color)
	}))
	return w
}

// outlives waits until all has been dealt with that an edge which was killed has
// left behind. Connections are accepted in turn: once a new one is, there are none
// of the edge any more but those that are counted.
func (w *warden) outlives(t *testing.T, e *edge) {
	t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + w.address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	e.until("no connection of the killed edge is open", func() bool { return w.open.Load() == 0 })
}

func TestAnEdgeKilledFiftyTimesInCutoversServesTheSameOrANewerGeneration(t *testing.T) {
	kills := 50
	if raceFlag == "-race" {
		kills = 15
	}
	blue, green := newWarden(t, "blue"), newWarden(t, "green")
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue %s
			green %s
			health http /ready {
				rise %d
			}
			sticky none
		}`, blue.address, green.address, rise))
	e.start()
	e.healthy()

	phases := make(map[switcher.Phase]int)
	var acknowledged uint64
	for i := range kills {
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { hammer(ctx, t, e) })
		acknowledged = max(acknowledged, moveUntilKilled(t, e))
		for _, w := range []*warden{blue, green} {
			w.outlives(t, e)
			w.probes.Store(0) // the process is gone: what comes now comes from the next one
		}
		e.start()
		v := e.view()
		phases[v.Phase]++
		if v.Generation < acknowledged {
			t.Fatalf("kill %d: generation %d after the restart, %d was acknowledged", i, v.Generation, acknowledged)
		}
		if v.Cutover != nil && v.Phase == switcher.Ramping && v.Cutover.Held == nil {
			t.Errorf("kill %d: the ramp that was under way goes on without a word", i)
		}
		servesWhatItSays(t, e)
		cancel()
		group.Wait()
		settle(t, e)
	}
	if n := blue.unprobed.Load() + green.unprobed.Load(); n > 0 {
		t.Errorf("%d requests reached an upstream that the new process had not probed", n)
	}
	t.Logf("%d kills; found after the restarts: %v; requests: %d blue, %d green", kills, phases, blue.requested.Load(), green.requested.Load())
	if t.Failed() {
		e.explain()
	}
}

// hammer asks all the time. While the edge is down connections fail; an
// answer must be a good one.
func hammer(ctx context.Context, t *testing.T, e *edge) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.http+"/", nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(r)
		if err != nil {
			pause(ctx)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			t.Errorf("status %d: %.100s", resp.StatusCode, body)
		}
	}
}

// moveUntilKilled moves the service about until the edge is killed, at a
// random moment, and returns the highest generation that was acknowledged.
func moveUntilKilled(t *testing.T, e *edge) (acknowledged uint64) {
	dead := make(chan struct{})
	time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() {
		e.kill()
		close(dead)
	})
	client := e.client()
	ramp := switcher.Ramp{{Weight: 20, Hold: 8 * time.Millisecond}, {Weight: 60, Hold: 8 * time.Millisecond}}
	service := switcher.Request{Services: []string{"app"}}
	for i := 0; ; i++ {
		select {
		case <-dead:
			return acknowledged
		default:
		}
		v, err := client.View(t.Context(), "app")
		if err != nil {
			continue // the edge has just died
		}
		acknowledged = max(acknowledged, v.Generation)
		var receipt switcher.Receipt
		switch {
		case v.Phase == switcher.Ramping && i%3 == 0:
			receipt, err = client.Rollback(t.Context(), switcher.RollbackRequest{Request: service})
		case v.Phase == switcher.Steady || v.Phase == switcher.Draining:
			receipt, err = client.Cutover(t.Context(), switcher.CutoverRequest{Request: service, To: v.Active.Other(), Ramp: &ramp})
		}
		if err == nil && len(receipt.Services) > 0 {
			acknowledged = max(acknowledged, receipt.Services[0].Generation)
		}
	}
}

// servesWhatItSays asks for as long as nothing moves and wants the colors of
// the table.
func servesWhatItSays(t *testing.T, e *edge) {
	t.Helper()
	for range 20 {
		before := e.view()
		resp, err := http.Get("http://" + e.http + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if after := e.view(); err != nil || after.Generation != before.Generation {
			continue
		}
		c, err := switcher.ParseColor(string(body))
		if err != nil {
			t.Fatalf("status %d: %.100s", resp.StatusCode, body)
		}
		if before.Split.Weight(c) == 0 {
			t.Errorf("%s answered while the split was %s", c, before.Split)
		}
	}
}

// settle ends what the kill has left, so that the next round begins anew.
func settle(t *testing.T, e *edge) {
	t.Helper()
	e.healthy()
	e.until("nothing moves", func() bool {
		v := e.view()
		if v.Phase == switcher.Ramping {
			_, err := e.client().Abort(t.Context(), switcher.Request{Services: []string{"app"}})
			if err != nil && !errors.Is(err, switcher.ErrConflict) {
				t.Fatal(err)
			}
		}
		return v.Phase == switcher.Steady
	})
}
