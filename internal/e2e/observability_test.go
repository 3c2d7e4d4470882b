package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const observability = "../../examples/observability"

// ruleFile is what is read of rules.yml.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []promRule
	}
}

type promRule struct {
	Record, Alert, Expr, For string
	Labels                   map[string]string
	Annotations              map[string]string
}

// testFile is what is read of rules_test.yml.
type testFile struct {
	Tests []struct {
		Queries []struct {
			Expr    string
			Samples []any `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
}

// dashboard is what is read of dashboard.json.
type dashboard struct {
	Annotations struct {
		List []struct {
			Name, Expr, TitleFormat, TextFormat, TagKeys string
			Datasource                                   datasource
		}
	}
	Panels []panel
}

type datasource struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  datasource
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

// query is an expression of the example, from the rules or the dashboard.
type query struct {
	where string
	expr  string
	shown []string // labels that a legend or an annotation uses
}

func readRules(t *testing.T) (rules []promRule) {
	t.Helper()
	var f ruleFile
	readYAML(t, "rules.yml", &f)
	for _, g := range f.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal(readObservability(t, name), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readObservability(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(observability, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal(readObservability(t, "dashboard.json"), &d); err != nil {
		t.Fatalf("dashboard.json: %v", err)
	}
	return d
}

var (
	ruleLabel   = regexp.MustCompile(`\$labels\.([a-z_]+)`)
	legendLabel = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)
)

// labelsIn are the labels that a text shows.
func labelsIn(pattern *regexp.Regexp, text string) (labels []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		labels = append(labels, m[1])
	}
	return labels
}

func ruleQueries(t *testing.T) (queries []query) {
	for _, r := range readRules(t) {
		shown := labelsIn(ruleLabel, r.Annotations["summary"]+r.Annotations["description"])
		if level, _, recorded := strings.Cut(r.Record, ":"); recorded {
			shown = strings.Split(level, "_")
		}
		queries = append(queries, query{"rules.yml, " + r.Record + r.Alert, r.Expr, shown})
	}
	return queries
}

// dashboardQueries have the variables in them that Grafana replaces.
func dashboardQueries(t *testing.T) (queries []query) {
	d := readDashboard(t)
	for _, a := range d.Annotations.List {
		shown := labelsIn(legendLabel, a.TitleFormat+a.TextFormat)
		queries = append(queries, query{"dashboard.json, annotation " + a.Name, a.Expr, append(shown, strings.Split(a.TagKeys, ",")...)})
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, query{fmt.Sprintf("dashboard.json, panel %d %s %s", p.ID, p.Title, target.RefID), target.Expr, labelsIn(legendLabel, target.LegendFormat)})
		}
	}
	return queries
}

// variables are what Grafana puts in when all is chosen, but for short ranges.
var variables = strings.NewReplacer("$service", ".*", "$edge", ".*", "$__rate_interval", "10s", "$__range", "5m")

func TestEachMetricAndLabelOfTheRulesAndTheDashboardIsExported(t *testing.T) {
	exported := exportedMetrics(t, readObservability(t, "Caddyfile"))
	if len(exported) < 40 {
		t.Fatalf("only %d metrics are exported: %v", len(exported), exported)
	}
	recorded := make(map[string]bool)
	for _, r := range readRules(t) {
		recorded[r.Record] = true
	}
	for _, q := range append(ruleQueries(t), dashboardQueries(t)...) {
		e := readExpression(q.expr)
		if err := e.check(exported, q.shown); err != nil {
			t.Errorf("%s: %v", q.where, err)
		}
		for _, s := range e.selectors {
			if strings.Contains(s.name, ":") && !recorded[s.name] {
				t.Errorf("%s: no rule records %s", q.where, s.name)
			}
		}
	}
}

// quoted is a command in a text for operators.
var quoted = regexp.MustCompile(`"greenroom ([a-z-]+)([^"]*)"`)

func TestEachAlertSaysWhatToDoByCommandsThatThereAre(t *testing.T) {
	e := &edge{t: t, dir: t.TempDir(), log: new(syncBuffer)}
	help := make(map[string]string)
	readme := string(readObservability(t, "README.md"))
	for _, r := range readRules(t) {
		if r.Alert == "" {
			continue
		}
		if severity := r.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q", r.Alert, severity)
		}
		if !strings.HasSuffix(r.Annotations["summary"], ".") || !strings.Contains(readme, "| `"+r.Alert+"` ") {
			t.Errorf("%s: no sentence as summary, or no line in README.md", r.Alert)
		}
		commands := quoted.FindAllStringSubmatch(r.Annotations["description"], -1)
		if len(commands) == 0 {
			t.Errorf("%s: the description names no command", r.Alert)
		}
		for _, c := range commands {
			if help[c[1]] == "" {
				out := e.cli(c[1], "--help")
				if out.code != 0 {
					t.Errorf("%s: greenroom %s: %s", r.Alert, c[1], out)
				}
				help[c[1]] = out.stdout + " "
			}
			for word := range strings.FieldsSeq(c[2]) {
				if strings.HasPrefix(word, "--") && !strings.Contains(help[c[1]], word+" ") {
					t.Errorf("%s: greenroom %s knows no %s", r.Alert, c[1], word)
				}
			}
		}
	}
}

