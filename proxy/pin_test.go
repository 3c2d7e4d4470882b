package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// pinned is a service whose sessions are known by the query, with blue:1 and
// green:1 as its upstreams; its traffic has just moved to green.
func pinned(t *testing.T, forward forwarderFunc, sessions ...string) (*edge, *switcher.Switcher, []*switcher.Endpoint) {
	t.Helper()
	config := &Service{Pin: &Pin{Keys: []*PinKey{{By: "query", Name: "s"}}}}
	e, sw := newTestEdge(t, config, forward)
	must(t, sw.Configure(t.Context(), map[string]switcher.Config{"app": config.switcherConfig()}))
	endpoints, err := sw.SetPools(t.Context(), "app", switcher.Pools{Blue: []switcher.Upstream{{Address: "blue:1"}}, Green: []switcher.Upstream{{Address: "green:1"}}})
	must(t, err)
	for _, e := range endpoints {
		sw.SetHealth(e, switcher.Health{Healthy: true, Known: true})
	}
	for _, s := range sessions {
		_, _, err := e.serve(httptest.NewRequest(http.MethodGet, "/?s="+s, nil))
		must(t, err)
	}
	_, err = sw.Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green})
	must(t, err)
	return e, sw, endpoints
}

func TestASessionWhoseColorCannotServeMovesAndDoesNotFail(t *testing.T) {
	var tried []string
	fails := map[string]*AttemptError{}
	e, sw, endpoints := pinned(t, failing(&tried, fails), "a", "b", "c")
	for _, c := range []struct {
		name, session string
		before        func()
		want          []string
	}{
		{"its color serves", "a", func() {}, []string{"blue:1"}},
		{"no connection", "a", func() { fails["blue:1"] = dialFailed }, []string{"blue:1", "green:1"}},
		{"it has moved", "a", func() { delete(fails, "blue:1") }, []string{"green:1"}},
		{"the upstream is not healthy", "c", func() { sw.SetHealth(endpoints[0], switcher.Health{Known: true}) }, []string{"green:1"}},
		{"no session", "", func() {}, []string{"green:1"}},
		{"neither color serves", "c", func() { sw.SetHealth(endpoints[1], switcher.Health{Known: true}) }, nil},
	} {
		c.before()
		tried = nil
		status, _, _ := e.serve(httptest.NewRequest(http.MethodGet, "/?s="+c.session, nil))
		if fmt.Sprint(tried) != fmt.Sprint(c.want) || (status == http.StatusOK) != (len(c.want) > 0) {
			t.Errorf("%s: %d from %q, want %q", c.name, status, tried, c.want)
		}
	}
	view, err := sw.View(t.Context(), "app")
	must(t, err)
	if view.Pins.Moved != 2 {
		t.Errorf("%d sessions have moved, want 2", view.Pins.Moved)
	}
}

func TestAStreamThatIsEndedTakesItsSessionAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried []string
		e, _, endpoints := pinned(t, failing(&tried, nil), "a", "b")
		lease, _ := e.service.AcquireSession(0, switcher.SessionOf("a"))
		equal(t, "color", lease.Color, switcher.Blue)
		l := new(ledger)
		stream := l.open("app", about{}, time.Now(), lease, endpoints[0])
		stream.OnEnd(func(error) { stream.close() })
		u := newUsher(l, Pace{PerSecond: 100}, yesAlways)
		u.show("app", switcher.Blue, time.Now(), everything)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		tried = nil
		for _, s := range []string{"a", "b"} {
			_, _, err := e.serve(httptest.NewRequest(http.MethodGet, "/?s="+s, nil))
			must(t, err)
		}
		equal(t, "upstreams", fmt.Sprint(tried), "[green:1 blue:1]")
	})
}

func TestWhatAPinnedSessionBeginsLateHasItsOwnTimeToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw, s := stage(t)
		rt := &runtime{switcher: sw}
		rt.usher.ledger, rt.usher.pace = &rt.ledger, func(string) Pace { return Pace{PerSecond: 100} }
		rt.usher.healthy, rt.usher.ended = func(string, switcher.Color) bool { return true }, func(string, switcher.Color, int) {}
		p := &parting{ends: map[switcher.Color]int{}}
		drain := switcher.Drain{Color: switcher.Blue, Started: time.Now(), Options: switcher.Options{DrainTimeout: switcher.Duration(10 * time.Minute)}}
		p.enter(t, &rt.ledger, s, false, switcher.StreamDownload)
		time.Sleep(9 * time.Minute)
		p.enter(t, &rt.ledger, s, false, switcher.StreamDownload)
		for _, c := range []struct {
			after time.Duration
			ended int
		}{{30 * time.Second, 0}, {2 * time.Minute, 1}, {6 * time.Minute, 1}, {2 * time.Minute, 2}} {
			time.Sleep(c.after)
			rt.evict("app", drain)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if n := p.of(switcher.Blue); n != c.ended {
				t.Errorf("%s after the flip %d have been ended, want %d", time.Since(drain.Started), n, c.ended)
			}
		}
	})
}

func TestPinsAreShownAndOutliveAReload(t *testing.T) {
	h := newHouse(t)
	config := func(max int) string {
		return pair("app", saying(t, "blue"), saying(t, "green"), "pin {", "query s", "cookie sid", "idle 1h", fmt.Sprintf("max %d", max), "}")
	}
	h.load(config(2), "blue_green app")
	h.healthy("app")
	ask := func(session, want string) {
		t.Helper()
		equal(t, session, h.get("/?s="+session).body, want)
	}
	ask("a", "blue")
	equal(t, "by a cookie", h.get("/", with("Cookie", "sid=b")).body, "blue")
	ask("c", "blue") // finds no room
	h.cutover("app", switcher.Green)
	ask("a", "blue")
	ask("b", "blue") // the same value is the same session
	ask("c", "green")

	_, got := h.scrape()
	for name, want := range map[string]string{
		`greenroom_pins{color="blue",service="app"}`:  "2",
		`greenroom_pins{color="green",service="app"}`: "0",
		`greenroom_pins_refused_total{service="app"}`: "2",
		`greenroom_pins_moved_total{service="app"}`:   "0",
	} {
		equal(t, name, got[name], want)
	}

	h.load(config(10), "blue_green app")
	h.healthy("app")
	ask("a", "blue")
	ask("b", "blue")
	ask("c", "green")
	v := h.view("app")
	equal(t, "pinned to blue", v.Blue.Pinned, int64(2))
	equal(t, "most", v.Pins.Max, 10)

	_, err := h.client().Rollback(t.Context(), switcher.RollbackRequest{Request: switcher.Request{Services: []string{"app"}}})
	must(t, err)
	ask("c", "blue")
}
