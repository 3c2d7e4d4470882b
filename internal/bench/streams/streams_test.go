package main

import (
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

func TestWithoutHAProxyTheErrorNamesItsPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := build(t.Context(), "../../..", t.TempDir(), 1); err == nil || !strings.Contains(err.Error(), "Debian's package is haproxy") {
		t.Errorf("%v", err)
	}
}

func TestTheTableHasRatiosToTheOthersOfTheSameKind(t *testing.T) {
	r := report{Streams: 1000}
	for _, x := range []struct {
		proxy string
		kind  rig.Kind
		kib   int64
		go1   int
	}{{"greenroom", "sse", 30000, 3000}, {"caddy", "sse", 60000, 4000}, {"haproxy", "sse", 5000, 0}, {"greenroom", "websocket", 10000, 2000}} {
		one := result{Proxy: x.proxy, Version: "v", Kind: x.kind, Before: rig.Reading{KiB: 100, CollectedKiB: 50}}
		one.After = rig.Reading{KiB: 100 + x.kib, CollectedKiB: 50 + x.kib}
		if x.go1 > 0 {
			one.Before.Goroutines, one.After.Goroutines, one.After.StacksKiB = 10, 10+x.go1, 2000
		}
		one.perStream(1000)
		r.Results = append(r.Results, one)
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(out.String(), "version\n")
	want := `sse        greenroom  30.0            2.0           30.0         3.0         0.50     6.00       v
sse        caddy      60.0            2.0           60.0         4.0         1.00     12.00      v
sse        haproxy    5.0             -             -            -           0.08     1.00       v
websocket  greenroom  10.0            2.0           10.0         2.0         -        -          v
`
	if table != want {
		t.Errorf("%s", out.String())
	}
}
