package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// result is one proxy with one workload.
type result struct {
	Proxy    string `json:"proxy"`
	Config   string `json:"config"`
	Version  string `json:"version"`
	Workload string `json:"workload"`
	What     string `json:"what"`
	// Figures are medians of the rounds; those of flips are of all of them together.
	Figures map[string]float64 `json:"figures"`
	Rounds  []reading          `json:"rounds"`

	columns []column
}

func newResult(v variant, w workload, rounds []reading) result {
	r := result{Proxy: v.Name, Config: v.what, Version: v.Version, Workload: w.name, What: w.what, Rounds: rounds, columns: w.columns, Figures: make(map[string]float64)}
	for _, c := range w.columns {
		r.Figures[c.key] = c.of(rounds)
	}
	return r
}

// report is a whole run.
type report struct {
	Rounds  int      `json:"rounds"`
	CPUs    int      `json:"cpus"`
	Load    string   `json:"load_average_before"`
	Results []result `json:"results"`
}

// of finds a result; one that is not there is zero.
func (r *report) of(proxy, workload string) result {
	for _, x := range r.Results {
		if x.Proxy == proxy && x.Workload == workload {
			return x
		}
	}
	return result{}
}

func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "Over HTTP/1.1 plaintext on loopback, on %d processors that proxy, backends and load share; medians of %d rounds; ×: %s is 1\n",
		r.CPUs, r.Rounds, base)
	fmt.Fprintf(w, "load average before: %s\n", r.Load)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := ""
	for _, x := range r.Results {
		if x.Workload != last {
			last = x.Workload
			fmt.Fprintf(t, "\n%s: %s\nproxy\t", x.Workload, x.What)
			for _, c := range x.columns {
				fmt.Fprint(t, c.title, "\t")
				if c.ratio {
					fmt.Fprint(t, "×\t")
				}
			}
			fmt.Fprintln(t)
		}
		fmt.Fprint(t, x.Proxy, "\t")
		one := r.of(base, x.Workload).Figures
		for _, c := range x.columns {
			fmt.Fprintf(t, "%.*f\t", c.decimals, x.Figures[c.key])
			if c.ratio {
				fmt.Fprint(t, rig.Ratio(x.Figures[c.key], one[c.key]), "\t")
			}
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "\n", r.legend())
	return t.Flush()
}

// legend says what each proxy is.
func (r *report) legend() string {
	var text strings.Builder
	seen := make(map[string]bool)
	for _, x := range r.Results {
		if !seen[x.Proxy] {
			seen[x.Proxy] = true
			fmt.Fprintf(&text, "%s\t%s; %s\n", x.Proxy, x.Version, x.Config)
		}
	}
	return text.String()
}
