package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// bench is a run.
type bench struct {
	options
	dir            string
	backends, load *rig.Actor
	at             backends
	idle           *rig.Upstream // of connections on which nothing is said
}

func newBench(o options, dir string) (b *bench, err error) {
	b = &bench{options: o, dir: dir}
	if b.idle, err = rig.NewUpstream(); err != nil {
		return nil, err
	}
	if b.backends, err = rig.Cast("backends"); err != nil {
		b.idle.Close()
		return nil, err
	}
	if b.load, err = rig.Cast("load"); err != nil {
		b.idle.Close()
		return nil, errors.Join(err, b.backends.Leave())
	}
	if err := b.backends.Hear(&b.at); err != nil {
		return nil, errors.Join(fmt.Errorf("the backends have not started: %w", err), b.close())
	}
	return b, nil
}

func (b *bench) close() error {
	b.idle.Close()
	return errors.Join(b.load.Leave(), b.backends.Leave())
}

// measure goes through all rounds.
func (b *bench) measure(ctx context.Context, proxies []variant, loads []workload, r *report) error {
	for _, w := range loads {
		rounds := make([][]reading, len(proxies))
		for n := range b.rounds {
			if n > 0 && w.once {
				break
			}
			for i := range proxies {
				if !proxies[i].takes(w.name) {
					continue
				}
				one, err := w.measure(ctx, b, &proxies[i])
				if err != nil {
					return fmt.Errorf("%s, %s: %w", proxies[i].Name, w.name, err)
				}
				rounds[i] = append(rounds[i], one)
			}
		}
		for i, v := range proxies {
			if len(rounds[i]) > 0 {
				r.Results = append(r.Results, newResult(v, w, rounds[i]))
			}
		}
	}
	return nil
}

// home is a directory for a process, empty. The binaries are not in it.
func (b *bench) home(v *variant) (string, error) {
	dir := filepath.Join(b.dir, "run", v.Name)
	return dir, os.RemoveAll(dir)
}

// start runs a proxy in front of blue, and warms it up.
func (b *bench) start(ctx context.Context, v *variant, p plan) (*rig.Process, error) {
	dir, err := b.home(v)
	if err != nil {
		return nil, err
	}
	process, err := v.Start(ctx, dir, b.at.Blue, readyPath)
	if err != nil {
		return nil, err
	}
	p.Address, p.For = process.Address, min(p.For/4, warmUp)
	if _, err := b.send(p); err != nil {
		return nil, errors.Join(fmt.Errorf("warming up: %w", err), process.Stop())
	}
	return process, nil
}

// warmUp is for how long at most a proxy is asked before it counts.
const warmUp = time.Second

// send carries out a plan.
func (b *bench) send(p plan) (o outcome, err error) {
	if err := b.load.Call(p, &o); err != nil {
		return o, fmt.Errorf("asking the load: %w", err)
	}
	if o.Error != "" {
		return o, errors.New(o.Error)
	}
	return o, nil
}

// under measures a proxy under a load.
func (b *bench) under(ctx context.Context, v *variant, p plan) (r reading, err error) {
	process, err := b.start(ctx, v, p)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	p.Address = process.Address
	before, err := process.CPU()
	if err != nil {
		return r, err
	}
	if r.Outcome, err = b.send(p); err != nil {
		return r, err
	}
	after, err := process.CPU()
	r.CPU = after - before
	return r, err
}

// hold measures the memory that a proxy has for silent connections.
func (b *bench) hold(ctx context.Context, v *variant, kind rig.Kind) (r reading, err error) {
	dir, err := b.home(v)
	if err != nil {
		return r, err
	}
	held := rig.Holding{Kind: kind, N: b.held, Settled: b.settled, Profiles: b.profiles}
	r.Held = b.held
	r.Before, r.After, err = held.Measure(ctx, &v.Program, b.idle, dir)
	return r, err
}

// flip flips a proxy under load.
func (b *bench) flip(ctx context.Context, v *variant) (r reading, err error) {
	process, err := b.start(ctx, v, plan{Connections: b.connections, Rate: b.rate, For: b.span})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	flipper, err := v.flip(ctx, b.at, filepath.Join(b.dir, "run", v.Name))
	if err != nil {
		return r, err
	}
	p := plan{Address: process.Address, Connections: b.connections, Rate: b.rate, For: rig.Patience, Flips: true, Streams: b.streams}
	var up ready
	if err := b.load.Call(p, &up); err != nil {
		return r, fmt.Errorf("asking the load: %w", err)
	}
	if up.Error != "" {
		return r, errors.New(up.Error)
	}
	done, failed := b.command(ctx, flipper)
	if err := b.load.Call(done, &r.Outcome); err != nil {
		return r, errors.Join(failed, fmt.Errorf("asking the load: %w", err))
	}
	if r.Outcome.Error != "" {
		failed = errors.Join(failed, errors.New(r.Outcome.Error))
	}
	for _, f := range done {
		r.Commands = append(r.Commands, time.Duration(f.Acknowledged-f.Commanded))
	}
	return r, failed
}

// command flips to green and back, and back, each time when the other color has served for
// a while.
func (b *bench) command(ctx context.Context, f flipper) (done []flip, err error) {
	to := byte(green)
	for range b.flips {
		time.Sleep(b.pause)
		if err := f.prepare(to); err != nil {
			return done, err
		}
		began := time.Now()
		if err := f.command(ctx, to); err != nil {
			return done, fmt.Errorf("flip %d: %w", len(done)+1, err)
		}
		done = append(done, flip{to, began.UnixNano(), time.Now().UnixNano()})
		to = blue + green - to
	}
	time.Sleep(b.pause)
	return done, nil
}

// leastProfile is how long at least a proxy is under load while it is profiled.
const leastProfile = 5 * time.Second

// profile runs the Go programs once more, under the loads that take time.
func (b *bench) profile(ctx context.Context, proxies []variant, loads []workload) error {
	b.span = max(b.span, leastProfile)
	for _, w := range loads {
		for i := range proxies {
			if w.plan == nil || !proxies[i].Caddy || !proxies[i].takes(w.name) {
				continue
			}
			if err := b.profileOne(ctx, &proxies[i], w); err != nil {
				return fmt.Errorf("a profile of %s, %s: %w", proxies[i].Name, w.name, err)
			}
		}
	}
	return nil
}

func (b *bench) profileOne(ctx context.Context, v *variant, w workload) (err error) {
	p := w.plan(b)
	process, err := b.start(ctx, v, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	p.Address = process.Address
	loaded := make(chan error, 1)
	go func() {
		_, err := b.send(p)
		loaded <- err
	}()
	err = process.Keep(ctx, filepath.Join(b.profiles, v.Name+"-"+w.name), fmt.Sprintf("profile?seconds=%d", int(b.span.Seconds())-1), "allocs")
	return errors.Join(err, <-loaded)
}
