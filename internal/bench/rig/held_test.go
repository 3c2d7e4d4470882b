package rig

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatIsSaidOnAStreamComesBack(t *testing.T) {
	up, err := NewUpstream()
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	for _, k := range []Kind{ServerEvents, WebSocket, KeepAlive} {
		held, err := Open(t.Context(), up.Address, k, 3)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		up.Release()
		for _, c := range held {
			if k != KeepAlive {
				_, _ = c.Read(make([]byte, 64)) // it would be silent, but for Release
			}
		}
		held.Close()
	}
}

func TestAStreamThatIsRefusedIsAnError(t *testing.T) {
	up, err := NewUpstream()
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	if _, err := Open(t.Context(), up.Address, "nothing", 2); err == nil || !strings.Contains(err.Error(), "2 of 2 connections: the last error: answered with the status 404") {
		t.Errorf("%v", err)
	}
}

func TestMemoryHasSettledWhenItHasStayedInABand(t *testing.T) {
	s := settling{want: 4 * time.Second}
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
	if v := nginxVersion("nginx version: nginx/1.22.1 (x)\nbuilt"); v != "1.22.1" {
		t.Error(v)
	}
	if v := haproxyVersion("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n"); v != "2.6.12-1+deb12u4" {
		t.Error(v)
	}
}

func TestANameThatIsUnknownIsAnError(t *testing.T) {
	itself := func(s string) string { return s }
	all := []string{"a", "b", "c"}
	if got, err := Only(all, "c,a", itself); err != nil || fmt.Sprint(got) != "[c a]" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Only(all, "a,x", itself); err == nil || !strings.Contains(err.Error(), "a, b, c") {
		t.Errorf("%v", err)
	}
}
