package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// badInput is something that must be refused, and what the refusal must say.
type badInput struct {
	name, input string
	says        []string
}

// badServices are services blocks that cannot be loaded.
var badServices = []badInput{
	{"no pools", `service app {
		health tcp
	}`, []string{`service "app"`, "no pools"}},
	{"an unknown option", `service app {
		bleu 127.0.0.1:1
	}`, []string{"unknown option", `"bleu"`, "balance", "Caddyfile:"}},
	{"an option twice", `service app {
		blue 127.0.0.1:1
		soak 1s
		soak 2s
	}`, []string{"soak is given twice"}},
	{"a service twice", `service app {
		blue 127.0.0.1:1
	}
	service app {
		blue 127.0.0.1:1
	}`, []string{`service "app" is given twice`}},
	{"a service's name in capitals", `service App {
		blue 127.0.0.1:1
	}`, []string{`service "App"`, "the name must match"}},
	{"an upstream without a port", `service app {
		blue localhost
	}`, []string{`upstream "localhost"`, "missing port"}},
	{"an upstream with a scheme", `service app {
		blue http://localhost:80
	}`, []string{"without a scheme"}},
	{"a port that is none", `service app {
		blue localhost:http
	}`, []string{`port "http"`, "1 to 65535"}},
	{"an upstream twice", `service app {
		blue 127.0.0.1:1 127.0.0.1:1
	}`, []string{"blue pool", `"127.0.0.1:1" is listed twice`}},
	{"a weight too large", `service app {
		blue {
			127.0.0.1:1 1001
		}
	}`, []string{`"1001"`, "1 to 1000"}},
	{"two kinds of pools", `service app {
		blue 127.0.0.1:1
		pools file x.json
	}`, []string{"not from both"}},
	{"an unknown source", `service app {
		pools zookeeper x
	}`, []string{"greenroom.pools.zookeeper"}},
	{"a color that is none", `service app {
		active red
		blue 127.0.0.1:1
	}`, []string{"active", `"red"`, `"blue" or "green"`}},
	{"a balance that is none", `service app {
		balance random
		blue 127.0.0.1:1
	}`, []string{`balance "random"`, "round_robin"}},
	{"a ramp that falls", `service app {
		ramp 50:5m,10:5m
		blue 127.0.0.1:1
	}`, []string{"ramp step 10:5m", "weights must rise"}},
	{"a ramp to 100", `service app {
		ramp 100
		blue 127.0.0.1:1
	}`, []string{"1 to 99"}},
	{"a duration without a unit", `service app {
		soak 30
		blue 127.0.0.1:1
	}`, []string{`soak "30"`, "want a duration"}},
	{"a duration out of range", `service app {
		drain_timeout 1000h
		blue 127.0.0.1:1
	}`, []string{"drain timeout", "168h"}},
	{"a share above the whole", `service app {
		min_healthy 150%
		blue 127.0.0.1:1
	}`, []string{`min_healthy "150%"`, "50%"}},
	{"a check of no kind", `service app {
		health ping
		blue 127.0.0.1:1
	}`, []string{`check type "ping"`, "http, tcp or grpc"}},
	{"a status that is none", `service app {
		health http / {
			status ok
		}
		blue 127.0.0.1:1
	}`, []string{`"ok"`, "200"}},
	{"a body that is no expression", `service app {
		health http / {
			body "("
		}
		blue 127.0.0.1:1
	}`, []string{"body", "missing closing )"}},
	{"an interval too short", `service app {
		health tcp {
			interval 1ms
		}
		blue 127.0.0.1:1
	}`, []string{"interval 1ms", "100ms"}},
	{"two checks of one name", `service app {
		health tcp
		health tcp
		blue 127.0.0.1:1
	}`, []string{"two checks", `named "tcp"`}},
	{"a secret in the config", `service app {
		blue 127.0.0.1:1
		preview {
			header X-Preview this-is-a-literal-secret
		}
	}`, []string{"preview", "{env.NAME} or {file.PATH}"}},
	{"a secret that is not there", `service app {
		blue 127.0.0.1:1
		preview {
			header X-Preview {env.NO_SUCH_VARIABLE}
		}
	}`, []string{"{env.NO_SUCH_VARIABLE}", "0 characters", "at least 16"}},
	{"stickiness by what does not exist", `service app {
		sticky fingerprint
		blue 127.0.0.1:1
	}`, []string{`sticky "fingerprint"`, "client_ip"}},
	{"another service than the site's", `service web {
		blue 127.0.0.1:1
	}`, []string{`blue_green "app": no such service`, "web"}},
}

