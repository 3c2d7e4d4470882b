package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// bench is a run.
type bench struct {
	options
	dir          string
	origin, load *rig.Actor
	upstream     string
}

func newBench(o options, dir string) (*bench, error) {
	b := &bench{options: o, dir: dir}
	var err error
	if b.origin, err = rig.Cast("origin"); err != nil {
		return nil, err
	}
	if b.load, err = rig.Cast("load"); err != nil {
		return nil, errors.Join(err, b.origin.Leave())
	}
	if err := b.origin.Hear(&b.upstream); err != nil {
		return nil, errors.Join(fmt.Errorf("the origin has not started: %w", err), b.close())
	}
	return b, nil
}

func (b *bench) close() error { return errors.Join(b.load.Leave(), b.origin.Leave()) }

// measure goes through all rounds.
func (b *bench) measure(ctx context.Context, servers []server, loads []workload, r *report) error {
	for _, w := range loads {
		rounds := make([][]reading, len(servers))
		for range b.rounds {
			for i, s := range servers {
				one, err := b.round(ctx, s, w)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", s.Name, w.name, err)
				}
				rounds[i] = append(rounds[i], one)
			}
		}
		for i, s := range servers {
			r.Results = append(r.Results, newResult(s, w, rounds[i]))
		}
	}
	return nil
}

// start runs a server and, for a hot workload, warms it up.
func (b *bench) start(ctx context.Context, s server, w workload) (*rig.Process, error) {
	dir := filepath.Join(b.dir, s.Name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	process, err := s.Start(ctx, dir, b.upstream, "/ready/2048.m3u8")
	if err != nil || !w.hot {
		return process, err
	}
	if err := b.warm(ctx, s, w, process); err != nil {
		return nil, errors.Join(fmt.Errorf("warming up: %w", err), process.Stop())
	}
	return process, nil
}

// warm asks for everything until the origin is not asked any more.
func (b *bench) warm(ctx context.Context, s server, w workload, process *rig.Process) error {
	const passes = 20
	for range passes {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, asked, err := b.send(plan{Address: process.Address, Groups: w.once(b.connections), Together: 1})
		if err != nil {
			return err
		}
		if asked.Requests == 0 || !s.caches {
			return nil
		}
	}
	return fmt.Errorf("the origin was still asked the %dth time", passes)
}

// send carries out a plan, and counts what the origin is asked meanwhile.
func (b *bench) send(p plan) (d delivered, asked counts, err error) {
	var before, after counts
	if err = b.origin.Call(struct{}{}, &before); err != nil {
		return d, asked, fmt.Errorf("asking the origin: %w", err)
	}
	if err = b.load.Call(p, &d); err != nil {
		return d, asked, fmt.Errorf("asking the load: %w", err)
	}
	if d.Error != "" {
		return d, asked, errors.New(d.Error)
	}
	err = b.origin.Call(struct{}{}, &after)
	return d, after.since(before), err
}

func (b *bench) plan(w workload, address string) plan {
	p := plan{Address: address, Groups: w.groups(b.connections), Together: w.together}
	if w.hot {
		p.For = b.span
	}
	return p
}

// round measures one server once.
func (b *bench) round(ctx context.Context, s server, w workload) (r reading, err error) {
	process, err := b.start(ctx, s, w)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	before, err := process.CPU()
	if err != nil {
		return r, err
	}
	if r.Delivered, r.Origin, err = b.send(b.plan(w, process.Address)); err != nil {
		return r, err
	}
	after, err := process.CPU()
	if err != nil {
		return r, err
	}
	r.CPU = after - before
	if r.PeakKiB, err = process.PeakRSS(); err != nil {
		return r, err
	}
	r.KeptKiB, err = sizeOf(filepath.Join(b.dir, s.Name, kept))
	return r, err
}

// sizeOf adds up the files below a directory, in KiB; one that is not there has
// none.
func sizeOf(dir string) (kib int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			kib += info.Size() >> 10
		}
		return nil // one that is gone has been replaced
	})
	return kib, err
}

// leastProfile is how long at least a server is under load while it is profiled.
const leastProfile = 5 * time.Second

// profile runs the Go programs once more, long enough for a profile of what
// they do, and of what they allocate from their start on.
func (b *bench) profile(ctx context.Context, servers []server, loads []workload) error {
	b.span = max(b.span, leastProfile)
	for _, w := range loads {
		for _, s := range servers {
			if !s.Caddy || !w.hot {
				continue
			}
			if err := b.profileOne(ctx, s, w); err != nil {
				return fmt.Errorf("a profile of %s, %s: %w", s.Name, w.name, err)
			}
		}
	}
	return nil
}

func (b *bench) profileOne(ctx context.Context, s server, w workload) (err error) {
	process, err := b.start(ctx, s, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	path := filepath.Join(b.profiles, s.Name+"-"+w.name)
	loaded := make(chan error, 1)
	go func() {
		_, _, err := b.send(b.plan(w, process.Address))
		loaded <- err
	}()
	err = process.Keep(ctx, path, fmt.Sprintf("profile?seconds=%d", int(b.span.Seconds())-1), "allocs")
	return errors.Join(err, <-loaded)
}
