package proxy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// readiness is what h says.
func readiness(t *testing.T, h *Ready, method string) (status int, reason string) {
	t.Helper()
	w := httptest.NewRecorder()
	must(t, h.ServeHTTP(w, httptest.NewRequest(method, "/ready", nil), nil))
	var doc struct {
		Ready  *bool  `json:"ready"`
		Reason string `json:"reason"`
	}
	must(t, json.Unmarshal(w.Body.Bytes(), &doc))
	if doc.Ready == nil || *doc.Ready != (w.Code == http.StatusOK) || (doc.Reason == "") != *doc.Ready {
		t.Errorf("%d with %s", w.Code, w.Body)
	}
	equal(t, "content type", w.Header().Get("Content-Type"), "application/json")
	equal(t, "may be kept", w.Header().Get("Cache-Control"), "no-store")
	return w.Code, doc.Reason
}

func TestAnEdgeIsReadyWhileWhatIsNamedCanServeAndTheProcessGoesOn(t *testing.T) {
	sw, s := stage(t)
	rt := &runtime{switcher: sw}
	app := &App{runtime: rt, edges: map[string]*edge{
		"app": {name: "app", service: s}, "gone": {name: "gone", service: sw.Service("gone")},
	}}
	whatever, named := &Ready{app: app}, &Ready{Services: []string{"app"}, app: app}
	gone := &Ready{Services: []string{"app", "gone"}, app: app}
	is := func(when string, h *Ready, status int, reason string) {
		t.Helper()
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			got, why := readiness(t, h, method)
			if got != status || !strings.Contains(why, reason) || reason == "" && why != "" {
				t.Errorf("%s: %d %q, want %d %q", when, got, why, status, reason)
			}
		}
	}
	health := func(c switcher.Color, healthy bool) {
		for _, e := range s.Table().Pools.Of(c).Endpoints() {
			sw.SetHealth(e, switcher.Health{Healthy: healthy, Known: true})
		}
	}
	is("all is well", whatever, 200, "")
	is("all is well", named, 200, "")
	is("a service that does not run", gone, 503, `service "gone" is not running`)
	health(switcher.Green, false)
	is("the idle color is ill", named, 200, "")
	health(switcher.Blue, false)
	is("the active color is ill", named, 503, `service "app": blue has no healthy upstream`)
	is("the active color is ill, and nobody is named", whatever, 200, "")
	health(switcher.Blue, true)
	ramp, err := switcher.ParseRamp("10:hold")
	must(t, err)
	health(switcher.Green, true)
	_, err = sw.Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green, Ramp: &ramp})
	must(t, err)
	is("both have traffic", named, 200, "")
	health(switcher.Blue, false)
	is("one of two colors with traffic is ill", named, 503, "blue has no healthy upstream")
	health(switcher.Blue, true)
	rt.leaving.Store(new(leaving))
	is("the process ends", whatever, 503, "the process ends")
	is("the process ends", named, 503, "the process ends")
}
