package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

func TestTheTableHasMediansAndRatios(t *testing.T) {
	one := func(requests int64, cpu time.Duration) reading {
		return reading{Outcome: outcome{Requests: requests, Took: time.Second, Latency: quantiles{P50: time.Millisecond, P99: 2 * time.Millisecond}}, CPU: cpu}
	}
	flipped := func(took time.Duration, failed int) reading {
		return reading{Outcome: outcome{Requests: 10, Verdict: &verdict{Failed: failed, Stale: 1}}, Commands: []time.Duration{took, took, took}}
	}
	all := workloads(options{connections: 64, rate: 2000, flips: 3})
	small, flips := all[0], all[5]
	ours, theirs := variant{what: "fast"}, variant{what: "slow"}
	ours.Name, ours.Version, theirs.Name, theirs.Version = "greenroom", "v1", base, "v2"
	r := report{Rounds: 3, CPUs: 2, Load: "0.1", Results: []result{
		newResult(ours, small, []reading{one(1e5, 4*time.Second), one(2e5, time.Second), one(4e5, 12*time.Second)}),
		newResult(theirs, small, []reading{one(1e5, 8*time.Second)}),
		newResult(ours, flips, []reading{flipped(time.Millisecond, 0), flipped(5*time.Millisecond, 0), flipped(2*time.Millisecond, 0)}),
		newResult(theirs, flips, []reading{flipped(4*time.Millisecond, 1), flipped(4*time.Millisecond, 2)}),
	}}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()[strings.Index(out.String(), "\n\nsmall"):]), " ")
	for _, want := range []string{
		"greenroom 200000 2.00 1.000 1.00 2.000 1.00 3.00 0.38 caddy 100000 1.00 1.000 1.00 2.000 1.00 8.00 1.00",
		"greenroom 2.00 0.50 5.00 1.25 30 0 0 3 0.0 0", "caddy 4.00 1.00 4.00 1.00 23 3 0 2 0.0 0",
		"greenroom v1; fast caddy v2; slow",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
}

func TestTheChartIsAnSVGWithTheFiguresOfTheReport(t *testing.T) {
	r := report{Results: []result{
		{Proxy: "greenroom", Workload: "small", Figures: map[string]float64{"cpu_s_per_100k": 3.25}},
		{Proxy: "a<b", Workload: "small", Figures: map[string]float64{"cpu_s_per_100k": 123.4}},
		{Proxy: "greenroom", Workload: "flip", Figures: map[string]float64{"command_p50_ms": 0}},
	}}
	c := r.chart()
	for d := xml.NewDecoder(strings.NewReader(c)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, c)
		}
	}
	for _, want := range []string{">3.25<", ">123<", ">a&lt;b<", "seconds per 100,000 requests", ">0.00<", `class="ours"`} {
		if !strings.Contains(c, want) {
			t.Errorf("%q is not in %s", want, c)
		}
	}
	if strings.Contains(c, "per GB") || strings.Contains(c, "NaN") {
		t.Errorf("a panel without figures, or a figure that is none: %s", c)
	}
}

func TestMemoryIsPerConnection(t *testing.T) {
	r := reading{Held: 100, Before: rig.Reading{KiB: 1000, CollectedKiB: 500, PSSKiB: 400}, After: rig.Reading{KiB: 6000, CollectedKiB: 2500, PSSKiB: 1400}}
	var got []float64
	for _, c := range memoryColumns {
		got = append(got, c.of([]reading{r}))
	}
	if got[0] != 20 || got[1] != 10 || got[2] != 50 {
		t.Error(got)
	}
}
