package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// post sends a command to Caddy's admin API.
func (h *house) post(path, body string, edit ...func(*http.Request)) answer {
	h.t.Helper()
	return ask(h.t, http.DefaultClient, "http://"+h.admin+path, append(edit, func(r *http.Request) {
		r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	})...)
}

func TestTheAdminAPIShowsAndDoesNotMoveByDefault(t *testing.T) {
	h := newHouse(t)
	services := pair("app", saying(t, "blue"), saying(t, "green"))
	h.load(services, "blue_green app")
	h.healthy("app")
	get := func(path string) answer { return ask(t, http.DefaultClient, "http://"+h.admin+path) }
	for path, status := range map[string]int{
		"/greenroom/v1/services": 200, "/greenroom/v1/services/app": 200, "/greenroom/v1/services/app/history": 200,
		"/greenroom/v1/services/none": 404, "/greenroom/v1/nothing": 404, "/greenroom/": 404,
	} {
		equal(t, path, get(path).status, status)
	}
	var seen struct{ Services []switcher.ServiceView }
	must(t, json.Unmarshal([]byte(get("/greenroom/v1/services").body), &seen))
	equal(t, "services", len(seen.Services), 1)
	equal(t, "plan", h.post("/greenroom/v1/services/app/plan", `{"to":"green"}`).status, 200)
	for _, command := range []string{"cutover", "split", "rollback", "drain", "hold", "resume", "abort", "lock", "unlock"} {
		a := h.post("/greenroom/v1/services/app/"+command, `{}`)
		equal(t, command, a.status, http.StatusForbidden)
		if !strings.Contains(a.body, "needs the role") {
			t.Errorf("%s: %s", command, a.body)
		}
	}
	for range 30 { // each from a port of its own
		h.post("/greenroom/v1/services/app/lock", `{}`, func(r *http.Request) { r.Close = true })
	}
	if n := strings.Count(fileText(filepath.Join(h.dir, "state", "audit.jsonl")), `"refused"`); n == 0 || n > 10 {
		t.Errorf("%d refusals in the audit log: want some, at a bounded rate", n)
	}
	equal(t, "answer", h.get("/").body, "blue")
}

func TestTheAdminAPIDoesWhatItsRoleAllows(t *testing.T) {
	h := newHouse(t)
	services := pair("app", saying(t, "blue"), saying(t, "green"))
	with := func(role string) string {
		return fmt.Sprintf("control {\n\tsocket %s\n\tadmin_api %s\n}\n%s", h.socket(), role, services)
	}
	must(t, h.try(h.caddyfile(with("flip"), "blue_green app")))
	h.healthy("app")
	a := h.post("/greenroom/v1/services/app/cutover", `{"to":"green"}`)
	equal(t, "cutover: "+a.body, a.status, http.StatusOK)
	equal(t, "answer", h.get("/").body, "green")
	if v := h.view("app"); v.Last == nil || !strings.HasPrefix(v.Last.By, "admin API (127.0.0.1)") {
		t.Errorf("who moved it: %+v", v.Last)
	}
	equal(t, "from another site's page", h.post("/greenroom/v1/services/app/cutover", `{"to":"blue"}`, func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}).status, http.StatusForbidden)

	must(t, h.try(h.caddyfile(with("none"), "blue_green app")))
	equal(t, "view with no role", ask(t, http.DefaultClient, "http://"+h.admin+"/greenroom/v1/services").status, http.StatusForbidden)

	plain, err := adapt(fmt.Sprintf("{\n\tadmin %s\n\tpersist_config off\n}\n", h.admin))
	must(t, err)
	must(t, caddy.Load(plain, true))
	equal(t, "without the app", ask(t, http.DefaultClient, "http://"+h.admin+"/greenroom/v1/services").status, http.StatusServiceUnavailable)
}

func TestPlaceholdersGoIntoLogsAndHeaders(t *testing.T) {
	h := newHouse(t)
	t.Setenv("PREVIEW_SECRET", previewSecret)
	blue, green := saying(t, "blue"), saying(t, "green")
	access := filepath.Join(h.dir, "access")
	site := "log {\n\toutput file " + access + "\n}\nheader >X-Why \"{http.blue_green.service} {http.blue_green.color} {http.blue_green.generation} " +
		"{http.blue_green.upstream} {http.blue_green.attempts} {http.blue_green.preview}\"\n" +
		"log_append color {http.blue_green.color}\nlog_append upstream {http.blue_green.upstream}\n" +
		"handle_errors {\n\trespond \"{http.blue_green.service} {http.blue_green.attempts} {err.status_code}\"\n}\nblue_green app"
	h.load(pair("app", blue, green, "preview {\n\thost next.example.com\n}"), site)
	h.healthy("app")
	equal(t, "header", h.get("/").header.Get("X-Why"), "app blue 1 "+blue+" 1 false")
	equal(t, "header of a preview", h.get("/", with("Host", "next.example.com")).header.Get("X-Why"), "app green 1 "+green+" 1 true")
	equal(t, "error", h.get("/a//b").body, "app 0 400")
	until(t, "the access log has it", func() bool { return strings.Contains(fileText(access), `"upstream":"`+green+`"`) })
	if line, _, _ := strings.Cut(fileText(access), "\n"); !strings.Contains(line, `"color":"blue"`) || !strings.Contains(line, `"upstream":"`+blue+`"`) {
		t.Errorf("the access log says %s", line)
	}
}

func init() { caddy.RegisterModule(listener{}) }

// listener is an events handler that gives what it gets to the test.
type listener struct{}

var heard = make(chan caddy.Event, 100)

func (listener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.greenroom_test", New: func() caddy.Module { return new(listener) }}
}

func (*listener) Handle(_ context.Context, e caddy.Event) error {
	heard <- e
	return nil
}

var _ caddyevents.Handler = (*listener)(nil)

func TestCaddyEventsTellOfPhasesAndMoves(t *testing.T) {
	h := newHouse(t)
	config, err := adapt(h.caddyfile(h.services(pair("app", saying(t, "blue"), saying(t, "green"))), "blue_green app"))
	must(t, err)
	var parsed map[string]any
	must(t, json.Unmarshal(config, &parsed))
	parsed["apps"].(map[string]any)["events"] = json.RawMessage(
		`{"subscriptions":[{"events":["greenroom_phase","greenroom_move"],"handlers":[{"handler":"greenroom_test"}]}]}`)
	config, err = json.Marshal(parsed)
	must(t, err)
	must(t, caddy.Load(config, true))
	h.healthy("app")
	h.cutover("app", switcher.Green)
	id := ""
	for _, want := range []struct{ name, phase, active string }{
		{EventPhase, "preparing", "blue"}, {EventPhase, "draining", "green"}, {EventPhase, "steady", "green"}, {EventMove, "steady", "green"},
	} {
		e := receive(t, heard)
		equal(t, "event", e.Name(), want.name)
		equal(t, "phase", e.Data["phase"], any(want.phase))
		equal(t, "active", e.Data["active"], any(want.active))
		equal(t, "service", e.Data["service"], any("app"))
		if id == "" {
			id = e.Data["id"].(string)
		}
		if want.name == EventMove {
			equal(t, "result", e.Data["result"], any("done"))
			equal(t, "kind", e.Data["kind"], any("cutover"))
			equal(t, "id", e.Data["id"], any(id))
			equal(t, "green", fmt.Sprint(e.Data["green"]), "100")
			equal(t, "generation", fmt.Sprint(e.Data["generation"]), "2")
		}
	}
}
