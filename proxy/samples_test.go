package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// sampledEdge is an edge whose answers of green are those of greens; blue is
// well. The color of each request is drawn anew.
func sampledEdge(t *testing.T, config *Service, greens func(x *Exchange) error) (*edge, *switcher.Switcher) {
	t.Helper()
	config.ColorHeader, config.Sticky = "X-Color", &Sticky{By: "none"}
	e, sw := newTestEdge(t, config, func(w http.ResponseWriter, _ *http.Request, x *Exchange) error {
		if w.Header().Get("X-Color") == "green" {
			return greens(x)
		}
		x.relays(http.StatusOK)
		return nil
	}, "a:1", "b:1")
	e.samples = &samples{service: "app", viewers: cmcd.New(cmcd.Options{})}
	e.runtime.samples.Store("app", e.samples)
	return e, sw
}

func relaysStatus(code int) func(x *Exchange) error {
	return func(x *Exchange) error {
		x.relays(code)
		return nil
	}
}

// half gives both colors half of the clients.
func half(t *testing.T, sw *switcher.Switcher) {
	t.Helper()
	_, err := sw.Split(t.Context(), switcher.SplitRequest{
		Request: switcher.Request{Services: []string{"app"}}, Color: switcher.Green, Weight: 50,
	})
	must(t, err)
}

// sampled adds up what has been counted of a color.
func (e *edge) sampled(c switcher.Color) (good, bad uint64, n compare.Counts) {
	n = e.runtime.sampled("app", c)
	for _, in := range n.Latency {
		good += in
	}
	return good, n.Bad, n
}

func TestAnswersAreSampledOfBothColorsOnlyWhileBothServe(t *testing.T) {
	e, sw := sampledEdge(t, new(Service), relaysStatus(http.StatusInternalServerError))
	ask := func(n int) (greens uint64) {
		for range n {
			_, w, _ := e.serve(httptest.NewRequest("GET", "/", nil))
			if w.Header().Get("X-Color") == "green" {
				greens++
			}
		}
		return greens
	}
	ask(20)
	if good, bad, n := e.sampled(switcher.Blue); good+bad+n.Connected != 0 {
		t.Errorf("sampled before a ramp: %+v", n)
	}
	half(t, sw)
	greens := ask(200)
	check := func(when string) {
		t.Helper()
		good, bad, n := e.sampled(switcher.Blue)
		equal(t, when+": good of blue", good, 200-greens)
		equal(t, when+": bad of blue", bad, 0)
		equal(t, when+": connected of blue", n.Connected, 200-greens)
		good, bad, n = e.sampled(switcher.Green)
		equal(t, when+": good of green", good, 0)
		equal(t, when+": bad of green", bad, greens)
		equal(t, when+": connected of green", n.Connected, greens)
	}
	check("in the ramp")
	_, err := sw.Abort(t.Context(), switcher.Request{Services: []string{"app"}})
	must(t, err)
	ask(20)
	check("after it")
}

// askOnce asks, and lets the handler cut the client.
func (e *edge) askOnce(t *testing.T) {
	defer func() {
		if r := recover(); r != nil && r != any(http.ErrAbortHandler) {
			t.Errorf("panic: %v", r)
		}
	}()
	_, _, _ = e.serve(httptest.NewRequest("GET", "/", nil))
}