// badFiles are pool files that cannot be used.
var badFiles = []badInput{
	{"nothing", ``, []string{"line 1"}},
	{"half a file", `{"version": 1, "blue": [{"addr`, []string{"line 1, column"}},
	{"not JSON", `blue = ["127.0.0.1:1"]`, []string{"line 1, column 1"}},
	{"no version", `{"blue": [], "green": []}`, []string{"version"}},
	{"another version", `{"version": 2, "blue": [], "green": []}`, []string{"version", "2"}},
	{"one color only", `{"version": 1, "blue": []}`, []string{"green"}},
	{"an unknown field", "{\"version\": 1,\n \"blue\": [{\"adress\": \"127.0.0.1:1\"}], \"green\": []}", []string{"line 2", "adress", "address"}},
	{"a key twice", `{"version": 1, "blue": [], "blue": [], "green": []}`, []string{"blue", "twice"}},
	{"a bad address", `{"version": 1, "blue": [{"address": "127.0.0.1"}], "green": []}`, []string{"blue[0]", "host:port"}},
	{"a bad weight", `{"version": 1, "blue": [{"address": "127.0.0.1:1", "weight": -1}], "green": []}`, []string{"weight"}},
	{"an upstream twice", `{"version": 1, "blue": [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:1"}], "green": []}`, []string{"127.0.0.1:1", "twice"}},
	{"something behind", `{"version": 1, "blue": [], "green": []} {}`, []string{"nothing after"}},
	{"null", `{"version": 1, "blue": null, "green": []}`, []string{"null"}},
	{"a control character", "{\"version\": 1, \"blue\": [{\"address\": \"a\\u001b[2J:1\"}], \"green\": []}", []string{"control character"}},
}

// badCommands are command lines, with their exit codes.
var badCommands = []struct {
	badInput
	code int
}{
	{badInput{"an unknown service", "cutover web --to green", []string{`"web"`, "unknown service"}}, 16},
	{badInput{"no color", "cutover app", []string{`"to" not set`}}, 1},
	{badInput{"a color that is none", "cutover app --to red", []string{`"red"`}}, 17},
	{badInput{"a ramp that falls", "cutover app --to green --ramp 50,10", []string{"weights must rise"}}, 17},
	{badInput{"a ramp of nonsense", "cutover app --to green --ramp soon", []string{`"soon"`}}, 17},
	{badInput{"another generation", "cutover app --to green --if-generation 99", []string{"generation", "99"}}, 12},
	{badInput{"no service", "cutover --to green", nil}, 1},
	{badInput{"an unknown flag", "cutover app --to green --yolo", []string{"--yolo"}}, 1},
	{badInput{"a timeout too long", "cutover app --to green --drain-timeout 9999h", []string{"drain timeout"}}, 17},
	{badInput{"a split above 100", "split app green=101", []string{"101"}}, 17},
	{badInput{"a split of no color", "split app red=10", []string{"red"}}, 17},
	{badInput{"nothing to abort", "abort app", []string{"no move is under way"}}, 12},
	{badInput{"nothing to roll back to", "rollback app", []string{"nothing to roll back to"}}, 12},
	{badInput{"nothing to hold", "hold app", []string{"no ramp is under way"}}, 12},
	{badInput{"nothing to resume", "resume app", []string{"nothing is held"}}, 12},
	{badInput{"a lock without a reason", "lock app", []string{"reason"}}, 1},
}

