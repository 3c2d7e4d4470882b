package cmcd

import (
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	blue  = Scope{Name: "live", Color: "blue"}
	green = Scope{Name: "live", Color: "green"}
)

func after(d time.Duration) time.Time { return start.Add(d) }

// of returns what the Meter knows of one scope.
func of(m *Meter, scope Scope, now time.Time) Stats {
	for _, s := range m.Snapshot(now) {
		if s.Scope == scope {
			return s
		}
	}
	return Stats{}
}

func TestReportsAreCountedByWhatTheySay(t *testing.T) {
	m := New(Options{})
	for _, r := range []Report{
		{}, {Starved: true}, {State: "r"}, {State: "r", Starved: true}, {Startup: true}, {Error: true}, {State: "f", Event: "e"}, {Event: "e"},
	} {
		m.Observe(blue, r, start)
	}
	m.Observe(green, Report{Startup: true}, start)
	m.Invalid(blue, 3)
	m.Invalid(blue, 0)
	m.Invalid(Scope{Name: "a"}, 2)
	all := m.Snapshot(start)
	if len(all) != 3 || all[0].Scope.Name != "a" || all[1].Scope != blue || all[2].Scope != green {
		t.Fatalf("scopes: %+v", all)
	}
	if s := all[0]; s.Invalid != 2 || s.Reports != 0 {
		t.Errorf("a: %+v", s)
	}
	if s := all[1]; s.Reports != 8 || s.Starved != 3 || s.Startup != 1 || s.Failing != 3 || s.Invalid != 3 || s.Sessions != 0 || s.Refused != 0 {
		t.Errorf("blue: %+v", s)
	}
	if s := all[2]; s.Reports != 1 || s.Startup != 1 || s.Starved != 0 {
		t.Errorf("green: %+v", s)
	}
}

func TestHistogramsAreCumulative(t *testing.T) {
	m := New(Options{})
	for _, n := range []uint32{0, 500, 501, 5_000, 100_000, 100_001} {
		m.Observe(blue, Report{Throughput: known(n)}, start)
	}
	for _, n := range []uint32{0, 0, 400, 60_001} {
		m.Observe(blue, Report{Buffer: known(n)}, start)
	}
	s := of(m, blue, start)
	want := map[float64]uint64{500: 2, 1000: 3, 2500: 3, 5000: 4, 10000: 4, 25000: 4, 50000: 4, 100000: 5}
	if s.Throughput.Count != 6 || s.Throughput.Sum != 206_002 || !maps.Equal(s.Throughput.Buckets, want) {
		t.Errorf("throughput: %+v", s.Throughput)
	}
	want = map[float64]uint64{0: 2, 500: 3, 1000: 3, 2000: 3, 5000: 3, 10000: 3, 20000: 3, 30000: 3, 60000: 3}
	if s.Buffer.Count != 4 || s.Buffer.Sum != 60_401 || !maps.Equal(s.Buffer.Buckets, want) {
		t.Errorf("buffer: %+v", s.Buffer)
	}
}

func TestASessionIsAliveForAWindowAfterItsLastReport(t *testing.T) {
	m := New(Options{})
	m.Observe(blue, Report{Session: "a"}, start)
	m.Observe(blue, Report{Session: "b"}, start)
	m.Observe(blue, Report{Session: "a"}, after(40*time.Second))
	m.Observe(blue, Report{Session: "a"}, after(10*time.Second)) // one that was slow to get here
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{40 * time.Second, 2}, {60 * time.Second, 2}, {61 * time.Second, 1}, {100 * time.Second, 1}, {101 * time.Second, 0}} {
		if s := of(m, blue, after(c.at)); s.Sessions != c.want || s.Reports != 4 {
			t.Errorf("after %v: %d sessions, %d reports", c.at, s.Sessions, s.Reports)
		}
	}
	if n := m.known.Load(); n != 0 {
		t.Errorf("%d sessions kept", n)
	}
}

