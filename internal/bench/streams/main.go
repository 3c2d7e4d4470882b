// Streams measures what one idle stream costs a proxy in memory: Greenroom's,
// built from this tree, stock Caddy's reverse_proxy, and HAProxy's, in one run,
// for WebSockets and for server-sent events.
//
// Each proxy runs alone, in a process of its own for each kind. It is warmed up
// with streams that are closed again, so that what it holds anyway is not
// counted. Then the streams are opened, over plaintext HTTP/1.1 and to one
// upstream in this process, one message is passed on each, and they fall silent.
// The resident memory (VmRSS) is read before and after, each time once it has
// stopped changing, and of the Go programs twice: as it stands, and behind a
// garbage collection on either side, as Go's own comes when it likes and leaves
// up to as much garbage as there is memory in use. GOGC is not touched. The
// ratios are of the latter.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

var kinds = []rig.Kind{rig.ServerEvents, rig.WebSocket}

func main() {
	n := flag.Int("n", 5000, "streams of each kind, 1 to 20000")
	root := flag.String("root", "../..", "where Greenroom's source is")
	asJSON := flag.String("json", "", "a file for the results")
	only := flag.String("only", "", "the proxies to measure, with commas between (default: all)")
	profiles := flag.String("profiles", "", "a directory for the heap and goroutine profiles of the Go programs, taken while the streams are open")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *n, *root, *only, *asJSON, *profiles); err != nil {
		fmt.Fprintln(os.Stderr, "bench-streams:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n int, root, only, asJSON, profiles string) error {
	if n < 1 || n > 20000 { // one address has so many ports
		return fmt.Errorf("-n %d: want 1 to 20000", n)
	}
	if err := rig.AllowFiles(uint64(2 * (n + rig.SpareFiles))); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-streams")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	proxies, err := build(ctx, root, dir, n)
	if err != nil {
		return err
	}
	up, err := rig.NewUpstream()
	if err != nil {
		return err
	}
	defer up.Close()
	report := report{Streams: n}
	for _, kind := range kinds {
		for _, p := range proxies {
			if only != "" && !slices.Contains(strings.Split(only, ","), p.Name) {
				continue
			}
			r := result{Proxy: p.Name, Version: p.Version, Kind: kind}
			holding := rig.Holding{Kind: kind, N: n, Settled: rig.Settled, Profiles: profiles}
			r.Before, r.After, err = holding.Measure(ctx, &p, up, filepath.Join(dir, p.Name+"-"+string(kind)))
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.Name, kind, err)
			}
			r.perStream(n)
			report.Results = append(report.Results, r)
		}
	}
	if err := report.print(os.Stdout); err != nil || asJSON == "" {
		return err
	}
	return rig.WriteJSON(asJSON, report)
}
