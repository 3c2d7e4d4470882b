package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

func TestMain(m *testing.M) {
	rig.Play(roles) // this binary is the origin and the load, too
	os.Exit(m.Run())
}

// tiny is a run that measures nothing, of everything.
func tiny() options {
	return options{scale: scale{connections: 4, unit: 16 << 10, few: 8}, rounds: 1, span: time.Millisecond, root: "../../.."}
}

func TestEveryServerServesEveryWorkload(t *testing.T) {
	o := tiny()
	servers, err := build(t.Context(), o.root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "media") // a short name: sockets lie in it
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
	var r report
	loads := workloads(o.scale)
	if err := b.measure(t.Context(), servers, loads, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != len(servers)*len(loads) {
		t.Fatalf("%d results of %d servers and %d workloads", len(r.Results), len(servers), len(loads))
	}
	for _, w := range loads {
		for _, s := range servers {
			check(t, o, s, w, r.of(s.Name, w.name))
		}
	}
	if err := r.print(io.Discard); err != nil {
		t.Error(err)
	}
}

func check(t *testing.T, o options, s server, w workload, x result) {
	t.Helper()
	got := x.Rounds[0]
	length := w.size
	if w.span > 0 {
		length = w.span
	}
	what := fmt.Sprintf("%s, %s: %+v", s.Name, w.name, got)
	if got.Delivered.Requests < 1 || got.Delivered.Bytes != got.Delivered.Requests*length || got.Delivered.Compared < 1 {
		t.Errorf("%s: want %d bytes for each request, and some compared", what, length)
	}
	if got.PeakKiB < 1<<10 {
		t.Errorf("%s: too little memory to be true", what)
	}
	if w.span > 0 && !w.hot && got.Delivered.Requests != int64(o.connections*w.count) {
		t.Errorf("%s: want each range once", what)
	}
	if w.span == 0 && !w.hot && got.Delivered.Requests != int64(w.count*w.together) {
		t.Errorf("%s: want each object %d times", what, w.together)
	}
	var asked int64
	switch {
	case !s.caches:
		asked = got.Delivered.Requests
	case w.hot:
	case w.span > 0:
		asked = max(got.Origin.Requests, 1) // by blocks, or all at once
	default:
		asked = int64(w.count)
	}
	if got.Origin.Requests != asked || (asked > 0) != (got.Origin.Bytes > 0) {
		t.Errorf("%s: want %d requests to the origin", what, asked)
	}
}

func TestThePlansAskForEverything(t *testing.T) {
	for _, s := range []scale{{16, 1 << 20, 1}, {1, 1 << 20, 1}, {3, 16 << 10, 1000}} {
		for _, w := range workloads(s) {
			times, spans := map[string]int{}, map[int64]bool{}
			for _, group := range w.once(s.connections) {
				for _, r := range group {
					times[r.Path]++
					spans[r.First] = true
					if o, err := objectAt(r.Path); err != nil || r.First+r.Length > o.size || r.Length < 1 {
						t.Errorf("%s: %+v of %d bytes, %v", w.name, r, o.size, err)
					}
				}
			}
			if w.span == 0 && len(times) != w.count || w.span > 0 && len(times) != 1 {
				t.Errorf("%+v, %s: %d objects of %d", s, w.name, len(times), w.count)
			}
			for path, n := range times {
				if w.span == 0 && n != 1 || w.span > 0 && n != len(spans) {
					t.Errorf("%+v, %s: %s %d times", s, w.name, path, n)
				}
			}
		}
	}
}

func TestAnObjectIsTheSameForOriginAndLoad(t *testing.T) {
	server := httptest.NewServer(new(origin))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	c, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range sample + 1 {
		for _, r := range []request{
			{Path: "/a/1000.ts", Length: 1000}, {Path: "/b/0.ts"}, {Path: "/c/2048.m3u8", Length: 2048}, {Path: "/d/20000000.mp4", Length: 20000000},
			{Path: "/d/20000000.mp4", First: ringSize - 5, Length: ringSize, Ranged: true},
		} {
			if err := c.get(r); err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
		}
	}
	if c.Compared < 5 {
		t.Errorf("%d of %d compared", c.Compared, c.Requests)
	}
}

func TestWrongAnswersAreSeen(t *testing.T) {
	right, err := objectAt("/a/1000.ts")
	if err != nil {
		t.Fatal(err)
	}
	for want, answer := range map[string]http.HandlerFunc{
		"status is 404": http.NotFound,
		"Content-Length 999": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(right.at(0, 999))
		},
		"other bytes": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(right.at(1, 1000))
		},
		"without a Content-Length": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(right.at(0, 500))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(right.at(500, 500))
		},
		"EOF": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(right.at(0, 500))
		},
	} {
		server := httptest.NewServer(answer)
		p := plan{Address: strings.TrimPrefix(server.URL, "http://"), Groups: [][]request{{{Path: "/a/1000.ts", Length: 1000}}}, Together: 1}
		if _, err := p.carryOut(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		server.Close()
	}
}

func TestWithoutNginxTheErrorNamesItsPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := build(t.Context(), "../../..", t.TempDir()); err == nil || !strings.Contains(err.Error(), "Debian's package is nginx-light: apt-get install nginx-light") {
		t.Errorf("%v", err)
	}
}

func TestTheTableHasMediansAndRatios(t *testing.T) {
	one := func(bytes, requests int64, cpu, took time.Duration) reading {
		return reading{Delivered: delivered{Requests: requests, Bytes: bytes, Took: took}, CPU: cpu, PeakKiB: 2 << 10}
	}
	large, small := workload{name: "hot", what: "w"}, workload{name: "lists", what: "l", small: true}
	const gb = 1e9
	ours, theirs := server{}, server{}
	ours.Name, ours.Version, theirs.Name, theirs.Version = "greenroom", "v1", "nginx", "v2"
	r := report{Connections: 16, Rounds: 3, Where: "tmpfs", Results: []result{
		newResult(ours, large, []reading{one(gb, 10, time.Second, time.Second), one(3*gb, 30, time.Second, time.Second), one(2*gb, 20, time.Second, time.Second)}),
		newResult(theirs, large, []reading{one(gb, 10, time.Second, time.Second)}),
		newResult(ours, small, []reading{one(1, 1e5, 8*time.Second, 2*time.Second)}),
		newResult(theirs, small, []reading{one(1, 1e5, 2*time.Second, time.Second)}),
	}}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	const want = `
hot: w
server     GB/s  ×     CPU s per GB  ×     requests  to the origin  MB from it  peak RSS MiB  files MiB  version
greenroom  2.00  1.00  0.500         1.00  30        0              0           2             0          v1
nginx      1.00  0.50  1.000         2.00  10        0              0           2             0          v2

lists: l
server     requests/s  ×     CPU s per 100k  ×     requests  to the origin  MB from it  peak RSS MiB  files MiB  version
greenroom  50000       1.00  8.000           1.00  100000    0              0           2             0          v1
nginx      100000      2.00  2.000           0.25  100000    0              0           2             0          v2
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s", out.String())
	}
}