func TestASessionIsStarvedForAWindowAfterItSaysSo(t *testing.T) {
	m := New(Options{Window: 10 * time.Second})
	starved := Report{Session: "a", Starved: true}
	m.Observe(blue, Report{Session: "a"}, start)
	m.Observe(blue, Report{Session: "b"}, start)
	m.Observe(blue, starved, after(time.Second))
	m.Observe(blue, starved, after(time.Second))
	for second := range 15 {
		now := after(time.Duration(second+2) * time.Second)
		m.Observe(blue, Report{Session: "a"}, now)
		m.Observe(blue, Report{Session: "b"}, now)
		want := 1
		if second+2 > 11 {
			want = 0
		}
		if s := of(m, blue, now); s.StarvedSessions != want || s.Sessions != 2 || s.Starved != 2 {
			t.Errorf("after %d s: %+v", second+2, s)
		}
	}
}

func TestWhatASessionSaysOfTheTimeBeforeItsColorIsNotHeldAgainstIt(t *testing.T) {
	m := New(Options{})
	starved := Report{Session: "a", Starved: true}
	check := func(when string, onBlue, onGreen Stats) {
		t.Helper()
		for _, want := range []Stats{onBlue, onGreen} {
			got := of(m, want.Scope, start)
			if got.Sessions != want.Sessions || got.StarvedSessions != want.StarvedSessions || got.Moved != want.Moved || got.Starved != want.Starved {
				t.Errorf("%s: %s: %+v", when, want.Scope.Color, got)
			}
		}
	}
	m.Observe(blue, starved, start)
	check("first report of all", Stats{Scope: blue, Sessions: 1, Starved: 1}, Stats{Scope: green})
	m.Observe(blue, starved, start)
	check("second on blue", Stats{Scope: blue, Sessions: 1, Starved: 2, StarvedSessions: 1}, Stats{Scope: green})
	m.Observe(green, starved, start)
	check("first on green", Stats{Scope: blue, Starved: 2}, Stats{Scope: green, Sessions: 1, Starved: 1, Moved: 1})
	m.Observe(green, starved, start)
	check("second on green", Stats{Scope: blue, Starved: 2}, Stats{Scope: green, Sessions: 1, Starved: 2, StarvedSessions: 1, Moved: 1})
	m.Observe(blue, starved, start)
	check("back on blue", Stats{Scope: blue, Sessions: 1, Starved: 3, Moved: 1}, Stats{Scope: green, Starved: 2, Moved: 1})
	m.Observe(Scope{Name: "vod", Color: "green"}, starved, start)
	check("elsewhere, too", Stats{Scope: blue, Sessions: 1, Starved: 3, Moved: 1}, Stats{Scope: green, Starved: 2, Moved: 1})
}

func TestAFloodOfInventedSessionsIsRefusedAndCounted(t *testing.T) {
	const sessions, reports = 10_000, 1_000_000
	m := New(Options{MaxSessions: sessions})
	before := heap()
	for i := range reports {
		m.Observe(blue, Report{Session: fmt.Sprintf("%016x", i), Starved: true}, start)
	}
	s := of(m, blue, start)
	if s.Reports != reports || s.Sessions != sessions || s.Refused != reports-sessions || s.StarvedSessions != 0 || m.known.Load() != sessions {
		t.Errorf("%+v, %d known", s, m.known.Load())
	}
	if grown := heap() - before; grown > 200*sessions {
		t.Errorf("%d bytes for %d sessions", grown, sessions)
	}
	// Those that are known are still served, and after a window there is room again.
	m.Observe(blue, Report{Session: fmt.Sprintf("%016x", 1)}, after(59*time.Second))
	for i := range 2 * sessions {
		m.Observe(blue, Report{Session: fmt.Sprint("new", i)}, after(76*time.Second))
	}
	if s := of(m, blue, after(76*time.Second)); s.Sessions != sessions {
		t.Errorf("after the flood: %+v", s)
	}
	runtime.KeepAlive(m)
}

