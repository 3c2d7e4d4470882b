// Media measures what it costs to serve media: Greenroom's media_edge, built
// from this tree, nginx's proxy_cache, and stock Caddy's reverse_proxy, in one
// run. Stock Caddy has no cache: it asks the origin each time, so that hot and
// cold are the same to it.
//
// nginx comes twice, if its slice module is built in: nginx-slice fetches and
// keeps slices of 1 MiB, as Greenroom does its blocks, while plain nginx fetches
// all of an object for a range of it.
//
// For each workload and each round the servers come one after the other, each
// as a fresh process with nothing kept. For what is hot they are first asked for
// everything, until none of it reaches the origin any more. The origin and the
// clients are processes of their own, and all is on loopback, over plaintext
// HTTP/1.1. The files that nginx keeps are in memory (tmpfs) where there is
// room, as if its disk took no time; they are counted beside its memory.
//
// What counts is CPU seconds per GB, user and system, of the server with its
// children. How many GB come in a second is beside it, and says less: the
// clients, the origin and whatever else runs want the same processors.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// roles are the processes beside the servers.
var roles = map[string]rig.Role{"origin": serveOrigin, "load": serveLoad}

// options are what the command line says.
type options struct {
	scale
	rounds                 int
	span                   time.Duration
	root, servers, loads   string
	asJSON, profiles, work string
}

func main() {
	rig.Play(roles)
	var o options
	flag.IntVar(&o.connections, "n", 16, "connections, 1 to 1000")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; what is reported is the median")
	flag.DurationVar(&o.span, "for", time.Second, "how long each hot measurement takes")
	flag.StringVar(&o.root, "root", "../..", "where Greenroom's source is")
	flag.StringVar(&o.servers, "only", "", "the servers to measure, with commas between (default: all)")
	flag.StringVar(&o.loads, "workloads", "", "the workloads, with commas between (default: all)")
	flag.StringVar(&o.asJSON, "json", "", "a file for the results, those of each round too")
	flag.StringVar(&o.profiles, "profiles", "", "a directory for profiles of the Go programs; taken after the measurements, in a round more")
	flag.StringVar(&o.work, "dir", "", "a directory for what the servers keep (default: /dev/shm if it is a tmpfs with 4 GiB free, else that for temporary files)")
	flag.Parse()
	o.unit, o.few = 1<<20, 1
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-media:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.connections < 1 || o.connections > 1000 || o.rounds < 1 || o.span <= 0 {
		return fmt.Errorf("-n %d, -rounds %d, -for %v: want 1 to 1000, at least 1, more than 0", o.connections, o.rounds, o.span)
	}
	dir, where, err := workDir(o.work)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binaries, err := os.MkdirTemp("", "bench-media") // programs may not run from /dev/shm
	if err != nil {
		return err
	}
	defer os.RemoveAll(binaries)
	servers, err := build(ctx, o.root, binaries)
	if err != nil {
		return err
	}
	servers, err = rig.Only(servers, o.servers, func(s server) string { return s.Name })
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	loads, err := rig.Only(workloads(o.scale), o.loads, func(w workload) string { return w.name })
	if err != nil {
		return fmt.Errorf("-workloads: %w", err)
	}
	b, err := newBench(o, dir)
	if err != nil {
		return err
	}
	defer b.close()
	r := report{Connections: o.connections, Rounds: o.rounds, Where: where}
	if err := b.measure(ctx, servers, loads, &r); err != nil {
		return err
	}
	if err := r.print(os.Stdout); err != nil {
		return err
	}
	if o.profiles != "" {
		if err := b.profile(ctx, servers, loads); err != nil {
			return err
		}
	}
	if o.asJSON == "" {
		return nil
	}
	return rig.WriteJSON(o.asJSON, r)
}

// workDir makes a directory, and says on what it lies.
func workDir(in string) (dir, where string, err error) {
	const tmpfs, shm = 0x01021994, "/dev/shm"
	var fs syscall.Statfs_t
	if in == "" && syscall.Statfs(shm, &fs) == nil && fs.Type == tmpfs && fs.Bavail*uint64(fs.Bsize) >= 4<<30 {
		in = shm
	}
	if dir, err = os.MkdirTemp(in, "bench-media"); err != nil {
		return "", "", err
	}
	if err := syscall.Statfs(dir, &fs); err != nil {
		return "", "", err
	}
	if fs.Type == tmpfs {
		return dir, "tmpfs", nil
	}
	return dir, "a disk", nil
}
