package webgate

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func gateAt(t *testing.T, at string) *Gate {
	t.Helper()
	u, err := ask.ParseURL(at)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{Server: &ask.Web{URL: u}}
	t.Cleanup(g.Server.CloseIdle)
	return g
}

func server(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestTheStatusDecidesAndTheFirstLineIsTheReason(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   switcher.Decision
		says   string
	}{
		{200, "", switcher.Pass, "answered 200"},
		{204, "", switcher.Pass, "answered 204"},
		{201, "ticket 7\nmore", switcher.Pass, "answered 201: ticket 7"},
		{302, "", switcher.Refuse, "answered 302 (redirects are not followed)"},
		{400, "no flips on Friday\nsecond line", switcher.Refuse, "answered 400: no flips on Friday"},
		{500, "\x1b[2Jboom", switcher.Refuse, "answered 500: [2Jboom"},
		{503, strings.Repeat("x", 100000), switcher.Refuse, strings.Repeat("x", ask.MaxLine) + "…"},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			g := gateAt(t, server(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})+"/gate?token=hidden")
			v := g.Check(t.Context(), switcher.GateInput{Service: "app"})
			if v.Decision != c.want || !strings.HasSuffix(v.Reason, c.says) || strings.Contains(v.Reason, "second") {
				t.Errorf("got %s: %s", v.Decision, v.Reason)
			}
			if !strings.Contains(v.Reason, "/gate answered") || strings.Contains(v.Reason, "hidden") {
				t.Errorf("the URL is shown as %s", v.Reason)
			}
		})
	}
}

func TestThePlanIsPostedAsJSON(t *testing.T) {
	var got map[string]any
	var kind, secret string
	g := gateAt(t, server(t, func(_ http.ResponseWriter, r *http.Request) {
		kind, secret = r.Method+" "+r.Header.Get("Content-Type"), r.Header.Get("X-Token")
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	}))
	g.Server.Fields = []ask.Field{{Name: "X-Token", Value: func() (string, error) { return "opensesame", nil }}}
	in := switcher.GateInput{
		Service: "app", ID: "k3v9x2", From: switcher.Blue, To: switcher.Green, Weight: 10, Step: 1, Steps: 3, By: "uid 0 (root)", Reason: "1.5.0",
		Health: switcher.PoolHealth{Total: 1, Healthy: 1}, Now: time.Unix(1e9, 0).UTC(),
	}
	for range 300 {
		in.Upstreams.Green = append(in.Upstreams.Green, switcher.UpstreamState{
			Upstream: switcher.Upstream{Address: "10.0.2.1:80", Meta: map[string]string{"version": "1.5.0"}}, Healthy: true,
		})
	}
	if v := g.Check(t.Context(), in); v.Decision != switcher.Pass {
		t.Fatalf("got %+v", v)
	}
	if kind != "POST application/json" || secret != "opensesame" {
		t.Errorf("got %s, secret %q", kind, secret)
	}
	for key, want := range map[string]string{
		"version": "1", "service": "app", "id": "k3v9x2", "from": "blue", "to": "green", "weight": "10", "step": "1", "steps": "3",
		"by": "uid 0 (root)", "reason": "1.5.0", "dry_run": "false", "now": "2001-09-09T01:46:40Z",
	} {
		if fmt.Sprint(got[key]) != want {
			t.Errorf("%s is %v, want %s", key, got[key], want)
		}
	}
	lists := got["upstreams"].(map[string]any)
	first := lists["green"].([]any)[0].(map[string]any)
	if len(lists["green"].([]any)) != maxUpstreams || len(lists["blue"].([]any)) != 0 || first["address"] != "10.0.2.1:80" || first["healthy"] != true {
		t.Errorf("upstreams: %.300v", lists)
	}
	in.ID = ""
	g.Check(t.Context(), in)
	if got["dry_run"] != true {
		t.Error("a plan is no dry run")
	}
}

func TestAServerThatCannotBeReachedIsWaitedFor(t *testing.T) {
	at := server(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the client goes unnoticed
		<-r.Context().Done()
	})
	g := gateAt(t, at)
	g.Timeout = 30 * time.Millisecond
	if v := g.Check(t.Context(), switcher.GateInput{}); v.Decision != switcher.Wait || !strings.HasSuffix(v.Reason, "no answer in time") {
		t.Errorf("got %s: %s", v.Decision, v.Reason)
	}
	g = gateAt(t, "http://127.0.0.1:1/gate")
	if v := g.Check(t.Context(), switcher.GateInput{}); v.Decision != switcher.Wait || !strings.Contains(v.Reason, "POST http://127.0.0.1:1/gate: ") {
		t.Errorf("got %s: %s", v.Decision, v.Reason)
	}
}

func TestAServerThatEchoesTheSecretDoesNotMakeItPublic(t *testing.T) {
	g := gateAt(t, server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "bad token "+r.Header.Get("X-Token"), http.StatusForbidden)
	}))
	g.Server.Fields = []ask.Field{{Name: "X-Token", Value: func() (string, error) { return "opensesame", nil }}}
	if v := g.Check(t.Context(), switcher.GateInput{}); !strings.HasSuffix(v.Reason, "403: bad token ***") {
		t.Errorf("got %s", v.Reason)
	}
}
