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
	"encoding/json"
	"errors"
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
	if err := allowFiles(uint64(2 * (n + spareFiles))); err != nil {
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
	up, err := newUpstream()
	if err != nil {
		return err
	}
	defer up.close()
	report := report{Streams: n}
	for _, kind := range kinds {
		for _, p := range proxies {
			if only != "" && !slices.Contains(strings.Split(only, ","), p.Name) {
				continue
			}
			r, err := measure(ctx, p, kind, n, up, dir, profiles)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.Name, kind, err)
			}
			report.Results = append(report.Results, r)
		}
	}
	if err := report.print(os.Stdout); err != nil || asJSON == "" {
		return err
	}
	data, err := json.MarshalIndent(report, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(asJSON, append(data, '\n'), 0o644)
}

// spareFiles is for what else has a file, and for HAProxy, which counts with two
// for each connection.
const spareFiles = 600

// allowFiles raises the limit of open files for this process and those that it
// starts; Go would give these the old one back if it had raised it by itself.
func allowFiles(need uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	if limit.Max < need {
		return fmt.Errorf("%d open files are needed and the hard limit is %d: raise it, or take fewer streams with -n", need, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// warmUp is how many streams are opened and closed before the first reading.
const warmUp = 500

// measure runs a proxy and holds n streams open through it.
func measure(ctx context.Context, p rig.Program, k kind, n int, up *upstream, dir, profiles string) (r result, err error) {
	r = result{Proxy: p.Name, Version: p.Version, Kind: k}
	started, err := p.Start(ctx, filepath.Join(dir, p.Name+"-"+string(k)), up.address, "/healthz")
	if err != nil {
		return r, err
	}
	process := process{started}
	defer func() { err = errors.Join(err, process.Stop()) }()

	held, err := open(ctx, process.Address, k, min(n, warmUp))
	if err != nil {
		return r, err
	}
	held.close()
	up.release()
	if r.Before, err = process.read(ctx); err != nil {
		return r, err
	}
	held, err = open(ctx, process.Address, k, n)
	if err != nil {
		return r, err
	}
	defer func() { held.close(); up.release() }()
	if r.After, err = process.read(ctx); err != nil {
		return r, err
	}
	if profiles != "" && process.Profiled() {
		err = process.Keep(ctx, filepath.Join(profiles, p.Name+"-"+string(k)), "heap?gc=1", "goroutine?debug=1")
	}
	r.perStream(n)
	return r, err
}
