package proxy

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// scrape returns the greenroom metrics of the real endpoint: the text, and the
// values by name and labels.
func (h *house) scrape() (text string, values map[string]string) {
	h.t.Helper()
	values = make(map[string]string)
	var ours strings.Builder
	for line := range strings.Lines(ask(h.t, http.DefaultClient, "http://"+h.admin+"/metrics").body) {
		if !strings.Contains(line, "greenroom_") {
			continue
		}
		ours.WriteString(line)
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && !strings.HasPrefix(line, "#") {
			values[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			values[name] = value
		}
	}
	return ours.String(), values
}

func TestEachMetricSaysWhatHasHappened(t *testing.T) {
	down := refused(t)
	blue := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/moved":
			w.WriteHeader(http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	h := newHouse(t)
	h.load(pair("measured", blue, saying(t, "green"), "drain_timeout 1ms")+pair("down", down, down), "blue_green /down down\nblue_green measured")
	h.healthy("measured")
	until(t, "the other has its verdict", func() bool { v := h.view("down"); return v.Blue.Unknown+v.Green.Unknown == 0 })

	for range 3 {
		h.get("/")
	}
	for _, path := range []string{"/missing", "/moved", "/broken", "/a//b", "/down", "/down"} {
		ask(t, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, "http://"+h.http+path)
	}
	hanging, err := http.Get("http://" + h.http + "/hang")
	must(t, err)
	defer hanging.Body.Close()
	_, during := h.scrape()
	equal(t, "in-flight", during[`greenroom_inflight{color="blue",service="measured"}`], "1")
	h.cutover("measured", switcher.Green) // and what hangs is cut
	until(t, "the drain has ended", func() bool { return h.view("measured").Phase == switcher.Steady })
	h.get("/")
	_, err = h.client().Lock(t.Context(), switcher.Request{Services: []string{"measured"}, Reason: "counted"})
	must(t, err)

	text, got := h.scrape()
	for name, want := range measured {
		equal(t, name, got[name], want)
	}
	for _, name := range []string{
		`greenroom_config_loaded_timestamp_seconds`, `greenroom_pools_updated_timestamp_seconds{service="measured"}`,
		`greenroom_move_duration_seconds_sum{kind="cutover",service="measured"}`,
		`greenroom_drain_duration_seconds_sum{service="measured"}`,
		`greenroom_request_duration_seconds_sum{class="2xx",color="blue",service="measured"}`,
	} {
		if got[name] == "" || got[name] == "0" {
			t.Errorf("%s is %q", name, got[name])
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// measured is what the script of the test above must have counted.
var measured = map[string]string{
	`greenroom_requests_total{class="2xx",color="blue",service="measured"}`:                  "4", // three, and the one that hung
	`greenroom_requests_total{class="3xx",color="blue",service="measured"}`:                  "1",
	`greenroom_requests_total{class="4xx",color="blue",service="measured"}`:                  "1",
	`greenroom_requests_total{class="5xx",color="blue",service="measured"}`:                  "1",
	`greenroom_requests_total{class="0xx",color="blue",service="measured"}`:                  "", // no series before it is needed
	`greenroom_requests_total{class="1xx",color="blue",service="measured"}`:                  "", // no series before it is needed
	`greenroom_requests_total{class="2xx",color="green",service="measured"}`:                 "1",
	`greenroom_requests_total{class="0xx",color="blue",service="down"}`:                      "2",
	`greenroom_request_duration_seconds_count{class="2xx",color="blue",service="measured"}`:  "4",
	`greenroom_request_duration_seconds_count{class="2xx",color="green",service="measured"}`: "1",
	`greenroom_retries_total{service="measured"}`:                                            "0",
	`greenroom_moves_total{kind="cutover",result="done",service="measured"}`:                 "1",
	`greenroom_move_duration_seconds_count{kind="cutover",service="measured"}`:               "1",
	`greenroom_drain_duration_seconds_count{service="measured"}`:                             "1",
	`greenroom_evicted_total{color="blue",service="measured"}`:                               "1",
	`greenroom_inflight{color="blue",service="measured"}`:                                    "0",
	`greenroom_inflight{color="green",service="measured"}`:                                   "0",
	`greenroom_upstreams{color="blue",service="measured"}`:                                   "1",
	`greenroom_upstreams{color="green",service="measured"}`:                                  "1",
	`greenroom_upstreams_healthy{color="blue",service="measured"}`:                           "1",
	`greenroom_upstreams_healthy{color="blue",service="down"}`:                               "0",
	`greenroom_split_percent{color="blue",service="measured"}`:                               "0",
	`greenroom_split_percent{color="green",service="measured"}`:                              "100",
	`greenroom_active{color="blue",service="measured"}`:                                      "0",
	`greenroom_active{color="green",service="measured"}`:                                     "1",
	`greenroom_phase{phase="steady",service="measured"}`:                                     "1",
	`greenroom_phase{phase="preparing",service="measured"}`:                                  "0",
	`greenroom_phase{phase="ramping",service="measured"}`:                                    "0",
	`greenroom_phase{phase="draining",service="measured"}`:                                   "0",
	`greenroom_generation{service="measured"}`:                                               "3", // the cutover, and the lock
	`greenroom_locked{service="measured"}`:                                                   "1",
	`greenroom_locked{service="down"}`:                                                       "0",
	`greenroom_source_failing{service="measured"}`:                                           "0",
	`greenroom_state_unsaved`:                                                                "0",
}

func TestLabelsAreBoundedWhateverClientsSend(t *testing.T) {
	green := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err == nil {
			w.WriteHeader(status)
		}
	})
	h := newHouse(t)
	h.load(pair("app", green, green), "blue_green app")
	h.healthy("app")
	for class := 2; class <= 5; class++ { // each class once: a series is made when it is needed
		h.get(fmt.Sprintf("/%d", class*100))
	}
	_, before := h.scrape()
	for n := range 30 {
		h.get(fmt.Sprintf("/%d", 200+n*13), with("X-Request", fmt.Sprint(n)), with("Host", h.http), func(r *http.Request) { r.Method = fmt.Sprint("M", n) })
	}
	err := h.try(h.caddyfile(h.services(pair("refused-one", green, green)), "blue_green refused-two"))
	if err == nil {
		t.Fatal("a config without its service was accepted")
	}
	_, after := h.scrape()
	equal(t, "series", len(after), len(before))
}

func TestAReloadCountsOn(t *testing.T) {
	green := saying(t, "green")
	h := newHouse(t)
	h.load(pair("counted", green, green), "blue_green counted")
	h.healthy("counted")
	const name = `greenroom_requests_total{class="2xx",color="blue",service="counted"}`
	for n := range 3 {
		h.get("/")
		_, values := h.scrape()
		equal(t, "requests", values[name], fmt.Sprint(n+1))
		h.load(pair("counted", green, green, fmt.Sprint("retries ", n)), "blue_green counted")
	}
}

func TestAFileThatCannotBeReadShowsInMetricsAndKeepsThePools(t *testing.T) {
	green := saying(t, "green")
	h := newHouse(t)
	file := h.dir + "/pools.json"
	write := func(text string) { must(t, os.WriteFile(file, []byte(text), 0o600)) }
	good := fmt.Sprintf(`{"version":1,"blue":[{"address":%q}],"green":[]}`, green)
	write(good)
	h.load("service app {\n\tpools file "+file+"\n\t"+quickCheck+"}\n", "blue_green app")
	h.healthy("app")
	const failing = `greenroom_source_failing{service="app"}`
	write("{}")
	until(t, "the source fails", func() bool { _, values := h.scrape(); return values[failing] == "1" })
	equal(t, "answer", h.get("/").body, "green")
	if w := h.view("app").Warnings; !slices.ContainsFunc(w, func(s string) bool { return strings.HasPrefix(s, "the pools are those of") }) {
		t.Errorf("no warning of it: %q", w)
	}
	write(good)
	until(t, "the source works again", func() bool { _, values := h.scrape(); return values[failing] == "0" })
}
