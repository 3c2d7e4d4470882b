package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// prometheusServer is a real one that scrapes the example.
type prometheusServer struct {
	t   *testing.T
	url string
	log string
}

// startPrometheus runs the one that is installed on the config of the example,
// which it follows faster. It tries again when another process was faster to take
// the port.
func startPrometheus(t *testing.T) *prometheusServer {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("Prometheus is not installed: on Debian, apt-get install --no-install-recommends prometheus")
	}
	dir := t.TempDir()
	config := strings.ReplaceAll(string(readObservability(t, "prometheus.yml")), "15s", "1s")
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), readObservability(t, "rules.yml"), 0o600); err != nil {
		t.Fatal(err)
	}
	var failed error
	for range 3 {
		var p *prometheusServer
		if p, failed = runPrometheus(t, path, dir); failed == nil {
			return p
		}
	}
	t.Fatal(failed)
	return nil
}

func runPrometheus(t *testing.T, path, dir string) (*prometheusServer, error) {
	t.Helper()
	ports, err := realserver.Ports(1)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	p := &prometheusServer{t, "http://" + address, filepath.Join(dir, "log")}
	process, err := realserver.Start(path, []string{
		"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
	}, nil, p.log)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { process.End(syscall.SIGKILL) })
	err = realserver.Until("Prometheus", func() error {
		if !process.Running() {
			return realserver.ErrEnded
		}
		res, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", res.Status)
		}
		return nil
	})
	if err != nil {
		process.End(syscall.SIGKILL)
		return nil, fmt.Errorf("%w\n%s", err, realserver.Tail(p.log))
	}
	return p, nil
}

// ask reads an answer of Prometheus's API.
func (p *prometheusServer) ask(path string, into any) error {
	res, err := http.Get(p.url + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Error string
		Data  json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%s", answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// count returns how many series an expression has now.
func (p *prometheusServer) count(expr string) int {
	p.t.Helper()
	var data struct{ Result []json.RawMessage }
	if err := p.ask("/api/v1/query?query="+url.QueryEscape(expr), &data); err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	return len(data.Result)
}

func (p *prometheusServer) until(what string, holds func() bool) {
	p.t.Helper()
	waitUntil(p.t, what, holds, func() string { return realserver.Tail(p.log) })
}

// rare are metrics that have no series in the example, and why.
var rare = map[string]string{
	"greenroom_pins": "no service has pin", "greenroom_evicted_total": "nothing lasts", "greenroom_streams": "nothing lasts", "greenroom_gate_waiting": "there are no gates",
	"greenroom_resumes_total": "no upstream dies", "greenroom_truncated_total": "no upstream dies", "greenroom_replay_refusals_total": "no upstream dies",
	"greenroom_pools_answered_timestamp_seconds": "no Consul", "greenroom_fleet_epoch": "no Consul", "greenroom_fleet_apart": "no Consul", "greenroom_fleet_failing": "no Consul",
	"greenroom_fleet_write_failing": "no Consul", "greenroom_fleet_values_total": "no Consul",
}

func TestTheObservabilityExampleShowsARealPrometheusWhatItsREADMESays(t *testing.T) {
	here := filepath.Join(t.TempDir(), "observability")
	if err := os.CopyFS(here, os.DirFS(observability)); err != nil {
		t.Fatal(err)
	}
	e := runExample(t, here, "Caddyfile", control.DefaultSocket())
	p := startPrometheus(t)
	if !strings.Contains(fetch(t, "http://localhost:9180/metrics"), `greenroom_active{color="blue",service="app"} 1`) {
		t.Error("the site for another machine's Prometheus has no metrics")
	}
	p.until("Prometheus has scraped the edge", func() bool { return p.count(`greenroom_automatic_rollbacks_total == 0`) > 0 })
	paths := []string{"/cart", "/", "/trailer.mp4", "/media/talk/1.ts?CMCD=" + url.QueryEscape(`bl=2000,bs,mtp=5000,sid="viewer"`)}
	n := 0
	traffic := func() {
		res, err := http.Get("http://localhost:8080" + paths[n%len(paths)])
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		n++
	}
	for range 20 { // some of it before the cutover
		traffic()
	}
	if out := e.cli("cutover", "app", "--to", "green", "--ramp", "50:10m", "--no-wait"); out.code != 0 {
		t.Fatal(out)
	}
	e.until("the traffic is taken back from green", func() bool {
		traffic()
		v := e.view()
		return v.Phase == switcher.Steady && v.Last != nil && v.Last.Result == switcher.ResultAborted && strings.Contains(v.Last.Detail, "errors")
	})
	p.until("the alert fires", func() bool {
		traffic()
		return p.fires("GreenroomAutomaticRollback", "app: localhost:2019 took the traffic back from green, because of its errors.")
	})
	p.rulesAreWell()
	if out := e.cli("cutover", "app", "--to", "green"); out.code != 0 { // without a ramp nothing is compared
		t.Fatal(out)
	}
	var asked []string
	for _, q := range dashboardQueries(t) {
		asked = append(asked, variables.Replace(q.expr))
	}
	for _, q := range ruleQueries(t) { // alerts have no data as a rule, but what they look at has
		for _, s := range readExpression(q.expr).selectors {
			asked = append(asked, s.name+s.matchers)
		}
	}
	waitUntil(t, "all that is asked has data", func() bool {
		traffic()
		asked = slices.DeleteFunc(asked, func(expr string) bool { return p.count(expr) > 0 || isRare(expr) })
		return len(asked) == 0
	}, func() string { return "without: " + strings.Join(asked, "\n") })
}

// isRare reports whether an expression asks for what has no series in the example.
func isRare(expr string) bool {
	return slices.ContainsFunc(readExpression(expr).selectors, func(s selector) bool { return rare[s.name] != "" })
}

// fires reports whether an alert fires, with a summary.
func (p *prometheusServer) fires(alert, summary string) bool {
	p.t.Helper()
	var data struct {
		Alerts []struct {
			State               string
			Labels, Annotations map[string]string
		}
	}
	if err := p.ask("/api/v1/alerts", &data); err != nil {
		p.t.Fatal(err)
	}
	for _, a := range data.Alerts {
		if a.Labels["alertname"] == alert && a.State == "firing" {
			if a.Annotations["summary"] != summary {
				p.t.Fatalf("the summary is %q", a.Annotations["summary"])
			}
			return true
		}
	}
	return false
}

// rulesAreWell wants every rule to have been evaluated without an error.
func (p *prometheusServer) rulesAreWell() {
	p.t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError string
				LastEvaluation          time.Time
			}
		}
	}
	if err := p.ask("/api/v1/rules", &data); err != nil {
		p.t.Fatal(err)
	}
	seen := 0
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			seen++
			if r.Health != "ok" || r.LastEvaluation.IsZero() {
				p.t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if want := len(readRules(p.t)); seen != want {
		p.t.Errorf("Prometheus has %d rules, rules.yml %d", seen, want)
	}
}