// badBodies are bodies of POST /v1/services/app/cutover.
var badBodies = []badInput{
	{"not JSON", `to=green`, []string{"invalid", "object"}},
	{"an array", `["green"]`, []string{"invalid", "object"}},
	{"no color", `{}`, []string{"invalid", "blue or green"}},
	{"an unknown field", `{"to":"green","forse":true}`, []string{"invalid", "forse"}},
	{"a key twice", `{"to":"green","to":"green"}`, []string{"invalid", "twice"}},
	{"a number for a color", `{"to":1}`, []string{"invalid", "to"}},
	{"a duration without a unit", `{"to":"green","gate_timeout":"30"}`, []string{"invalid", "gate_timeout"}},
	{"two documents", `{"to":"green"}{"to":"blue"}`, []string{"invalid", "nothing after"}},
	{"who asks", `{"to":"green","by":"root"}`, []string{"invalid", "by"}},
	{"a stale generation", `{"to":"green","if_generation":7}`, []string{"conflict", "generation"}},
}

func TestMalformedInputIsRefusedWithAClearErrorAndChangesNothing(t *testing.T) {
	if n := len(badServices) + len(badFiles) + len(badCommands) + len(badBodies); n < 60 {
		t.Fatalf("only %d inputs", n)
	}
	e, pools := malformedEdge(t)
	before := e.view()
	stays := func(t *testing.T, after string) {
		t.Helper()
		v := e.view()
		if v.Generation != before.Generation || v.Split != before.Split || v.Phase != switcher.Steady || v.Lock != nil ||
			v.Blue.Total != 1 || v.Blue.Healthy != 1 || v.Green.Total != 1 {
			t.Errorf("after %s: %+v", after, v)
		}
		if body := fetch(t, "http://"+e.http+"/"); body != "blue" {
			t.Errorf("after %s %q answers", after, body)
		}
	}
	good := servicesOf(pools)
	for _, b := range badServices {
		t.Run("config with "+b.name, func(t *testing.T) {
			e.write(b.input, siteBlueGreen)
			out := e.cli("reload", "--config", e.configPath(), "--address", e.admin, "--force")
			e.write(good, siteBlueGreen)
			if out.code == 0 {
				t.Error("it was loaded")
			}
			wants(t, strings.ReplaceAll(out.stderr+out.stdout, `\`, ``), b.says) // Caddy wraps it in JSON
			stays(t, b.name)
		})
	}
	for _, b := range badFiles {
		t.Run("file with "+b.name, func(t *testing.T) {
			content, err := os.ReadFile(pools)
			if err != nil {
				t.Fatal(err)
			}
			replace(t, pools, []byte(b.input))
			e.until("the file is refused", func() bool { return e.view().Source.Error != "" })
			wants(t, e.view().Source.Error, append(b.says, pools))
			stays(t, b.name)
			replace(t, pools, content)
			e.until("the good file is back", func() bool { return e.view().Source.Error == "" })
		})
	}
	for _, b := range badCommands {
		t.Run("command with "+b.name, func(t *testing.T) {
			out := e.cli(strings.Fields(b.input)...)
			if out.code != b.code {
				t.Errorf("want exit code %d", b.code)
			}
			wants(t, out.String(), b.says)
			stays(t, b.name)
		})
	}
	for _, b := range badBodies {
		t.Run("body with "+b.name, func(t *testing.T) {
			wants(t, e.post(t, "/v1/services/app/cutover", b.input), b.says)
			stays(t, b.name)
		})
	}
}

// malformedEdge runs an edge whose pools are in a file.
func malformedEdge(t *testing.T) (e *edge, pools string) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	pools = filepath.Join(t.TempDir(), "pools.json")
	replace(t, pools, fmt.Appendf(nil, `{"version": 1, "blue": [{"address": %q}], "green": [{"address": %q}]}`, blue.address, green.address))
	e = newEdge(t, servicesOf(pools))
	e.start()
	e.healthy()
	return e, pools
}

func servicesOf(pools string) string {
	return "service app {\n pools file " + pools + "\n health http /healthz\n}"
}

// replace writes a file as an editor does that is careful.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, text string, says []string) {
	t.Helper()
	for _, want := range says {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in: %s", want, text)
		}
	}
}

// post sends a body to the control socket and returns the problem that comes
// back.
func (e *edge) post(t *testing.T, path, body string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.socket())
		},
	}}
	resp, err := client.Post("http://greenroom"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode < 400 || kind != "application/problem+json" {
		t.Errorf("status %d, %s", resp.StatusCode, kind)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, answer, "", " "); err != nil {
		t.Errorf("not JSON: %v", err)
	}
	return indented.String()
}
