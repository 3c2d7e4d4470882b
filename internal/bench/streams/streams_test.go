package main

import (
	"strings"
	"testing"
	"time"
)

func TestWhatIsSaidOnAStreamComesBack(t *testing.T) {
	up, err := newUpstream()
	if err != nil {
		t.Fatal(err)
	}
	defer up.close()
	for _, k := range kinds {
		held, err := open(t.Context(), up.address, k, 3)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		up.release()
		for _, c := range held {
			_, _ = c.Read(make([]byte, 64)) // it would be silent, but for release
		}
		held.close()
	}
}

func TestAStreamThatIsRefusedIsAnError(t *testing.T) {
	up, err := newUpstream()
	if err != nil {
		t.Fatal(err)
	}
	defer up.close()
	if _, err := open(t.Context(), up.address, "nothing", 2); err == nil || !strings.Contains(err.Error(), "2 of 2 streams: the last error: answered with the status 404") {
		t.Errorf("%v", err)
	}
}

func TestMemoryHasSettledWhenItHasStayedInABand(t *testing.T) {
	var s settling
	start := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after time.Duration
		kib   int64
		want  bool
	}{
		{0, 1000, false}, {time.Second, 1200, false}, {2 * time.Second, 900, false}, // out of the band: anew
		{3 * time.Second, 1100, false}, {5 * time.Second, 950, false}, {6 * time.Second, 1156, true}, {7 * time.Second, 1157, false},
	} {
		if got := s.settled(step.kib, start.Add(step.after)); got != step.want {
			t.Errorf("after %s, at %d KiB: %v", step.after, step.kib, got)
		}
	}
}

func TestWhatProcessesSayOfTheirMemoryIsRead(t *testing.T) {
	if kib, err := parseStacks("heap profile: …\n\n# HeapIdle = 5\n# Stack = 2097152 / 4194304\n# MSpan = 1 / 2\n"); err != nil || kib != 2048 {
		t.Errorf("%d, %v", kib, err)
	}
	if _, err := parseStacks("heap profile"); err == nil {
		t.Error("a profile without stacks has some")
	}
	if v := haproxyVersion("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n"); v != "2.6.12-1+deb12u4" {
		t.Error(v)
	}
}

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
		kind  kind
		kib   int64
		go1   int
	}{{"greenroom", "sse", 30000, 3000}, {"caddy", "sse", 60000, 4000}, {"haproxy", "sse", 5000, 0}, {"greenroom", "websocket", 10000, 2000}} {
		one := result{Proxy: x.proxy, Version: "v", Kind: x.kind, Before: reading{KiB: 100, CollectedKiB: 50}}
		one.After = reading{KiB: 100 + x.kib, CollectedKiB: 50 + x.kib}
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