func TestSessionsThatComeAndGoLeaveNoMemoryBehind(t *testing.T) {
	const sessions = 10_000
	m := New(Options{MaxSessions: sessions, Window: time.Second})
	before := heap()
	for round := range 100 {
		for i := range sessions {
			m.Observe(blue, Report{Session: fmt.Sprint(round, " ", i)}, after(time.Duration(round)*2*time.Second+time.Duration(i)*100*time.Microsecond))
		}
	}
	if s := of(m, blue, after(199*time.Second)); s.Sessions != sessions || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
	if grown := heap() - before; grown > 200*sessions {
		t.Errorf("%d bytes for %d sessions at a time", grown, sessions)
	}
	runtime.KeepAlive(m)
}

func TestNamesBeyondTheBoundShareOneScope(t *testing.T) {
	m := New(Options{})
	for i := range MaxScopes + 50 {
		m.Observe(Scope{Name: fmt.Sprint(i)}, Report{}, start)
	}
	if all := m.Snapshot(start); len(all) != MaxScopes+1 || all[0].Scope != (Scope{}) || all[0].Reports != 50 {
		t.Errorf("%d scopes, the first: %+v", len(all), all[0])
	}
	m.Observe(Scope{Name: "0"}, Report{}, start)
	if s := of(m, Scope{Name: "0"}, start); s.Reports != 2 {
		t.Errorf("%+v", s)
	}
}

func TestAMeterHoldsNoSessionsId(t *testing.T) {
	m := New(Options{})
	m.Observe(blue, Report{Session: "a-viewer"}, start)
	m.Observe(blue, Report{Session: "a-viewer", Starved: true}, start)
	for i := range m.shards {
		if dump := fmt.Sprintf("%+v", m.shards[i].sessions); strings.Contains(dump, "viewer") {
			t.Error(dump)
		}
	}
	if key := m.key("live", "a-viewer"); key == New(Options{}).key("live", "a-viewer") || key == m.key("vod", "a-viewer") {
		t.Error("the same key in another Meter, or for another name")
	}
}

func TestManyAtOnceAreAllCounted(t *testing.T) {
	const workers, each = 8, 2_000
	m := New(Options{MaxSessions: 500})
	done := make(chan struct{})
	var watch, work sync.WaitGroup
	watch.Go(func() {
		last := uint64(0)
		for {
			select {
			case <-done:
				return
			default:
			}
			s := of(m, blue, start)
			if s.Reports < last || s.Sessions > 500 || s.StarvedSessions > s.Sessions {
				t.Errorf("%+v after %d reports", s, last)
				return
			}
			last = s.Reports
		}
	})
	for w := range workers {
		work.Go(func() {
			for i := range each {
				now := after(time.Duration(i) * 50 * time.Millisecond)
				m.Observe(blue, Report{Session: fmt.Sprint(i % 700), Starved: true, Buffer: known(1), Throughput: known(2)}, now)
				m.Observe(Scope{Name: fmt.Sprint(w, i%100)}, Report{Session: "x"}, now)
				m.Invalid(blue, 1)
			}
		})
	}
	work.Wait()
	close(done)
	watch.Wait()
	s := of(m, blue, after(time.Hour))
	if s.Reports != workers*each || s.Starved != workers*each || s.Invalid != workers*each || s.Buffer.Count != workers*each || s.Sessions != 0 || m.known.Load() != 0 {
		t.Errorf("%+v, %d known", s, m.known.Load())
	}
}

func TestObservingDoesNotAllocate(t *testing.T) {
	m := New(Options{})
	r := Report{Session: uuid, Starved: true, Buffer: known(1), Throughput: known(2)}
	m.Observe(blue, r, start)
	if n := testing.AllocsPerRun(100, func() { m.Observe(blue, r, start) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
