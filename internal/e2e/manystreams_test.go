package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// memory is what the edge's process holds now.
func (e *edge) memory() string { return e.status("VmRSS") }

// status is a line of what the kernel says of the edge's process.
func (e *edge) status(name string) string {
	e.mu.Lock()
	pid := e.cmd.Process.Pid
	e.mu.Unlock()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		e.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), name+":")
	size, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(size)
}

// listed is what Streams tells: the color of each stream, and how many there are
// of each kind on each color.
type listed struct {
	color map[string]switcher.Color
	kinds map[switcher.Color]map[switcher.StreamKind]int
}

// list reads all streams, page by page.
func (e *edge) list() listed {
	e.t.Helper()
	l := listed{make(map[string]switcher.Color), map[switcher.Color]map[switcher.StreamKind]int{switcher.Blue: {}, switcher.Green: {}}}
	q := switcher.StreamQuery{Limit: 300}
	for {
		page, err := e.client().Streams(e.t.Context(), "app", q)
		if err != nil {
			e.t.Fatal(err)
		}
		for _, s := range page.Streams {
			l.color[s.ID] = s.Color
			l.kinds[s.Color][s.Kind]++
		}
		if q.After = page.Next; q.After == "" {
			return l
		}
	}
}

// has reports whether there are the same counts on both colors.
func (l listed) has(each map[switcher.StreamKind]int) bool {
	return maps.Equal(l.kinds[switcher.Blue], each) && maps.Equal(l.kinds[switcher.Green], each)
}

// moving is a service whose options change with the version.
func moving(blue, green *backend, version int) string {
	pick := func(of ...string) string { return of[version%len(of)] }
	return fmt.Sprintf(`
		service app {
			blue %s
			green %s
			health http /healthz
			balance %s
			drain_deadline websocket %s
			evict %s
			close_code %s
			%s
		}`, blue.address, green.address, pick("round_robin", "least_inflight", "hash"), pick("30m", "45m"),
		pick("2%", "50", "7%"), pick("1012", "4000"), pick("truncate_clients", "retries 2", "sticky none", "allow_ambiguous_paths"))
}

func TestAThousandStreamsOutliveFiftyFlipsAndTwentyReloadsWithNoByteWrong(t *testing.T) {
	kinds := map[switcher.StreamKind]int{ // on each color
		switcher.StreamWebSocket: 125, switcher.StreamSSE: 125, switcher.StreamLive: 62, switcher.StreamDownload: 63, switcher.StreamUpload: 125,
	}
	if raceFlag == "-race" {
		for k, n := range kinds {
			kinds[k] = n / 5
		}
	}
	done := make(chan struct{})
	blue, green := newBackend(t, sources("blue", done)), newBackend(t, sources("green", done))
	e := newEdge(t, moving(blue, green, 0))
	e.start()
	e.healthy()

	all := &watching{e: e, done: done, results: make(chan error, 4096)}
	begin := func(color string) { all.begin(color, kinds) }
	begin("blue")
	flip(e, 1, func(int) {})
	begin("green")
	e.until("all are listed with their kinds", func() bool { return e.list().has(kinds) })
	flipBack(e)

	before, version := e.list(), 0
	flip(e, 50, func(i int) {
		if i%5 == 1 || i%5 == 3 {
			version++
			e.write(moving(blue, green, version), siteBlueGreen)
			e.reload()
		}
		if now := e.list(); i%10 == 5 && !maps.Equal(now.color, before.color) {
			t.Errorf("flip %d: streams have moved: %d before, %d now; %v", i, len(before.color), len(now.color), now.kinds)
		}
	})
	if now := e.list(); !now.has(kinds) || !maps.Equal(now.color, before.color) {
		t.Errorf("after all flips: %v", now.kinds)
	}
	memory := e.memory()
	close(done)
	for range all.total {
		if err := <-all.results; err != nil {
			t.Error(err)
		}
	}
	e.until("nothing is under way", func() bool { v := e.view(); return v.Blue.Inflight+v.Green.Inflight == 0 })
	if last := e.list(); len(last.color) != 0 {
		t.Errorf("still listed: %v", last.kinds)
	}
	e.until("the last drain has ended", func() bool { return e.view().Phase == switcher.Steady })
	if last := e.view().Last; last == nil || last.Evicted != 0 {
		t.Errorf("the last move: %+v", last)
	}
	t.Logf("%d streams, 50 flips, %d reloads, %d bytes; the edge's memory %s", all.total, version, all.bytes.Load(), memory)
	if e.stop(); t.Failed() {
		e.explain()
	}
}

// watching is the clients of a test, and what has come of them.
type watching struct {
	e            *edge
	done         <-chan struct{}
	total        int
	began, bytes atomic.Int64
	results      chan error
}

// begin starts clients of each kind, and waits until all hear the color.
func (a *watching) begin(color string, kinds map[switcher.StreamKind]int) {
	a.e.t.Helper()
	for kind, n := range kinds {
		for range n {
			a.total++
			go func() {
				n, err := watched[kind](a.e.t.Context(), a.e, watch{color, a.done, func() { a.began.Add(1) }})
				a.bytes.Add(n)
				if err != nil {
					err = fmt.Errorf("%s on %s, after %d bytes: %w", kind, color, n, err)
				}
				a.results <- err
			}()
		}
	}
	a.e.until("all streams on "+color+" have begun", func() bool { return a.began.Load() == int64(a.total) })
}

// watch is what a client of a long stream is told.
type watch struct {
	color string
	done  <-chan struct{}
	began func()
}

// watched holds the clients: each returns how many bytes it has compared, and an
// error unless all were right, from the right color, to a whole end.
var watched = map[switcher.StreamKind]func(context.Context, *edge, watch) (int64, error){
	switcher.StreamWebSocket: watchWebSocket, switcher.StreamSSE: watchSSE, switcher.StreamUpload: watchUpload,
	switcher.StreamLive: watchBody("/live"), switcher.StreamDownload: watchBody("/download"),
}
