// Forward measures what it costs to forward requests, and to flip: Greenroom,
// built from this tree, stock Caddy's reverse_proxy, HAProxy and nginx, in one
// run, over plaintext HTTP/1.1 on loopback.
//
// For each workload and each round the proxies come one after the other, each as
// a fresh process that is warmed up first. Backends and clients are processes of
// their own, and check every answer. The CPU time that is reported is that of the proxy
// with its children, user and system; rates say less, as all want the same
// processors. With fewer processors than threads that are busy, the times that requests take
// are those of a full machine: compare, and do not quote them.
//
// A flip is what an operator of each proxy would do: Greenroom is told on its
// control socket, HAProxy to change a map on its runtime socket, stock Caddy is
// given its config with another upstream on its admin API (as caddy reload does),
// and nginx one by a file and nginx -s reload. The time is until that returns. A
// request is stale that was sent afterwards and answered by the other color all
// the same.
//
// To measure another config, give it a line in the table of variants.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// options are what the command line says.
type options struct {
	connections, rate, flips, streams, held, readers int

	bulk           int64 // bytes
	rounds         int
	span           time.Duration
	pause          time.Duration // between flips
	settled        time.Duration // for how long memory stays where it is before it is read
	root           string
	proxies, loads string
	asJSON, asSVG  string
	profiles       string
}

func main() {
	rig.Play(roles)
	o := options{readers: 4, pause: 50 * time.Millisecond, settled: rig.Settled}
	var mib int64
	flag.IntVar(&o.connections, "n", 64, "connections, 1 to 1000")
	flag.IntVar(&o.rate, "rate", 2000, "requests per second where they do not wait for answers")
	flag.IntVar(&o.flips, "flips", 50, "flips in each round")
	flag.IntVar(&o.streams, "streams", 50, "streams that are open while it is flipped, 0 to 1000")
	flag.IntVar(&o.held, "held", 2000, "idle connections and streams whose memory is measured, 1 to 20000")
	flag.Int64Var(&mib, "bulk", 64, "MiB of a bulk body")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; what is reported is the median")
	flag.DurationVar(&o.span, "for", 3*time.Second, "how long each measurement takes")
	flag.StringVar(&o.root, "root", "../..", "where Greenroom's source is")
	flag.StringVar(&o.proxies, "only", "", "the proxies to measure, with commas between (default: all but greenroom-logged, caddy-lean and caddy-logged)")
	flag.StringVar(&o.loads, "workloads", "", "the workloads, with commas between: small, rate, bulk, idle, sse, flip (default: all)")
	flag.StringVar(&o.asJSON, "json", "", "a file for the results, those of each round too")
	flag.StringVar(&o.asSVG, "svg", "", "a file for a chart")
	flag.StringVar(&o.profiles, "profiles", "", "a directory for profiles of the Go programs; those under load are taken after the measurements, in a round more")
	flag.Parse()
	o.bulk = mib << 20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// check says what of the options is out of range.
func (o options) check() error {
	switch {
	case o.connections < 1 || o.connections > 1000:
		return fmt.Errorf("-n %d: want 1 to 1000", o.connections)
	case o.rate < 1 || o.rate > 1e6:
		return fmt.Errorf("-rate %d: want 1 to 1000000", o.rate)
	case o.flips < 1 || o.flips > 500: // connections have a deadline
		return fmt.Errorf("-flips %d: want 1 to 500", o.flips)
	case o.streams < 0 || o.streams > 1000:
		return fmt.Errorf("-streams %d: want 0 to 1000", o.streams)
	case o.held < 1 || o.held > 20000: // one address has so many ports
		return fmt.Errorf("-held %d: want 1 to 20000", o.held)
	case o.bulk < 1:
		return fmt.Errorf("-bulk: want at least 1")
	case o.rounds < 1 || o.span <= 0:
		return fmt.Errorf("-rounds %d, -for %v: want at least 1, and more than 0", o.rounds, o.span)
	}
	return nil
}

func run(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := rig.AllowFiles(uint64(2 * (max(o.held, o.connections+o.streams) + rig.SpareFiles))); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(o, dir)
	if err != nil {
		return err
	}
	defer b.close()
	proxies, err := build(ctx, o.root, dir, b.at, max(o.held, o.connections+o.streams))
	if err != nil {
		return err
	}
	if proxies, err = choose(proxies, o.proxies); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	loads, err := rig.Only(workloads(o), o.loads, func(w workload) string { return w.name })
	if err != nil {
		return fmt.Errorf("-workloads: %w", err)
	}
	r := report{Rounds: o.rounds, CPUs: runtime.NumCPU(), Load: loadAverage()}
	if err := b.measure(ctx, proxies, loads, &r); err != nil {
		return err
	}
	if err := r.print(os.Stdout); err != nil {
		return err
	}
	if o.asJSON != "" {
		if err := rig.WriteJSON(o.asJSON, r); err != nil {
			return err
		}
	}
	if o.asSVG != "" {
		if err := os.WriteFile(o.asSVG, []byte(r.chart()), 0o644); err != nil {
			return err
		}
	}
	if o.profiles == "" {
		return nil
	}
	return b.profile(ctx, proxies, loads)
}

// loadAverage is how busy the machine is of itself, over 1, 5 and 15 minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
