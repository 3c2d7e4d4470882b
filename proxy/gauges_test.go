package proxy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

func TestMetricsTellOfTheComparisonAndOfWhatIsTakenBack(t *testing.T) {
	var sick atomic.Bool
	green := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() && r.URL.Path == "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	h := newHouse(t)
	h.load("service app {\n\tblue "+saying(t, "blue")+"\n\tgreen "+green+`
		health http /healthz {
			interval 100ms
			timeout 10s
			rise 1
			fall 2
		}
		drain_timeout 1ms
	}
	`, "blue_green app")
	h.healthy("app")
	says := func(when string, want map[string]string) {
		t.Helper()
		_, got := h.scrape()
		for name, value := range want {
			equal(t, when+": "+name, got[name], value)
		}
	}
	const (
		undone = `greenroom_automatic_rollbacks_total{cause="upstreams",color="green",service="app"}`
		held   = `greenroom_held{service="app"}`
		none   = `greenroom_comparison_state{service="app",state="none"}`
		tooFew = `greenroom_comparison_state{service="app",state="too_few"}`
		worse  = `greenroom_comparison_state{service="app",state="worse"}`
	)
	says("before", map[string]string{undone: "0", held: "0", none: "1", tooFew: "0", worse: "0"})
	_, err := h.client().Split(t.Context(), switcher.SplitRequest{
		Request: switcher.Request{Services: []string{"app"}}, Color: switcher.Green, Weight: 50,
	})
	must(t, err)
	until(t, "the colors are compared", func() bool { _, got := h.scrape(); return got[tooFew] == "1" })
	says("in a ramp", map[string]string{undone: "0", held: "1", none: "0", worse: "0"})
	sick.Store(true)
	until(t, "green is taken back", func() bool { _, got := h.scrape(); return got[undone] == "1" })
	until(t, "the drain has ended", func() bool { return h.view("app").Phase == switcher.Steady })
	says("afterwards", map[string]string{
		undone: "1", held: "0", none: "1", tooFew: "0",
		`greenroom_automatic_rollbacks_total{cause="upstreams",color="blue",service="app"}`: "0",
		`greenroom_automatic_rollbacks_total{cause="gate",color="green",service="app"}`:     "0",
	})
}

func TestTheStateOfAComparisonIsThatOfTheServiceAndOfARampUnderWay(t *testing.T) {
	of := func(service string, state compare.State) switcher.Comparison {
		return switcher.Comparison{Service: service, At: time.Now(), Verdict: compare.Verdict{State: state}}
	}
	group := &switcher.CutoverView{Cutover: switcher.Cutover{
		Compared: []switcher.Comparison{of("api", compare.NoWorse), of("web", compare.Worse)},
	}}
	for _, c := range []struct {
		v    switcher.ServiceView
		want string
	}{
		{switcher.ServiceView{Name: "web"}, "none"},
		{switcher.ServiceView{Name: "web", Phase: switcher.Preparing, Cutover: new(switcher.CutoverView)}, "none"},
		{switcher.ServiceView{Name: "api", Phase: switcher.Ramping, Cutover: group}, "no_worse"},
		{switcher.ServiceView{Name: "web", Phase: switcher.Ramping, Cutover: group}, "worse"},
		{switcher.ServiceView{Name: "app", Phase: switcher.Ramping, Cutover: group}, "none"},
		{switcher.ServiceView{Name: "web", Phase: switcher.Draining, Cutover: group}, "none"},
	} {
		equal(t, c.v.Name+" "+c.v.Phase.String(), comparisonState(c.v), c.want)
	}
}

func TestMetricsTellWhatIsUnderWayAndWhatIsSafeToStop(t *testing.T) {
	answer := make(chan struct{})
	blue := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-answer
		}
	})
	h := newHouse(t)
	h.load(pair("app", blue, saying(t, "green")), "blue_green app")
	h.healthy("app")
	value := func(name string) string { _, got := h.scrape(); return got[name] }
	const (
		blueEvents = `greenroom_streams{color="blue",kind="sse",service="app"}`
		blueSafe   = `greenroom_safe_to_stop{color="blue",service="app"}`
		greenSafe  = `greenroom_safe_to_stop{color="green",service="app"}`
	)
	equal(t, "streams", value(blueEvents), "0")
	equal(t, "blue is safe to stop", value(blueSafe), "0")
	equal(t, "green is safe to stop", value(greenSafe), "1")
	stream, err := http.Get("http://" + h.http + "/events")
	must(t, err)
	defer stream.Body.Close()
	equal(t, "streams", value(blueEvents), "1")
	h.cutover("app", switcher.Green)
	equal(t, "blue is safe to stop while it has a stream", value(blueSafe), "0")
	close(answer)
	until(t, "blue is safe to stop", func() bool { return value(blueSafe) == "1" })
	equal(t, "streams", value(blueEvents), "0")
	equal(t, "green is safe to stop", value(greenSafe), "0")
	text, _ := h.scrape()
	if !strings.Contains(text, `greenroom_build_info{caddy="`) {
		t.Error("nothing tells what the edge was built from")
	}
}

func TestTheGatesThatAMoveWaitsForAreNamedOnceEach(t *testing.T) {
	v := switcher.ServiceView{Name: "app"}
	equal(t, "without a move", len(waitedFor(v)), 0)
	v.Cutover = &switcher.CutoverView{Gates: []switcher.Verdict{
		{Gate: "soak", Service: "app"}, {Gate: "http", Decision: switcher.Pass}, {Gate: "schema"},
		{Gate: "schema", Decision: switcher.Refuse}, {Gate: "warmup", Service: "api"},
	}}
	equal(t, "gates", strings.Join(slices.Sorted(maps.Keys(waitedFor(v))), " "), "schema soak")
}
