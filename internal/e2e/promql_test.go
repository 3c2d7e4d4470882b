package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // as in the binary
	"github.com/prometheus/client_golang/prometheus"

	_ "github.com/greenroom-proxy/greenroom/proxy" // as in the binary
)

// registryApp is a Caddy app that keeps the registry of the config that it is in.
type registryApp struct{}

var registryOfConfig *prometheus.Registry

func init() { caddy.RegisterModule(registryApp{}) }

func (registryApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "e2e_registry", New: func() caddy.Module { return new(registryApp) }}
}

func (*registryApp) Provision(ctx caddy.Context) error {
	registryOfConfig = ctx.GetMetricsRegistry()
	return nil
}

func (*registryApp) Start() error { return nil }
func (*registryApp) Stop() error  { return nil }

// described is what a metric says of itself: prometheus.Desc tells it only so.
var described = regexp.MustCompile(`^Desc\{fqName: "(greenroom_[a-z0-9_]+)",.*, variableLabels: \{([a-z_,]*)\}\}$`)

// exportedMetrics are the labels of each metric of Greenroom, as Caddy's registry
// has them for a config: also of those that have no series yet.
func exportedMetrics(t *testing.T, caddyfile []byte) map[string][]string {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile, nil)
	if err != nil {
		t.Fatal(err)
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	config.AppsRaw["e2e_registry"] = []byte("{}")
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		"default": {BaseLog: caddy.BaseLog{WriterRaw: []byte(`{"output":"discard"}`)}},
	}}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc)
	go func() { defer close(descs); registryOfConfig.Describe(descs) }()
	metrics := make(map[string][]string)
	for d := range descs {
		if m := described.FindStringSubmatch(d.String()); m != nil {
			metrics[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' })
		} else if strings.Contains(d.String(), `fqName: "greenroom`) {
			t.Errorf("cannot be read: %s", d)
		}
	}
	return metrics
}

// scraped are the labels that Prometheus adds.
var scraped = []string{"job", "instance"}

// labelsOf returns the labels of a series by its name: one that is exported, one
// that a rule records, whose name begins with them, or Prometheus's own "up". What
// is a histogram nobody tells: that comes to light when a real Prometheus is asked.
func labelsOf(exported map[string][]string, name string) ([]string, error) {
	if level, _, recorded := strings.Cut(name, ":"); recorded {
		return strings.Split(level, "_"), nil
	}
	if name == "up" {
		return scraped, nil
	}
	if labels, known := exported[name]; known {
		return append(slices.Clone(labels), scraped...), nil
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if base, cut := strings.CutSuffix(name, part); cut && !strings.HasSuffix(base, "_total") {
			if labels, known := exported[base]; known {
				return append(append(slices.Clone(labels), scraped...), "le"), nil
			}
		}
	}
	return nil, fmt.Errorf("there is no metric %s", name)
}

var (
	promRange    = regexp.MustCompile(`\[[a-z0-9_$:]+\]`)
	promGrouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	promName     = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{(?:[^}"]|"[^"]*")*\}|\()?`)
	promMatcher  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("[^"]*")`)
	promWords    = []string{"and", "or", "unless", "bool", "offset"}
)

// expression is what is read of a PromQL expression. It is no parser: promtool
// has one, and this knows only which names and labels are used.
type expression struct {
	selectors []selector
	grouped   []string // labels in by (…), on (…) and the like
	kept      []string // the labels of what comes out, nil: all
}

// selector chooses series: app{color="blue"}.
type selector struct {
	name     string
	matchers string // with their braces, or empty
	labels   []string
}

func readExpression(text string) (e expression) {
	for _, m := range promGrouping.FindAllStringSubmatch(text, -1) {
		labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
		e.grouped = append(e.grouped, labels...)
		if m[1] == "by" {
			e.kept = append(e.kept, labels...)
		}
	}
	text = promRange.ReplaceAllString(promGrouping.ReplaceAllString(text, " "), " ")
	for _, m := range promName.FindAllStringSubmatch(text, -1) {
		if m[2] == "(" || slices.Contains(promWords, m[1]) {
			continue
		}
		s := selector{name: m[1], matchers: m[2]}
		for _, l := range promMatcher.FindAllStringSubmatch(m[2], -1) {
			s.labels = append(s.labels, l[1])
		}
		e.selectors = append(e.selectors, s)
	}
	return e
}

// check wants every name and label to be one that there is, and shown, the
// labels that a legend or an annotation uses, among those that come out.
func (e expression) check(exported map[string][]string, shown []string) error {
	if len(e.selectors) == 0 {
		return fmt.Errorf("it asks for no series")
	}
	var all []string
	for _, s := range e.selectors {
		labels, err := labelsOf(exported, s.name)
		if err != nil {
			return err
		}
		for _, l := range s.labels {
			if !slices.Contains(labels, l) {
				return fmt.Errorf("%s has no label %s", s.name, l)
			}
		}
		all = append(all, labels...)
	}
	for _, l := range e.grouped {
		if !slices.Contains(all, l) {
			return fmt.Errorf("none of the metrics has the label %s", l)
		}
	}
	if e.kept == nil {
		e.kept = all
	}
	for _, l := range shown {
		if !slices.Contains(e.kept, l) {
			return fmt.Errorf("the label %s is shown, and %v are left", l, e.kept)
		}
	}
	return nil
}

func TestWhatAnExpressionUsesIsFound(t *testing.T) {
	exported := map[string][]string{"greenroom_a_total": {"service", "color"}, "greenroom_b_seconds": {"service"}}
	for _, c := range []struct{ text, shown, wrong string }{
		{`greenroom_a_total{color="blue"} > 0 and on (service) greenroom_b_seconds`, "service", ""},
		{`sum by (service) (rate(greenroom_a_total{color=~"x}|y", job!="z"}[5m])) / 2`, "service", ""},
		{`histogram_quantile(0.9, sum by (service, le) (rate(greenroom_b_seconds_bucket[$__rate_interval])))`, "le", ""},
		{`service_color:greenroom_a:rate5m{color="blue"}`, "color", ""},
		{`up{job="greenroom"} == 0`, "instance", ""},
		{`greenroom_c_total`, "", "no metric greenroom_c_total"},
		{`greenroom_a_total + a_total`, "", "no metric a_total"},
		{`rate(greenroom_a_total_bucket[5m])`, "", "no metric greenroom_a_total_bucket"},
		{`greenroom_a_total{colour="blue"}`, "", "no label colour"},
		{`greenroom_a_total and greenroom_b_seconds{color="blue"}`, "", "greenroom_b_seconds has no label color"},
		{`sum by (colour) (greenroom_a_total)`, "", "the label colour"},
		{`sum by (service) (greenroom_a_total)`, "color", "the label color is shown"},
		{`service:greenroom_a:rate5m`, "color", "the label color is shown"},
		{`time()`, "", "no series"},
	} {
		var shown []string
		if c.shown != "" {
			shown = []string{c.shown}
		}
		err := readExpression(c.text).check(exported, shown)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.text, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v instead of %q", c.text, err, c.wrong)
		}
	}
}
