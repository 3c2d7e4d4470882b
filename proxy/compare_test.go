package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

func TestABadVersionIsTakenBackByItself(t *testing.T) {
	h := newHouse(t)
	bad := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "green")
	})
	h.load(pair("app", saying(t, "blue"), bad, "ramp 50:1h", "sticky none", "compare {\n\t\tmin_samples 20\n\t\tclients 1\n\t\twindow 10s\n\t}"), "blue_green app")
	h.healthy("app")
	h.cutover("app", switcher.Green)
	until(t, "the ramp is undone", func() bool {
		for range 20 {
			h.get("/")
		}
		return h.view("app").Phase == switcher.Steady
	})
	v := h.view("app")
	equal(t, "split", v.Split, switcher.All(switcher.Blue))
	m := v.Last
	equal(t, "result", m.Result, switcher.ResultAborted)
	for _, part := range []string{"greenroom: app: green is worse than blue: errors: green 100% of ", " requests, blue 0% of ", " such ramps at most"} {
		if !strings.Contains(m.Detail, part) {
			t.Errorf("%q is not in %q", part, m.Detail)
		}
	}
	if len(m.Compared) != 1 || m.Compared[0].State != compare.Worse || m.Compared[0].Findings[0].Long.New.Failures < 10 {
		t.Errorf("history has %+v", m.Compared)
	}
}
