package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// twoServices runs an edge with the services app and api, which answer with
// their name and color.
func twoServices(t *testing.T, options string) *edge {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"app", "api"} {
		blue, green := newBackend(t, saying(name+" blue")), newBackend(t, saying(name+" green"))
		fmt.Fprintf(&b, "service %s {\n blue %s\n green %s\n health http /healthz\n %s\n}\n", name, blue.address, green.address, options)
	}
	e := newEdge(t, "")
	e.write(b.String(), "handle /api/* {\n blue_green api\n }\n handle {\n blue_green app\n }")
	e.start()
	e.healthy()
	e.until("api is healthy", func() bool {
		v, err := e.client().View(t.Context(), "api")
		return err == nil && v.Blue.Healthy == 1 && v.Green.Healthy == 1
	})
	return e
}

func TestAGroupMovesAndGoesBackAsOne(t *testing.T) {
	e := twoServices(t, "")
	if out := e.cli("cutover", "app", "api", "--to", "green"); out.code != 0 {
		t.Fatal(out)
	}
	colors := func(want string) {
		t.Helper()
		if app, api := fetch(t, "http://"+e.http+"/"), fetch(t, "http://"+e.http+"/api/x"); app != "app "+want || api != "api "+want {
			t.Errorf("%q and %q instead of %s", app, api, want)
		}
	}
	colors("green")
	if out := e.cli("rollback", "api"); out.code != 0 {
		t.Fatal(out)
	}
	colors("blue")
}

func TestThePreviewShowsTheIdleColorToThoseWhoKnowTheSecretAndToNobodyElse(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := twoServices(t, "preview {\n header X-Preview {file."+secret+"}\n cookie preview {file."+secret+"}\n}")
	for _, c := range []struct{ header, value, want string }{
		{"", "", "app blue"},
		{"X-Preview", "correct horse battery", "app green"},
		{"X-Preview", "correct horse batterx", "app blue"},
		{"X-Preview", "", "app blue"},
		{"Cookie", "a=b; preview=correct horse battery; c=d", "app green"},
		{"Cookie", "preview=", "app blue"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.http+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if got := do(t, r); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.header, c.value, got, c.want)
		}
	}
	if strings.Contains(e.log.String(), "correct horse") {
		t.Error("the secret is in the log")
	}
}

func TestALockRefusesMovesAndLetsRollbackThrough(t *testing.T) {
	e := twoServices(t, "")
	for _, step := range []struct {
		command string
		code    int
	}{
		{"cutover app --to green", 0},
		{"lock app --reason freeze", 0},
		{"cutover app --to blue", 12},
		{"split app blue=10", 12},
		{"drain app", 12},
		{"lock app --reason again", 12},
		{"rollback app", 0},
		{"cutover app --to green", 12},
		{"unlock app", 0},
		{"cutover app --to green --if-generation 1", 12},
		{"cutover app --to green", 0},
	} {
		if out := e.cli(strings.Fields(step.command)...); out.code != step.code {
			t.Errorf("%s: want %d: %s", step.command, step.code, out)
		}
	}
	if v := e.view(); v.Active != switcher.Green {
		t.Errorf("%s is active", v.Active)
	}
}

func TestARampMovesEachClientOnceAndNeverBack(t *testing.T) {
	e := twoServices(t, "sticky header X-Client")
	const clients = 200
	moved := make([]bool, clients)
	for _, weight := range []int{0, 5, 20, 50, 51, 90, 100} {
		if out := e.cli("split", "app", fmt.Sprintf("green=%d", weight)); out.code != 0 {
			t.Fatal(out)
		}
		green := 0
		for i := range clients {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.http+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Client", fmt.Sprintf("client-%d", i))
			on := do(t, r) == "app green"
			if moved[i] && !on {
				t.Errorf("at %d%% client %d went back", weight, i)
			}
			if moved[i] = on; on {
				green++
			}
		}
		if share := green * 100 / clients; share < weight-15 || share > weight+15 {
			t.Errorf("at %d%% %d%% of the clients are on green", weight, share)
		}
	}
}

func do(t *testing.T, r *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return bodyOf(t, resp)
}
