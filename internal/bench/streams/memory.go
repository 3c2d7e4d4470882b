package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// parseStacks finds the memory of the goroutines' stacks in a heap profile with
// debug=1, which ends with what runtime.MemStats says.
func parseStacks(profile string) (kib int64, err error) {
	_, rest, found := strings.Cut(profile, "\n# Stack = ")
	if !found {
		return 0, errors.New("the heap profile says nothing of stacks")
	}
	var inUse int64
	_, err = fmt.Sscanf(rest, "%d", &inUse)
	return inUse >> 10, err
}

// When memory counts as settled: it has stayed within a band for a while. Go
// gives memory back in the background, a little at a time.
const (
	settleBand = 256 // KiB
	settleFor  = 4 * time.Second
)

// settling follows a process's memory. The zero value has seen nothing.
type settling struct {
	low, high int64
	since     time.Time
}

// settled takes one more reading.
func (s *settling) settled(kib int64, now time.Time) bool {
	s.low, s.high = min(s.low, kib), max(s.high, kib)
	if s.since.IsZero() || s.high-s.low > settleBand {
		*s = settling{kib, kib, now}
	}
	return now.Sub(s.since) >= settleFor
}

// reading is the state of a process.
type reading struct {
	// KiB is the resident memory as it stands, CollectedKiB behind a garbage
	// collection; the same where there is none.
	KiB          int64 `json:"kib"`
	CollectedKiB int64 `json:"collected_kib"`
	// StacksKiB is what of it is the stacks of Goroutines.
	StacksKiB  int64 `json:"stacks_kib,omitempty"`
	Goroutines int   `json:"goroutines,omitempty"`
}

// result is one proxy with one kind of stream.
type result struct {
	Proxy   string  `json:"proxy"`
	Version string  `json:"version"`
	Kind    kind    `json:"kind"`
	Before  reading `json:"before"`
	After   reading `json:"after"`
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
func (r *report) of(proxy string, k kind) (found result) {
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
			ratio(x.KiB, r.of("caddy", x.Kind).KiB), ratio(x.KiB, r.of("haproxy", x.Kind).KiB), x.Version)
	}
	return t.Flush()
}

func ratio(a, b float64) string {
	if b <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
