package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// result is one proxy with one kind of stream.
type result struct {
	Proxy   string      `json:"proxy"`
	Version string      `json:"version"`
	Kind    rig.Kind    `json:"kind"`
	Before  rig.Reading `json:"before"`
	After   rig.Reading `json:"after"`
	// Per stream: KiB behind a garbage collection, what of that is stacks, KiB
	// as they stand, and goroutines.
	KiB        float64 `json:"kib_per_stream"`
	StacksKiB  float64 `json:"stacks_kib_per_stream"`
	KiBAsIs    float64 `json:"kib_per_stream_uncollected"`
	Goroutines float64 `json:"goroutines_per_stream"`
}

func (r *result) perStream(n int) {
	r.KiB = float64(r.After.CollectedKiB-r.Before.CollectedKiB) / float64(n)
	r.StacksKiB = float64(r.After.StacksKiB-r.Before.StacksKiB) / float64(n)
	r.KiBAsIs = float64(r.After.KiB-r.Before.KiB) / float64(n)
	r.Goroutines = float64(r.After.Goroutines-r.Before.Goroutines) / float64(n)
}

// report is a whole run.
type report struct {
	Streams int      `json:"streams"`
	Results []result `json:"results"`
}

// of finds a result.
func (r *report) of(proxy string, k rig.Kind) (found result) {
	for _, x := range r.Results {
		if x.Proxy == proxy && x.Kind == k {
			return x
		}
	}
	return found
}

func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "Resident memory per idle stream, %d of each kind, HTTP/1.1 plaintext on both sides\n\n", r.Streams)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "kind\tproxy\tKiB per stream\tof it stacks\tbefore a GC\tgoroutines\t÷ caddy\t÷ haproxy\tversion")
	for _, x := range r.Results {
		stacks, asIs, goroutines := "-", "-", "-"
		if x.Before.Goroutines > 0 {
			stacks, asIs, goroutines = fmt.Sprintf("%.1f", x.StacksKiB), fmt.Sprintf("%.1f", x.KiBAsIs), fmt.Sprintf("%.1f", x.Goroutines)
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Kind, x.Proxy, x.KiB, stacks, asIs, goroutines,
			rig.Ratio(x.KiB, r.of("caddy", x.Kind).KiB), rig.Ratio(x.KiB, r.of("haproxy", x.Kind).KiB), x.Version)
	}
	return t.Flush()
}
