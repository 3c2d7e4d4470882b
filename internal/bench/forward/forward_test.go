package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

func TestMain(m *testing.M) {
	rig.Play(roles) // this binary is the backends and the load, too
	os.Exit(m.Run())
}

// tiny is a run that measures nothing, of everything.
func tiny() options {
	return options{
		connections: 4, rate: 200, flips: 2, streams: 2, held: 4, readers: 2, bulk: 1 << 20,
		rounds: 1, span: 20 * time.Millisecond, pause: 20 * time.Millisecond, settled: 100 * time.Millisecond, root: "../../..",
	}
}

func TestEveryProxyTakesEveryWorkload(t *testing.T) {
	o := tiny()
	dir, err := os.MkdirTemp("", "bench") // a short name: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b, err := newBench(o, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	all, err := build(t.Context(), o.root, dir, b.at, 100)
	if err != nil {
		t.Fatal(err)
	}
	usual, err := choose(all, "")
	if err != nil {
		t.Fatal(err)
	}
	var r report
	loads := workloads(o)
	if err := b.measure(t.Context(), usual, loads, &r); err != nil {
		t.Fatal(err)
	}
	if c := r.chart(); strings.Count(c, "<rect") != 4*5+1 {
		t.Errorf("want a bar for each proxy in each of four panels: %s", c)
	}
	for _, v := range all {
		if v.extra { // its config is right, then
			if err := b.measure(t.Context(), []variant{v}, loads[:1], &r); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, w := range loads {
		for _, v := range usual {
			if v.takes(w.name) {
				checkResult(t, o, r.of(v.Name, w.name))
			}
		}
	}
	if err := r.print(io.Discard); err != nil {
		t.Error(err)
	}
}

func checkResult(t *testing.T, o options, x result) {
	t.Helper()
	what := fmt.Sprintf("%s, %s: %+v", x.Proxy, x.Workload, x.Rounds)
	if len(x.Rounds) != 1 {
		t.Fatalf("%s: want one round", what)
	}
	got := x.Rounds[0]
	if x.Workload == "idle" || x.Workload == "sse" {
		if got.Held != o.held || got.After.KiB < 1<<10 || got.After.PSSKiB < 512 {
			t.Errorf("%s: too little memory to be true", what)
		}
		return
	}
	size := int64(smallSize)
	if x.Workload == "bulk" {
		size = o.bulk
	}
	if got.Outcome.Requests < 1 || got.Outcome.Bytes != got.Outcome.Requests*size || got.Outcome.Latency.P50 <= 0 {
		t.Errorf("%s: want answers of %d bytes each, and how long they took", what, size)
	}
	if x.Workload != "flip" {
		return
	}
	v := got.Outcome.Verdict
	if v == nil || v.Flips != o.flips || len(got.Commands) != o.flips || v.Streams != o.streams {
		t.Fatalf("%s: want %d flips and %d streams", what, o.flips, o.streams)
	}
	if x.Proxy != "nginx" && v.Green == 0 { // which takes its time
		t.Errorf("%s: nothing went to green", what)
	}
	if strings.HasPrefix(x.Proxy, "greenroom") && v.Failed+v.Unanswered+v.Stale+v.Cut > 0 {
		t.Errorf("%s: %d failed and %d unanswered (%s), %d stale, %d streams cut", what, v.Failed, v.Unanswered, v.FirstError, v.Stale, v.Cut)
	}
}

func TestWithoutAPackageTheErrorNamesIt(t *testing.T) {
	path := t.TempDir()
	t.Setenv("PATH", path)
	if _, err := build(t.Context(), "../../..", t.TempDir(), backends{}, 1); err == nil || !strings.Contains(err.Error(), "apt-get install haproxy") {
		t.Errorf("%v", err)
	}
	const haproxy = "#!/bin/sh\necho HAProxy version 9\n"
	if err := os.WriteFile(path+"/haproxy", []byte(haproxy), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := build(t.Context(), "../../..", t.TempDir(), backends{}, 1); err == nil || !strings.Contains(err.Error(), "apt-get install nginx-light") {
		t.Errorf("%v", err)
	}
}

func TestExtraVariantsAreMeasuredIfTheyAreNamed(t *testing.T) {
	all := []variant{{Program: rig.Program{Name: "a"}}, {Program: rig.Program{Name: "b"}, extra: true}}
	for asked, want := range map[string]int{"": 1, "b": 1, "a,b": 2} {
		if got, err := choose(all, asked); err != nil || len(got) != want {
			t.Errorf("%q: %d, %v", asked, len(got), err)
		}
	}
	if _, err := choose(all, "c"); err == nil {
		t.Error("there is no c")
	}
}

func TestOptionsOutOfRangeAreRefused(t *testing.T) {
	if err := tiny().check(); err != nil {
		t.Error(err)
	}
	for _, spoil := range []func(*options){
		func(o *options) { o.connections = 0 }, func(o *options) { o.rate = 0 }, func(o *options) { o.flips = 501 }, func(o *options) { o.streams = -1 },
		func(o *options) { o.held = 20001 }, func(o *options) { o.bulk = 0 }, func(o *options) { o.rounds = 0 }, func(o *options) { o.span = 0 },
	} {
		o := tiny()
		if spoil(&o); o.check() == nil {
			t.Errorf("%+v passes", o)
		}
	}
}
