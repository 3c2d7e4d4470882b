package proxy

import (
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// comparing is a config with the given line in the block of compare.
func comparing(option string) string { return in("\tcompare {\n\t\t" + option + "\n\t}") }

var compareMistakes = []mistake{
	{"compare with a word", in("\tcompare on"), []string{line, `compare "on": want off`}},
	{"compare off with a block", in("\tcompare off {\n\t\terrors\n\t}"), []string{at, "unexpected block"}},
	{"compare twice", in("\tcompare off\n\tcompare off"), []string{at, "compare is given twice"}},
	{"compare by an unknown metric", comparing("weather"), []string{at, `unknown option "weather"`, "errors, latency"}},
	{"compare a metric twice", in("\tcompare {\n\t\terrors\n\t\terrors off\n\t}"), []string{"Caddyfile:22", "errors is given twice"}},
	{"errors that are no number", comparing("errors many"), []string{at, `errors "many": want off, or how many times`}},
	{"errors that are no share", comparing("errors 2 lots"), []string{at, `errors "lots": want a share`}},
	{"errors above all", comparing("errors 2 101%"), []string{at, `errors "101%": want a share`}},
	{"errors of less than nothing", comparing("errors 2 -1%"), []string{at, `errors "-1%"`}},
	{"errors with too much", comparing("errors 2 1% 3"), []string{at, "errors: want off, or how many times"}},
	{"errors below the margin", comparing("errors 1.1"), []string{`service "app"`, "compare: errors: ratio is 1.1", "1.25"}},
	{"connect errors of NaN times", comparing("connect NaN"), []string{at, `connect "NaN"`}},
	{"starvation of infinite times", comparing("starvation Inf"), []string{at, `starvation "Inf": want off, or how many times`}},
	{"latency without a quantile", comparing("latency 95"), []string{at, `latency "95": want a quantile, as p95`}},
	{"latency of the slowest", comparing("latency p100"), []string{at, `latency "p100"`}},
	{"latency of a quantile too high", comparing("latency p99.9"), []string{"compare: latency: quantile is 0.999"}},
	{"latency of no time", comparing("latency p95 2 soon"), []string{at, `latency "soon": want a duration`}},
	{"latency by too much", comparing("latency p95 2 2m"), []string{"compare: latency: by is 2m"}},
	{"latency with too much", comparing("latency p95 2 1s 3"), []string{at, "latency: want off, or a quantile"}},
	{"too few samples", comparing("min_samples 19"), []string{"compare: min_samples is 19"}},
	{"negative samples", comparing("min_samples -1"), []string{"compare: min_samples is -1"}},
	{"no window", comparing("window"), []string{at, "window: want a short one and a long one"}},
	{"windows of nothing", comparing("window 0s"), []string{at, "window 0"}},
	{"three windows", comparing("window 1m 2m 3m"), []string{at, "window: want a short one"}},
	{"windows the wrong way around", comparing("window 5m 1m"), []string{"compare: long window is 1m0s: want 5m0s"}},
	{"a window too short", comparing("window 1s"), []string{"compare: short window is 1s: want 10s"}},
	{"a negative window", comparing("window -1m 5m"), []string{"compare: short window is -1m0s"}},
	{"a risk too high", comparing("risk 6%"), []string{"compare: risk is 0.06"}},
	{"no risk", comparing("risk 0"), []string{at, `risk "0": want a share above 0`}},
}

func TestAMalformedComparisonIsRefusedWithTheReasonAndChangesNothing(t *testing.T) {
	h := newHouse(t)
	h.load(pair("app", saying(t, "blue"), saying(t, "green"), "ramp 10:1h"), "blue_green app")
	h.healthy("app")
	h.cutover("app", switcher.Green)
	before := standing(h)
	for _, m := range compareMistakes {
		t.Run(m.name, func(t *testing.T) { m.refusedBy(t, h.try(h.caddyfile(m.config, "blue_green app"))) })
	}
	equal(t, "what is in force", standing(h), before)
}
