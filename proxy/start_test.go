package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

func init() { caddy.RegisterModule(failingPools{}) }

// failingPools is a source that cannot be made when its config starts.
type failingPools struct{}

func (failingPools) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "greenroom.pools.failing", New: func() caddy.Module { return new(failingPools) }}
}

func (*failingPools) Source(SourceContext) (switcher.Source, error) {
	return nil, errors.New("no catalog today")
}

func (*failingPools) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return block.None(d) }

// takenPort makes a port on which Caddy cannot listen.
func takenPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestAConfigThatFailsToStartLeavesAllAsItWas(t *testing.T) {
	blue, green, more := saying(t, "blue"), saying(t, "green"), saying(t, "more")
	h := newHouse(t)
	h.load(pair("app", blue, green)+pair("old", blue, green), "blue_green app")
	h.healthy("app", "old")
	h.cutover("app", switcher.Green)
	before := standing(h)
	events, cancel := active.Load().switcher.Subscribe()
	defer cancel()

	busy := filepath.Join(h.dir, "busy.sock")
	live, err := control.Listen(control.Settings{Socket: busy}, http.NotFoundHandler(), nil)
	must(t, err)
	defer live.Close()
	other := filepath.Join(h.dir, "new.sock")
	taken := fmt.Sprintf("blue_green app\n}\nhttp://%s {\n\tblue_green new", takenPort(t))
	services := pair("app", more, more, "retries 5") + pair("new", more, more)
	on := func(socket, options string) string {
		return "control {\n\tsocket " + socket + "\n\t" + options + "\n}\n"
	}
	self := "allow user " + fmt.Sprint(os.Geteuid()) + " view"

	for _, m := range []struct{ name, config, site, says string }{
		{"another app fails", on(h.socket(), self) + services, taken, "address already in use"},
		{"another app fails, with a new socket", on(other, self) + services, taken, "address already in use"},
		{"another app fails, with a new group", on(h.socket(), "group 0\n"+self) + services, taken, "address already in use"},
		{"another app fails, with a new audit log", on(h.socket(), "audit "+h.dir+"/new.jsonl") + services, taken, "address already in use"},
		{"the socket is in use", on(busy, self) + services, "blue_green app", "another greenroom answers"},
		{"the audit log cannot be opened", on(h.socket(), "audit "+h.dir+"/none/audit.jsonl") + services, "blue_green app", "audit log"},
		{"a source cannot be made", on(h.socket(), self) + services + "service odd {\n\tpools failing\n}\n", "blue_green app", `service "odd": pools: no catalog today`},
	} {
		t.Run(m.name, func(t *testing.T) {
			for range 6 { // Caddy starts apps in random order
				err := h.try(h.caddyfile(m.config, m.site))
				if err == nil || !strings.Contains(err.Error(), m.says) {
					t.Fatalf("got %v, want %q", err, m.says)
				}
				equal(t, "what is in force", standing(h), before)
				if _, err := os.Stat(other); err == nil {
					t.Error("the new socket is there")
				}
			}
		})
	}
	for len(events) > 0 {
		if e := <-events; e.Service == "app" || e.Service == "old" {
			t.Errorf("an event of %s: %s", e.Service, e.Detail)
		}
	}
	_, err = h.client().Rollback(t.Context(), switcher.RollbackRequest{Request: switcher.Request{Services: []string{"app"}}})
	must(t, err) // the policy in force allows it
	equal(t, "answer", h.get("/").body, "blue")
}

func TestAFirstConfigThatFailsToStartLeavesNothingBehind(t *testing.T) {
	blue := saying(t, "blue")
	h := newHouse(t)
	busy := filepath.Join(h.dir, "busy.sock")
	live, err := control.Listen(control.Settings{Socket: busy}, http.NotFoundHandler(), nil)
	must(t, err)
	defer live.Close()
	for range 3 {
		err := h.try(h.caddyfile("control {\n\tsocket "+busy+"\n}\n"+pair("app", blue, blue), "blue_green app"))
		if err == nil || !strings.Contains(err.Error(), "another greenroom answers") {
			t.Fatal(err)
		}
		if active.Load() != nil {
			t.Fatal("the runtime is still there")
		}
	}
	h.load(pair("app", blue, blue), "blue_green app")
	equal(t, "answer", h.get("/").body, "blue")
}

func TestAReloadMovesTheSocketItsGroupItsPolicyAndTheAuditLog(t *testing.T) {
	blue, green := saying(t, "blue"), saying(t, "green")
	h := newHouse(t)
	h.load(pair("app", blue, green), "blue_green app")
	h.healthy("app")
	first := h.client()
	moved, log := filepath.Join(h.dir, "moved.sock"), filepath.Join(h.dir, "moved.jsonl")
	config := fmt.Sprintf("control {\n\tsocket %s\n\taudit %s\n\tallow user %d view\n}\n", moved, log, os.Geteuid())
	must(t, h.try(h.caddyfile(config+pair("app", blue, green), "blue_green app")))
	if _, err := first.Services(t.Context()); err == nil {
		t.Error("the old socket answers still")
	}
	to := switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green}
	second := control.NewClient(moved)
	_, err := second.View(t.Context(), "app")
	must(t, err)
	if _, err = second.Cutover(t.Context(), to); err == nil || !strings.Contains(err.Error(), "needs the role flip") {
		t.Errorf("a cutover by a viewer: %v", err)
	}
	if text := fileText(log); !strings.Contains(text, `"cutover"`) {
		t.Errorf("the refusal is not in the new audit log: %q", text)
	}
	before, err := os.Stat(moved)
	must(t, err)
	must(t, os.Link(moved, moved+".before")) // or the new one may get its inode
	config = strings.Replace(config, "allow", "group 0\n\tallow", 1)
	must(t, h.try(h.caddyfile(config+pair("app", blue, green), "blue_green app")))
	after, err := os.Stat(moved)
	must(t, err)
	if os.SameFile(before, after) {
		t.Error("the socket of another group is the same file")
	}
	_, err = second.View(t.Context(), "app")
	must(t, err)
}

func TestAValidatedConfigTouchesNoFileAndNoSocket(t *testing.T) {
	h := newHouse(t)
	config, err := adapt(h.caddyfile(h.services(pair("app", "10.0.0.1:1", "10.0.0.1:1")), "blue_green app"))
	must(t, err)
	var parsed caddy.Config
	must(t, caddy.StrictUnmarshalJSON(config, &parsed))
	parsed.Logging, parsed.StorageRaw = nil, nil
	must(t, caddy.Validate(&parsed))
	entries, err := os.ReadDir(h.dir)
	must(t, err)
	equal(t, "files", len(entries), 0)
}