func TestWhatFailsWithoutAnAnswerIsSampledToo(t *testing.T) {
	for name, c := range map[string]struct {
		greens                  func(x *Exchange) error
		bad, connected, refused bool // of green
	}{
		"no connection":           {func(*Exchange) error { return dialFailed }, true, false, true},
		"no answer in time":       {func(*Exchange) error { return &AttemptError{Err: errDial, Stage: StageSent, Timeout: true} }, true, true, false},
		"an answer that breaks":   {func(x *Exchange) error { x.relays(200); x.Broken = true; return ErrAborted }, true, true, false},
		"a client that leaves it": {func(x *Exchange) error { x.relays(200); return ErrAborted }, false, true, false},
		"a client's mistake":      {relaysStatus(http.StatusNotFound), false, true, false},
		"a client that is gone":   {func(*Exchange) error { return &AttemptError{Err: errDial, Stage: StageCanceled} }, false, false, false},
	} {
		e, sw := sampledEdge(t, new(Service), c.greens)
		half(t, sw)
		for range 100 {
			e.askOnce(t)
		}
		_, bad, n := e.sampled(switcher.Green)
		equal(t, name+": bad", bad > 0, c.bad)
		equal(t, name+": connected", n.Connected > 0, c.connected)
		equal(t, name+": refused", n.Refused > 0, c.refused)
		good, bad, n := e.sampled(switcher.Blue)
		if good == 0 || bad+n.Refused > 0 {
			t.Errorf("%s: blue has %+v", name, n)
		}
	}
}

func TestAClientThatLeavesWhileItWaitsIsSampledAsAnAnswerOfThatTime(t *testing.T) {
	e, sw := sampledEdge(t, new(Service), func(*Exchange) error { return &AttemptError{Err: context.Canceled, Stage: StageCanceled} })
	half(t, sw)
	gone, leave := context.WithCancel(t.Context())
	leave()
	var greens uint64
	for range 100 {
		status, _, _ := e.serve(httptest.NewRequestWithContext(gone, "GET", "/", nil))
		if status == statusClientGone {
			greens++
		}
	}
	good, bad, n := e.sampled(switcher.Green)
	if good != greens || greens == 0 || bad+n.Refused > 0 {
		t.Errorf("%d clients have left, sampled: %+v", greens, n)
	}
}

func TestPreviewsAreNotSampled(t *testing.T) {
	e, sw := sampledEdge(t, &Service{Preview: &Preview{Hosts: []string{"green.example.com"}}}, relaysStatus(http.StatusInternalServerError))
	half(t, sw)
	for range 50 {
		_, _, _ = e.serve(httptest.NewRequest("GET", "http://green.example.com/", nil))
	}
	if _, bad, n := e.sampled(switcher.Green); bad+n.Connected != 0 {
		t.Errorf("sampled: %+v", n)
	}
}

func TestAServiceThatComparesNothingSamplesNothing(t *testing.T) {
	e, sw := sampledEdge(t, &Service{Compare: &Compare{Off: true}}, relaysStatus(http.StatusInternalServerError))
	half(t, sw)
	for range 50 {
		_, _, _ = e.serve(httptest.NewRequest("GET", "/", nil))
	}
	for _, c := range switcher.Colors {
		if n := e.runtime.sampled("app", c); n != (compare.Counts{}) {
			t.Errorf("%s: %+v", c, n)
		}
	}
}

func TestPlayersThatStarveAreSampledWhereTheyAreCompared(t *testing.T) {
	for _, config := range []*Service{{}, {Compare: &Compare{Starvation: new(CompareShare)}}} {
		compared := config.Compare != nil
		e, sw := sampledEdge(t, config, relaysStatus(http.StatusOK))
		e.config.Sticky = nil // a client keeps its color
		half(t, sw)
		for range 3 {
			_, _, _ = e.serve(httptest.NewRequest("GET", "/a.m4s?CMCD=bs%2Csid%3D%22one%22", nil))
			_, _, _ = e.serve(httptest.NewRequest("GET", "/a.m4s?CMCD=sid%3D%22two%22", nil))
		}
		var joined, starved, watching uint64
		for _, c := range switcher.Colors {
			_, _, n := e.sampled(c)
			joined, starved, watching = joined+n.Joined, starved+n.Starved, watching+n.Watching
		}
		want := [3]uint64{}
		if compared {
			want = [3]uint64{2, 1, 1}
		}
		equal(t, "viewers", [3]uint64{joined, starved, watching}, want)
	}
}

