package main

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// reading is one proxy, one workload, one round.
type reading struct {
	Outcome outcome       `json:"outcome,omitzero"`
	CPU     time.Duration `json:"cpu_ns,omitempty"`
	// Commands are how long each flip took to be acknowledged.
	Commands []time.Duration `json:"commands_ns,omitempty"`
	Held     int             `json:"held,omitempty"`
	Before   rig.Reading     `json:"before,omitzero"`
	After    rig.Reading     `json:"after,omitzero"`
}

// workload is one kind of load, and what is told of it.
type workload struct {
	name, what string
	plan       func(*bench) plan // nil: it has none of its own
	measure    func(context.Context, *bench, *variant) (reading, error)
	once       bool // in all rounds
	columns    []column
}

// column is a figure.
type column struct {
	key, title string
	decimals   int
	ratio      bool // to that of the base
	of         func([]reading) float64
}

// workloads are all that is measured.
func workloads(o options) []workload {
	load := func(name, what string, plan func(*bench) plan, columns ...column) workload {
		return workload{name: name, what: what, plan: plan, columns: columns, measure: func(ctx context.Context, b *bench, v *variant) (reading, error) {
			return b.under(ctx, v, plan(b))
		}}
	}
	memory := func(name, what string, kind rig.Kind) workload {
		return workload{name: name, what: what, once: true, columns: memoryColumns, measure: func(ctx context.Context, b *bench, v *variant) (reading, error) {
			return b.hold(ctx, v, kind)
		}}
	}
	return []workload{
		load("small", fmt.Sprintf("answers of 1 KiB, %d connections, each sends the next request when it has been answered", o.connections),
			func(b *bench) plan { return plan{Connections: b.connections, For: b.span} },
			column{"rps", "requests/s", 0, true, median(reading.rps)}, p50, p99, cpuPer100k),
		load("rate", fmt.Sprintf("answers of 1 KiB, %d requests/s whatever the answers take; times from when a request was to be sent", o.rate),
			func(b *bench) plan { return plan{Connections: b.connections, For: b.span, Rate: b.rate} },
			p50, p99, p999, column{"delay_p99_ms", "of it the load's own, p99", 3, false, median(func(r reading) float64 { return milliseconds(r.Outcome.Delay.P99) })}),
		load("bulk", fmt.Sprintf("bodies of %d MiB, %d connections, plaintext", o.bulk>>20, o.readers),
			func(b *bench) plan { return plan{Connections: b.readers, For: b.span, Bulk: b.bulk} },
			column{"gb_per_second", "GB/s", 2, true, median(reading.gbPerSecond)},
			column{"cpu_s_per_gb", "CPU s per GB", 3, true, median(reading.cpuPerGB)}),
		memory("idle", fmt.Sprintf("memory of %d idle connections, once", o.held), rig.KeepAlive),
		memory("sse", fmt.Sprintf("memory of %d silent streams of events, once", o.held), rig.ServerEvents),
		{name: "flip", what: fmt.Sprintf("%d flips in each round, under %d requests/s and %d streams of events", o.flips, o.rate, o.streams),
			columns: flipColumns, measure: func(ctx context.Context, b *bench, v *variant) (reading, error) { return b.flip(ctx, v) }},
	}
}

// The figures of several workloads.
var (
	p50        = column{"p50_ms", "p50 ms", 3, true, median(func(r reading) float64 { return milliseconds(r.Outcome.Latency.P50) })}
	p99        = column{"p99_ms", "p99 ms", 3, true, median(func(r reading) float64 { return milliseconds(r.Outcome.Latency.P99) })}
	p999       = column{"p999_ms", "p99.9 ms", 3, true, median(func(r reading) float64 { return milliseconds(r.Outcome.Latency.P999) })}
	cpuPer100k = column{"cpu_s_per_100k", "CPU s per 100k", 2, true, median(reading.cpuPer100k)}

	memoryColumns = []column{
		{"kib", "KiB each", 1, true, median(func(r reading) float64 { return r.each(r.Before.CollectedKiB, r.After.CollectedKiB) })},
		{"pss_kib", "by PSS", 1, true, median(func(r reading) float64 { return r.each(r.Before.PSSKiB, r.After.PSSKiB) })},
		{"uncollected_kib", "before a GC", 1, false, median(func(r reading) float64 { return r.each(r.Before.KiB, r.After.KiB) })},
	}

	flipColumns = []column{
		{"command_p50_ms", "command p50 ms", 2, true, func(all []reading) float64 { return milliseconds(commands(all).P50) }},
		{"command_p99_ms", "p99 ms", 2, true, func(all []reading) float64 { return milliseconds(commands(all).P99) }},
		{"requests", "requests", 0, false, sum(func(r reading) int {
			return int(r.Outcome.Requests) + r.Outcome.Verdict.Failed + r.Outcome.Verdict.Unanswered
		})},
		{"failed", "failed", 0, false, sum(func(r reading) int { return r.Outcome.Verdict.Failed })},
		{"unanswered", "to send again", 0, false, sum(func(r reading) int { return r.Outcome.Verdict.Unanswered })},
		{"stale", "stale", 0, false, sum(func(r reading) int { return r.Outcome.Verdict.Stale })},
		{"stale_p50_ms", "for p50 ms", 1, false, median(func(r reading) float64 { return milliseconds(r.Outcome.Verdict.StaleFor.P50) })},
		{"cut", "streams cut", 0, false, sum(func(r reading) int { return r.Outcome.Verdict.Cut })},
		{"p99_ms", "requests' p99 ms", 2, true, p99.of},
	}
)

func median(of func(reading) float64) func([]reading) float64 {
	return func(all []reading) float64 { return rig.Median(all, of) }
}

func sum(of func(reading) int) func([]reading) float64 {
	return func(all []reading) (total float64) {
		for _, r := range all {
			total += float64(of(r))
		}
		return total
	}
}

// commands are those of all rounds.
func commands(all []reading) quantiles {
	var times []time.Duration
	for _, r := range all {
		times = append(times, r.Commands...)
	}
	return quantilesOf(times)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

const gigabyte = 1e9

func (r reading) rps() float64 { return float64(r.Outcome.Requests) / r.Outcome.Took.Seconds() }

func (r reading) cpuPer100k() float64 {
	return r.CPU.Seconds() / (float64(r.Outcome.Requests) / 1e5)
}

func (r reading) gbPerSecond() float64 {
	return float64(r.Outcome.Bytes) / gigabyte / r.Outcome.Took.Seconds()
}

func (r reading) cpuPerGB() float64 { return r.CPU.Seconds() / (float64(r.Outcome.Bytes) / gigabyte) }

func (r reading) each(before, after int64) float64 { return float64(after-before) / float64(r.Held) }
