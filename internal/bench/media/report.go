package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// reading is one server, one workload, one round.
type reading struct {
	Delivered delivered     `json:"delivered"`
	Origin    counts        `json:"origin"`
	CPU       time.Duration `json:"cpu_ns"`
	PeakKiB   int64         `json:"peak_rss_kib"`
	KeptKiB   int64         `json:"files_kib,omitempty"`
}

const gigabyte = 1e9

func (r reading) gigabytesPerSecond() float64 {
	return float64(r.Delivered.Bytes) / gigabyte / r.Delivered.Took.Seconds()
}

func (r reading) secondsPerGigabyte() float64 {
	return r.CPU.Seconds() / (float64(r.Delivered.Bytes) / gigabyte)
}

func (r reading) requestsPerSecond() float64 {
	return float64(r.Delivered.Requests) / r.Delivered.Took.Seconds()
}

func (r reading) secondsPerHundredThousand() float64 {
	return r.CPU.Seconds() / (float64(r.Delivered.Requests) / 1e5)
}

// result is one server with one workload. Rates, times and sizes are medians of
// the rounds; counts are those of the round with the most.
type result struct {
	Server   string `json:"server"`
	Version  string `json:"version"`
	Workload string `json:"workload"`
	What     string `json:"what"`
	// By counts requests instead of bytes, as it is for playlists.
	ByRequests bool `json:"by_requests,omitempty"`

	GBPerSecond       float64 `json:"gb_per_second"`
	CPUPerGB          float64 `json:"cpu_seconds_per_gb"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	CPUPer100k        float64 `json:"cpu_seconds_per_100k_requests"`

	Requests int64  `json:"requests"`
	Compared int64  `json:"compared"`
	Origin   counts `json:"origin"`
	PeakKiB  int64  `json:"peak_rss_kib"`
	KeptKiB  int64  `json:"files_kib,omitempty"`

	Rounds []reading `json:"rounds"`
}

func newResult(s server, w workload, rounds []reading) result {
	r := result{Server: s.Name, Version: s.Version, Workload: w.name, What: w.what, ByRequests: w.small, Rounds: rounds}
	r.GBPerSecond = rig.Median(rounds, reading.gigabytesPerSecond)
	r.CPUPerGB = rig.Median(rounds, reading.secondsPerGigabyte)
	r.RequestsPerSecond = rig.Median(rounds, reading.requestsPerSecond)
	r.CPUPer100k = rig.Median(rounds, reading.secondsPerHundredThousand)
	r.PeakKiB = rig.Median(rounds, func(r reading) int64 { return r.PeakKiB })
	r.KeptKiB = rig.Median(rounds, func(r reading) int64 { return r.KeptKiB })
	for _, one := range rounds {
		r.Requests = max(r.Requests, one.Delivered.Requests)
		r.Compared = max(r.Compared, one.Delivered.Compared)
		r.Origin = counts{max(r.Origin.Requests, one.Origin.Requests), max(r.Origin.Bytes, one.Origin.Bytes)}
	}
	return r
}

// rate and cost are what the workload counts by.
func (r result) rate() float64 {
	if r.ByRequests {
		return r.RequestsPerSecond
	}
	return r.GBPerSecond
}

func (r result) cost() float64 {
	if r.ByRequests {
		return r.CPUPer100k
	}
	return r.CPUPerGB
}

// report is a whole run.
type report struct {
	Connections int      `json:"connections"`
	Rounds      int      `json:"rounds"`
	Where       string   `json:"files_on"`
	Results     []result `json:"results"`
}

// of finds a result; one that is not there is zero.
func (r *report) of(server, workload string) result {
	for _, x := range r.Results {
		if x.Server == server && x.Workload == workload {
			return x
		}
	}
	return result{}
}

func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "Media over HTTP/1.1 plaintext on loopback, %d connections, medians of %d rounds; ×: greenroom is 1; nginx keeps files on %s\n",
		r.Connections, r.Rounds, r.Where)
	fmt.Fprintln(w, "caddy has no cache: all that it is asked for comes from the origin, hot or cold")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := ""
	for _, x := range r.Results {
		if x.Workload != last {
			last = x.Workload
			columns := "GB/s\t×\tCPU s per GB\t×"
			if x.ByRequests {
				columns = "requests/s\t×\tCPU s per 100k\t×"
			}
			fmt.Fprintf(t, "\n%s: %s\nserver\t%s\trequests\tto the origin\tMB from it\tpeak RSS MiB\tfiles MiB\tversion\n", x.Workload, x.What, columns)
		}
		base := r.of("greenroom", x.Workload)
		fmt.Fprintf(t, "%s\t%.*f\t%s\t%.3f\t%s\t%d\t%d\t%.0f\t%d\t%d\t%s\n", x.Server, decimals(x.ByRequests), x.rate(), rig.Ratio(x.rate(), base.rate()),
			x.cost(), rig.Ratio(x.cost(), base.cost()), x.Requests, x.Origin.Requests, float64(x.Origin.Bytes)/1e6, x.PeakKiB>>10, x.KeptKiB>>10, x.Version)
	}
	return t.Flush()
}

func decimals(byRequests bool) int {
	if byRequests {
		return 0
	}
	return 2
}