func TestAnAnswerIsSampledWithItsHead(t *testing.T) {
	var e *edge
	var heads uint64
	e, sw := sampledEdge(t, new(Service), func(x *Exchange) error {
		_, _, before := e.sampled(switcher.Green)
		x.relays(http.StatusOK)
		good, _, after := e.sampled(switcher.Green) // the body has not come yet
		equal(t, "sampled", after.Connected, before.Connected+1)
		heads++
		equal(t, "good", good, heads)
		return nil
	})
	half(t, sw)
	for range 100 {
		e.askOnce(t)
	}
	if heads == 0 {
		t.Error("green has answered nothing")
	}
}

func TestWhatBeganUnderAnotherSplitIsNotSampled(t *testing.T) {
	weight, asked := 50, 0
	var sw *switcher.Switcher
	e, sw := sampledEdge(t, new(Service), func(x *Exchange) error {
		asked++
		weight = 110 - weight // another than when it began
		_, err := sw.Split(t.Context(), switcher.SplitRequest{
			Request: switcher.Request{Services: []string{"app"}}, Color: switcher.Green, Weight: uint8(weight),
		})
		must(t, err)
		x.relays(http.StatusInternalServerError)
		return nil
	})
	half(t, sw)
	for range 60 {
		e.askOnce(t)
	}
	if good, bad, n := e.sampled(switcher.Green); good+bad+n.Connected > 0 || asked == 0 {
		t.Errorf("of %d requests to green %d good and %d bad are sampled", asked, good, bad)
	}
	if good, _, _ := e.sampled(switcher.Blue); good == 0 {
		t.Error("nothing of blue was sampled")
	}
}

func TestARequestWithABodyHasNoTimeToCompare(t *testing.T) {
	e, sw := sampledEdge(t, new(Service), relaysStatus(http.StatusOK))
	half(t, sw)
	for range 100 {
		_, _, _ = e.serve(httptest.NewRequest("POST", "/", strings.NewReader("what a client sends")))
	}
	if good, bad, n := e.sampled(switcher.Green); n.Untimed == 0 || n.Untimed != n.Connected || good+bad > 0 {
		t.Errorf("%d good, %d bad, %d untimed of %d", good, bad, n.Untimed, n.Connected)
	}
}

func TestAnErrorThatClientsChooseIsNoneOfTheColor(t *testing.T) {
	for status, want := range map[int]bool{
		http.StatusNotImplemented: false, http.StatusHTTPVersionNotSupported: false,
		http.StatusBadGateway: true, http.StatusGatewayTimeout: true, http.StatusServiceUnavailable: true,
	} {
		e, sw := sampledEdge(t, new(Service), relaysStatus(status))
		half(t, sw)
		for range 50 {
			e.askOnce(t)
		}
		good, bad, _ := e.sampled(switcher.Green)
		equal(t, fmt.Sprint(status, " is bad"), bad > 0, want)
		equal(t, fmt.Sprint(status, " is good"), good > 0, !want)
	}
}

func TestFailuresAreToldApartByTheirClients(t *testing.T) {
	e, sw := sampledEdge(t, new(Service), relaysStatus(http.StatusInternalServerError))
	half(t, sw)
	ask := func(clients int, address string) (groups int) {
		_, _, before := e.sampled(switcher.Green)
		for n := range 200 {
			r := httptest.NewRequest("GET", "/", nil)
			r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{
				caddyhttp.ClientIPVarKey: fmt.Sprintf(address, n%clients),
			}))
			_, _, _ = e.serve(r)
		}
		_, _, after := e.sampled(switcher.Green)
		for g, bad := range after.BadOf {
			if bad > before.BadOf[g] {
				groups++
			}
		}
		return groups
	}
	equal(t, "groups of one client", ask(1, "192.0.2.%d"), 1)
	equal(t, "groups of one host of IPv6", ask(100, "2001:db8::%x"), 1)
	for _, address := range []string{"192.0.2.%d", "2001:db8:0:%x::1"} {
		if many := ask(100, address); many < 10 {
			t.Errorf("a hundred clients as %s are %d groups", address, many)
		}
	}
}