func TestEachAlertIsTestedToFireAndNotToFire(t *testing.T) {
	var f testFile
	readYAML(t, "rules_test.yml", &f)
	fires, silent := make(map[string]bool), make(map[string]bool)
	for _, test := range f.Tests {
		for _, q := range test.Queries {
			if len(q.Samples) > 0 {
				fires[q.Expr] = true
			} else {
				silent[q.Expr] = true
			}
		}
	}
	for _, r := range readRules(t) {
		firing := fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing"}`, r.Alert)
		if r.Alert != "" && (!fires[firing] || !silent[firing]) {
			t.Errorf("%s: tested to fire: %t, and not to fire: %t", r.Alert, fires[firing], silent[firing])
		}
	}
}

// promtool runs it in the folder of the example.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed: on Debian, apt-get install --no-install-recommends prometheus")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = observability
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolFindsNothingWrong(t *testing.T) {
	promtool(t, "check", "rules", "rules.yml")
	promtool(t, "check", "config", "prometheus.yml")
	promtool(t, "test", "rules", "rules_test.yml")
	var rules []map[string]string
	for i, q := range dashboardQueries(t) {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("dashboard:query_%d", i), "expr": variables.Replace(q.expr)})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

func TestTheDashboardAsksTheChosenPrometheusAndItsPanelsFit(t *testing.T) {
	d := readDashboard(t)
	chosen := datasource{"prometheus", "${datasource}"}
	for _, a := range d.Annotations.List {
		if a.Datasource != chosen {
			t.Errorf("annotation %s asks %v", a.Name, a.Datasource)
		}
	}
	for i, p := range d.Panels {
		at := p.GridPos
		if at.X < 0 || at.W < 1 || at.X+at.W > 24 || at.H < 1 {
			t.Errorf("panel %d is at %v", p.ID, at)
		}
		if p.Type != "row" && (p.Datasource != chosen || p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d asks %v for %d, and says %q", p.ID, p.Datasource, len(p.Targets), p.Description)
		}
		for _, o := range d.Panels[:i] {
			on := o.GridPos
			if o.ID == p.ID {
				t.Errorf("two panels are number %d", p.ID)
			}
			if at.X < on.X+on.W && on.X < at.X+at.W && at.Y < on.Y+on.H && on.Y < at.Y+at.H {
				t.Errorf("panels %d and %d overlap", o.ID, p.ID)
			}
		}
		if refs := slices.Clone(p.Targets); len(refs) > 0 {
			for j, target := range refs {
				if target.RefID != string(rune('A'+j)) {
					t.Errorf("panel %d: target %d is %q", p.ID, j, target.RefID)
				}
			}
		}
	}
}
