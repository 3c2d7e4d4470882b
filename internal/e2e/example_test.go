package e2e

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// runExample runs a config of the repository as its README says, with state of
// its own, and returns an edge whose cli speaks to it.
func runExample(t *testing.T, dir, config, socket string, env ...string) *edge {
	t.Helper()
	e := &edge{t: t, dir: t.TempDir(), log: new(syncBuffer), control: socket}
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "HOME="+e.dir, "XDG_CONFIG_HOME="+e.dir, "XDG_DATA_HOME="+e.dir), env...)
	e.launch(cmd)
	t.Cleanup(e.kill)
	e.until("the edge answers", func() bool {
		_, err := e.client().Services(t.Context())
		return err == nil
	})
	e.healthy()
	return e
}

func TestTheFirstScreenOfTheREADMEDoesWhatItShows(t *testing.T) {
	e := runExample(t, "../..", "Caddyfile.example", control.DefaultSocket())
	color := func(want string) {
		t.Helper()
		if body := fetch(t, "http://localhost:8080/"); body != "hello from "+want+"\n" {
			t.Errorf("%q instead of %s", body, want)
		}
	}
	color("blue")
	for _, step := range []struct{ command, prints, color string }{
		{"status", "app  steady, generation 1", "blue"},
		{"cutover app --to green", "app: green serves 100% (generation 2). blue is safe to stop: 0 in-flight, 0 cut", "green"},
		{"rollback app", "app: blue serves 100% (generation 3). green is safe to stop", "blue"},
	} {
		out := e.cli(strings.Fields(step.command)...)
		if out.code != 0 || !strings.Contains(out.stdout, step.prints) {
			t.Errorf("%s: want %q: %s", step.command, step.prints, out)
		}
		color(step.color)
	}
}

func TestTheQuickstartDoesWhatItsREADMESays(t *testing.T) {
	dir := t.TempDir()
	here := filepath.Join(dir, "quickstart")
	if err := os.CopyFS(here, os.DirFS("../../examples/quickstart")); err != nil {
		t.Fatal(err)
	}
	e := runExample(t, here, "Caddyfile", filepath.Join(dir, "run/control.sock"), "QUICKSTART_DIR="+dir)
	if body := fetchHost(t, "http://localhost:8081/", "green.localhost"); !strings.HasPrefix(body, "green ") {
		t.Errorf("the preview shows %q", body)
	}
	if body := fetch(t, "http://localhost:8081/"); !strings.HasPrefix(body, "blue ") {
		t.Errorf("%q before the cutover", body)
	}
	out := e.cli("cutover", "app", "--to", "green", "--ramp", "10:50ms,50:50ms", "--reason", "release 1.5.0")
	if out.code != 0 || !strings.Contains(out.stdout, "blue is safe to stop") {
		t.Errorf("cutover: %s", out)
	}
	if out := e.cli("rollback", "app"); out.code != 0 {
		t.Errorf("rollback: %s", out)
	}
	pools := filepath.Join(here, "pools", "app.json")
	if err := os.WriteFile(pools, []byte(`{"version": 1, "blue": [{"address": "127.0.0.1:9101"}], "green": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	e.until("the edit of the pool file is in force", func() bool { v := e.view(); return v.Blue.Total == 1 && v.Green.Total == 0 })
	if err := os.WriteFile(pools, []byte(`{"version": 1, "blue": [{"address": "127.0.0.1"}], "green": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	e.until("the bad edit is refused", func() bool { return strings.Contains(e.view().Source.Error, "127.0.0.1") })
	if v := e.view(); v.Blue.Total != 1 {
		t.Errorf("after a bad edit: %d upstreams", v.Blue.Total)
	}
	for _, step := range []struct {
		args []string
		code int
	}{
		{[]string{"lock", "app", "--reason", "freeze: final of the cup"}, 0},
		{[]string{"cutover", "app", "--to", "green"}, 12},
		{[]string{"unlock", "app"}, 0},
	} {
		if out := e.cli(step.args...); out.code != step.code {
			t.Errorf("%v: want %d: %s", step.args, step.code, out)
		}
	}
}

func TestTheConsulExampleGoesFromRegistrationToCutoverInTwoCommands(t *testing.T) {
	dir := t.TempDir()
	e := &edge{t: t, dir: dir, log: new(syncBuffer), control: filepath.Join(dir, "run/control.sock")}
	cmd := exec.Command("../../examples/consul/start")
	cmd.Env = append(os.Environ(), "GREENROOM="+binary, "CONSUL_EXAMPLE_DIR="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	e.launch(cmd)
	t.Cleanup(e.stop) // it ends what it has started
	e.until("all instances are found and healthy", func() bool {
		v, err := e.client().View(t.Context(), "app")
		return err == nil && v.Blue.Healthy == 2 && v.Green.Healthy == 2
	})
	if body := fetch(t, "http://localhost:8083/"); !strings.HasPrefix(body, "blue ") {
		t.Errorf("%q before the cutover", body)
	}
	consul := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "../../examples/consul/consul", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	consul("kv", "put", "greenroom/app/desired", "green")
	e.until("green serves", func() bool { return strings.HasPrefix(fetch(t, "http://localhost:8083/"), "green ") })
	e.until("the key's outcome is in the edge's status", func() bool {
		return strings.Contains(consul("kv", "get", "greenroom/app/status/edge-1"), `"active":"green"`)
	})
	consul("services", "deregister", "-id", "green-2")
	e.until("an instance is gone", func() bool { return e.view().Green.Total == 1 })
	consul("services", "register", "../../examples/consul/instances/green-2.json")
	e.until("it is back", func() bool { return e.view().Green.Healthy == 2 })
	consul("kv", "put", "greenroom/app/desired", `{"to":"blue","ramp":"10:50ms,50:50ms","reason":"release 1.5.1"}`)
	e.until("blue serves again", func() bool { v := e.view(); return v.Split == switcher.All(switcher.Blue) })
	if out := e.cli("status", "--fleet"); !strings.Contains(out.stdout, "release 1.5.1") {
		t.Error(out)
	}
}

func TestTheMediaExampleDoesWhatItsREADMESays(t *testing.T) {
	here := filepath.Join(t.TempDir(), "media")
	if err := os.CopyFS(here, os.DirFS("../../examples/media")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(filepath.Join(here, "demo.key"), 0o600), os.Mkdir(filepath.Join(here, "www/talk"), 0o755),
		os.WriteFile(filepath.Join(here, "www/talk/master.m3u8"), []byte("#EXTM3U\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	e := runExample(t, here, "Caddyfile", control.DefaultSocket())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(path, field, want string) {
		t.Helper()
		res, err := client.Get("http://localhost:8080" + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get(field); !strings.Contains(got, want) {
			t.Errorf("%s: %d, %s is %q, want %q", path, res.StatusCode, field, got, want)
		}
	}
	ask("/media/talk/master.m3u8", "Cache-Status", "greenroom; fwd=uri-miss")
	ask("/media/talk/master.m3u8", "Cache-Status", "greenroom; ")
	ask("/downloads/talk/master.m3u8", "Location", "http://localhost:9100/talk/master.m3u8?md5=")
	for command, prints := range map[string]string{
		"media": "downloads", "cutover app --to green": "blue is safe to stop", "purge --prefix /media/talk/": "1 object dropped",
	} {
		if out := e.cli(strings.Fields(command)...); out.code != 0 || !strings.Contains(out.stdout, prints) {
			t.Errorf("%s: want %q: %s", command, prints, out)
		}
	}
	if body := fetch(t, "http://localhost:8080/"); body != "green, version 2\n" {
		t.Errorf("%q", body)
	}
}
