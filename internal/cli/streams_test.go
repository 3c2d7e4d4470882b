package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// fakeStreams stands for the ledger of an edge, behind the real socket.
type fakeStreams struct {
	sw *switcher.Switcher

	mu      sync.Mutex
	list    []switcher.Stream       // guarded by mu; the oldest first
	asked   []switcher.StreamQuery  // guarded by mu
	evicted []switcher.EvictRequest // guarded by mu
}

// has makes n streams of a color.
func (f *fakeStreams) has(n int, c switcher.Color) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.list = append(f.list, switcher.Stream{ID: fmt.Sprintf("%04d", len(f.list)), Color: c, Kind: switcher.StreamSSE, State: "open", Started: time.Now()})
	}
}

func (f *fakeStreams) Streams(ctx context.Context, service string, q switcher.StreamQuery) (page switcher.StreamPage, err error) {
	if _, err := f.sw.View(ctx, service); err != nil {
		return page, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	chosen := slices.DeleteFunc(slices.Clone(f.list), func(s switcher.Stream) bool {
		return q.Color != 0 && s.Color != q.Color || len(q.Kinds) > 0 && !slices.Contains(q.Kinds, s.Kind)
	})
	page.Total = len(chosen)
	chosen = slices.DeleteFunc(chosen, func(s switcher.Stream) bool { return s.ID <= q.After })
	page.Streams = chosen[:min(len(chosen), q.Limit)]
	if len(page.Streams) < len(chosen) {
		page.Next = chosen[q.Limit-1].ID
	}
	return page, nil
}

func (f *fakeStreams) Evict(ctx context.Context, req switcher.EvictRequest) (switcher.Eviction, error) {
	v, err := f.sw.View(ctx, req.Services[0])
	if err != nil {
		return switcher.Eviction{}, err
	}
	if req.IfGeneration != nil && *req.IfGeneration != v.Generation {
		return switcher.Eviction{}, fmt.Errorf("%w: generation %d, not %d", switcher.ErrConflict, v.Generation, *req.IfGeneration)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.evicted = append(f.evicted, req)
	e := switcher.Eviction{Color: req.Color, Pace: 7}
	if e.Color == 0 {
		e.Color = v.Active.Other()
	}
	for _, s := range f.list {
		if s.Color == e.Color && (len(req.IDs) == 0 || slices.Contains(req.IDs, s.ID)) {
			e.Streams++
		}
	}
	return e, nil
}

// last returns what was asked for last.
func (f *fakeStreams) last() (q switcher.StreamQuery, req switcher.EvictRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.asked); n > 0 {
		q = f.asked[n-1]
	}
	if n := len(f.evicted); n > 0 {
		req = f.evicted[n-1]
	}
	return q, req
}

// exampleStreams are of several kinds and states.
func exampleStreams() switcher.StreamPage {
	return switcher.StreamPage{Total: 340, Next: "3kd", Streams: []switcher.Stream{
		{
			ID: "3k7", Kind: switcher.StreamWebSocket, Color: switcher.Blue, State: "ending", Upstream: "10.0.0.1:8080", Client: "2001:db8:85a3::8a2e:370:7334",
			Method: "GET", Path: "/chat/rooms/0123456789abcdef0123456789abcdef/日本語/socket", Protocol: "HTTP/1.1",
			Started: before(41 * time.Minute), LastByte: before(3 * time.Second), Received: 1 << 20, Sent: 5<<30 + 1<<29, Rate: 2345678,
		},
		{
			ID: "3ka", Kind: switcher.StreamUpload, Color: switcher.Green, State: "waiting", Upstream: "unix//run/app.sock", Client: "192.0.2.0/24",
			Method: "PUT", Path: "/up", Protocol: "HTTP/2.0", Started: before(3 * time.Minute), LastByte: before(20 * time.Millisecond), Received: 1023, Rate: 5,
		},
		{
			ID: "3kd", Kind: switcher.StreamSSE, Color: switcher.Blue, State: "open", Upstream: "10.0.0.2:8080", Client: "192.0.2.7",
			Method: "GET", Path: "/events", Protocol: "HTTP/2.0", Started: before(time.Second),
		},
	}}
}

func TestStreamsLookAsTheyShould(t *testing.T) {
	page := exampleStreams()
	for name, lines := range map[string][]line{
		"streams":      streamTable(&page, switcher.StreamQuery{}, 0, at),
		"streams-none": streamTable(&switcher.StreamPage{}, switcher.StreamQuery{Color: switcher.Blue, Kinds: []switcher.StreamKind{switcher.StreamSSE, switcher.StreamGRPC}}, 0, at),
		"evict":        evictedLines(&evicted{Service: "app", Eviction: switcher.Eviction{Streams: 342, Color: switcher.Blue, Pace: 7}, Warnings: []string{"blue is the active color"}}),
		"evict-one":    evictedLines(&evicted{Service: "app", Eviction: switcher.Eviction{Streams: 1, Color: switcher.Blue, Pace: 1}}),
		"evict-none":   evictedLines(&evicted{Service: "app", Eviction: switcher.Eviction{Color: switcher.Green, Pace: 1}}),
	} {
		golden(t, name+".txt", paper{}, lines)
		golden(t, name+".color.txt", paper{color: true}, lines)
	}
	for _, width := range []int{60, 80, 120, 200} {
		golden(t, fmt.Sprintf("streams-%d.txt", width), paper{width: width}, streamTable(&page, switcher.StreamQuery{}, width, at))
	}
}

func TestATableOfStreamsFitsTheTerminal(t *testing.T) {
	page := exampleStreams()
	for width := minWidth; width < 250; width++ {
		for _, l := range streamTable(&page, switcher.StreamQuery{}, width, at) {
			if l.width() > width {
				t.Errorf("%d: %s", width, paper{}.render(l))
			}
		}
	}
}

func TestStreamsListsWhatIsAskedFor(t *testing.T) {
	h := open(t, app)
	h.run(t, "streams", "app").wants(t, exitDone, "no streams are under way\n")
	h.run(t, "streams", "app", "--json").wants(t, exitDone, `{"service":"app","streams":[],"total":0}`)
	h.ledger.has(3, switcher.Blue)
	h.ledger.has(2, switcher.Green)
	h.run(t, "streams", "app", "--limit", "2").wants(t, exitDone, "\n2 of 5 shown; --all shows all\n")
	h.run(t, "streams", "app", "--limit", "2", "--json").wants(t, exitDone, `"total":5,"next":"0001"}`)
	if r := h.run(t, "streams", "app", "--color", "green", "--kind", "sse,grpc", "--kind", "live"); strings.Count(r.out, "\n") != 3 || strings.Contains(r.out, "shown") {
		t.Errorf("want two streams:\n%s%s", r.out, r.errs)
	}
	last, _ := h.ledger.last()
	if last.Color != switcher.Green || !slices.Equal(last.Kinds, []switcher.StreamKind{switcher.StreamSSE, switcher.StreamGRPC, switcher.StreamLive}) {
		t.Errorf("asked for %+v", last)
	}
	h.run(t, "streams", "app", "--color", "blue", "--kind", "grpc").wants(t, exitDone, "no streams are under way on blue of the kind grpc\n")
}

func TestAllStreamsAreListedPageByPage(t *testing.T) {
	h := open(t, app)
	h.ledger.has(2*switcher.MaxStreams+7, switcher.Blue)
	r := h.run(t, "streams", "app", "--all")
	if lines := strings.Count(r.out, "\n"); lines != 2*switcher.MaxStreams+8 || strings.Contains(r.out, "shown") {
		t.Errorf("exit %d, %d lines: %s", r.exit, lines, r.errs)
	}
	var doc struct {
		Service string
		Streams []switcher.Stream
		Total   int
		Next    string
	}
	r = h.run(t, "streams", "app", "--all", "--json")
	must(t, json.Unmarshal([]byte(r.out), &doc))
	if doc.Service != "app" || len(doc.Streams) != 2*switcher.MaxStreams+7 || doc.Total != len(doc.Streams) || doc.Next != "" {
		t.Errorf("%d streams of %d of %q, next %q", len(doc.Streams), doc.Total, doc.Service, doc.Next)
	}
}

func TestEvictSaysHowManyStreamsEnd(t *testing.T) {
	h := open(t, app)
	h.run(t, "evict", "app").wants(t, exitDone, "app: no such streams of green, or they are ending already: nothing to do\n")
	h.ledger.has(2, switcher.Blue)
	h.ledger.has(3, switcher.Green)
	r := h.run(t, "evict", "app", "--reason", "noon", "--if-generation", "1", "--kind", "sse,grpc")
	r.wants(t, exitDone, "app: 3 streams of green are asked to end, 7 per second; greenroom streams app --color green shows what is left\n")
	if strings.Contains(r.out, "warning") {
		t.Errorf("warned of the idle color:\n%s", r.out)
	}
	_, req := h.ledger.last()
	if req.Reason != "noon" || req.By == "" || !slices.Equal(req.Kinds, []switcher.StreamKind{switcher.StreamSSE, switcher.StreamGRPC}) || len(req.IDs) > 0 {
		t.Errorf("asked for %+v", req)
	}
	h.run(t, "evict", "app", "--id", "0003").wants(t, exitDone, "app: 1 stream of green is asked to end; ")
	h.run(t, "evict", "app", "--if-generation", "7").wants(t, exitConflict, "", "generation 1, not 7")
	h.run(t, "evict", "app", "--color", "blue").wants(t, exitDone, "\n  warning: blue is the active color: ")
	h.run(t, "evict", "app", "--color", "blue", "--json").wants(t, exitDone, `{"service":"app","streams":2,"color":"blue","pace":7,"warnings":["blue is the active`)
}

func TestDeadlinesAreReadByKind(t *testing.T) {
	for text, want := range map[string]string{
		"websocket=30m": `{"websocket":"30m0s"}`, "": `{}`, "grpc=168h,sse=1s": `{"sse":"1s","grpc":"168h0m0s"}`,
		"websocket": "want a kind and a time", "tcp=3m": "want one of request, websocket", "=3m": "want one of", "sse=": "want a time",
		"sse=3": "want a time", "sse=0": "more than 0", "sse=-1s": "more than 0", "sse=1s,sse=2s": "given twice", "sse=169h": "want 0 to 168h",
		"sse=1s,": "want a kind and a time", "SSE=1s": "want one of", " sse=1s": "want one of",
	} {
		var list []string
		if text != "" {
			list = strings.Split(text, ",")
		}
		read, err := parseDeadlines(list)
		if err != nil {
			if f := failed(err); f.Exit != exitInvalid || !strings.Contains(f.Detail, want) || !strings.Contains(f.Detail, "--drain-deadline") {
				t.Errorf("%s: %d, %s", text, f.Exit, f.Detail)
			}
			continue
		}
		if data, err := json.Marshal(read); err != nil || string(data) != want {
			t.Errorf("%s: %s, %v, want %s", text, data, err, want)
		}
	}
}

func TestBytesAreShort(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1 << 20: "1.0 MiB", 5<<30 + 1<<29: "5.5 GiB",
		math.MaxInt64: "8.0 EiB", -1: "-1 B",
	} {
		if got := bytesize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestTheDeadlinesOfACommandReachTheMove(t *testing.T) {
	h := open(t, app)
	h.run(t, "plan", "app", "--to", "green", "--drain-timeout", "5m", "--drain-deadline", "websocket=30m,upload=2h").
		wants(t, exitDone, "what is left after 5m (websocket 30m, upload 2h) is cut")
	defer h.busy(t, "app")()
	h.run(t, "cutover", "app", "--to", "green", "--no-wait", "--drain-deadline", "websocket=30m", "--drain-deadline", "upload=2h").wants(t, exitDone, "draining")
	h.run(t, "status", "app", "--json").wants(t, exitDone, `"drain_deadlines":{"websocket":"30m0s","upload":"2h0m0s"}`)
	h.run(t, "abort", "app", "--no-wait").wants(t, exitDone, "")
	h.run(t, "split", "app", "green=25", "--drain-deadline", "sse=1m").wants(t, exitDone, "held there")
	h.run(t, "status", "app", "--json").wants(t, exitDone, `"drain_deadlines":{"sse":"1m0s"}`)
}

func TestAWatchAsksForTheOldestStreamsOfDrainsOnceASecond(t *testing.T) {
	e := newFakeEdge(calm(), ramping(), draining())
	e.page = exampleStreams()
	var o oldest
	o.look(t.Context(), e, e.views, at)
	o.look(t.Context(), e, e.views, at.Add(oldestEvery/2))
	if len(e.asked) != 1 || e.asked[0].Color != switcher.Blue || e.asked[0].Limit != oldestShown {
		t.Errorf("asked %+v", e.asked)
	}
	if lines := o.lines(e.views, draining().Cutover.ID, 80, at); len(lines) != 5 {
		t.Errorf("%d lines: %v", len(lines), lines)
	}
	o.look(t.Context(), e, e.views[:2], at.Add(oldestEvery))
	if len(o.pages) != 0 || len(e.asked) != 1 {
		t.Errorf("shows what no longer drains: %v", o.pages)
	}
}
