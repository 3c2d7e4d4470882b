package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// fakeMedia stands for the media edge, behind the real socket: each purge of
// what is in cached drops it.
type fakeMedia struct {
	mu     sync.Mutex
	view   control.MediaView      // guarded by mu
	cached []string               // guarded by mu; "origin path"
	asked  []control.PurgeRequest // guarded by mu
}

func (f *fakeMedia) Media(context.Context) (control.MediaView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.view.Origins) == 0 {
		return control.MediaView{}, control.ErrNoMedia
	}
	return f.view, nil
}

func (f *fakeMedia) Purge(_ context.Context, q control.PurgeRequest) (r control.PurgeResult, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	if q.Origin != "" && q.Origin != "s3" && q.Origin != "backup" {
		return r, fmt.Errorf("%w: no origin is called %q: there are backup and s3", switcher.ErrInvalid, q.Origin)
	}
	for _, name := range []string{"backup", "s3"} {
		before := len(f.cached)
		f.cached = slices.DeleteFunc(f.cached, func(entry string) bool {
			origin, path, _ := strings.Cut(entry, " ")
			return origin == name && (q.Origin == "" || q.Origin == name) && (path == q.Path || q.Prefix != "" && strings.HasPrefix(path, q.Prefix))
		})
		if n := before - len(f.cached); n > 0 {
			r.Dropped += n
			r.Origins = append(r.Origins, control.PurgedOrigin{Name: name, Dropped: n})
		}
	}
	return r, nil
}

// holds fills the cache anew, and forgets what was asked.
func (f *fakeMedia) holds(entries ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cached, f.asked = entries, nil
}

func (f *fakeMedia) purged() []control.PurgeRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func exampleMedia() control.MediaView {
	return control.MediaView{
		Since: before(50 * time.Hour),
		Origins: []control.MediaOrigin{
			{
				Name: "bucket", Requests: 1234567, Failures: 3, Failovers: 12, Resumes: 2,
				Endpoints: []control.MediaEndpoint{
					{Address: "s3.eu.example.com:443", Healthy: true, Requests: 1234500, Failures: 1, Reason: "timed out after 2s"},
					{Address: "10.0.0.2:9000", Reason: "connection refused", Requests: 67, Failures: 14},
				},
			},
			{Name: "packager", Endpoints: []control.MediaEndpoint{{Address: "10.0.3.1:8080", Healthy: true}}},
			{Name: "gone", Endpoints: []control.MediaEndpoint{{Address: "10.0.4.1:8080", Reason: "not asked yet"}}},
		},
		Cache: &control.MediaCache{
			Objects: 40321, MemoryUsed: 200 << 20, MemoryLimit: 256 << 20, DiskUsed: 3 << 30, DiskLimit: 10 << 30,
			Hits: 9340, Misses: 660, Coalesced: 1500, Evictions: 12, DiskErrors: 2,
		},
		Rules: []control.MediaRule{
			{Name: "1 /vod/", Mode: "redirect", Origin: "bucket", Requests: 99},
			{Name: "2 media.example.com /live/", Mode: "proxy", Origin: "packager", Requests: 1234468, Bytes: 5 << 40, Sessions: 250, Starved: 3},
			{Name: "3 /posters/", Mode: "proxy", Origin: "bucket"},
		},
	}
}

func TestTheMediaEdgeLooksAsItShould(t *testing.T) {
	view := exampleMedia()
	small := control.MediaView{
		Origins: []control.MediaOrigin{{Name: "s3", Requests: 1, Endpoints: []control.MediaEndpoint{{Address: "10.0.0.1:9000", Healthy: true, Requests: 1}}}},
		Cache:   &control.MediaCache{Objects: 1, MemoryUsed: 10, MemoryLimit: 1 << 20},
	}
	for name, lines := range map[string][]line{
		"media":       mediaLines(&view, at),
		"media-small": mediaLines(&small, at),
		"media-none":  mediaLines(&control.MediaView{}, at),
		"purge": purgeLines(&purges{Dropped: 3413, Purged: []purgeDone{
			{Path: "/vod/42/master.m3u8", PurgeResult: control.PurgeResult{Dropped: 1, Origins: []control.PurgedOrigin{{Name: "s3", Dropped: 1}}}},
			{Prefix: "/vod/42/", PurgeResult: control.PurgeResult{Dropped: 3412, Origins: []control.PurgedOrigin{{Name: "backup", Dropped: 12}, {Name: "s3", Dropped: 3400}}}},
			{Path: "/vod/43.mp4"}, {Path: "/vod/44/"}, {Prefix: "/vod/45/"},
		}}),
	} {
		golden(t, name+".txt", paper{}, lines)
		golden(t, name+".color.txt", paper{color: true}, lines)
	}
}

func TestMediaShowsWhatTheEdgeSays(t *testing.T) {
	h := open(t, app)
	h.run(t, "media").wants(t, exitError, "", "this edge has no media edge: its config has no media_edge")
	h.media.view = exampleMedia()
	h.run(t, "media").wants(t, exitDone, "hit ratio 93.4% of 10,000 requests, 1,500 fetches saved by coalescing, 12 evictions, 2 disk errors\n")
	var doc control.MediaView
	must(t, json.Unmarshal([]byte(h.run(t, "media", "--json").out), &doc))
	if want := exampleMedia(); !reflect.DeepEqual(doc, want) {
		t.Errorf("%+v, want %+v", doc, want)
	}
	h.run(t, "media", "app").wants(t, exitError, "", "unknown command \"app\"")
}

func TestPurgeSaysWhatItDropped(t *testing.T) {
	h := open(t, app)
	h.media.holds("s3 /vod/42/a.ts", "backup /vod/42/a.ts", "s3 /vod/42/b.ts", "s3 /vod/420/a.ts", "s3 /a b")
	h.run(t, "purge", "/vod/%34%32/a.ts", "/vod/43/a.ts", "--reason", "takedown 7").wants(t, exitDone,
		"/vod/42/a.ts: 2 objects dropped (backup 1, s3 1)\n/vod/43/a.ts: nothing of it was cached\n2 objects in all\n")
	if asked := h.media.purged(); len(asked) != 2 || asked[0].Reason != "takedown 7" || asked[1].Reason != "takedown 7" || asked[0].By == "" {
		t.Errorf("%+v", asked)
	}
	h.run(t, "purge", "--prefix", "/vod/42/", "--prefix", "/a%20b/", "--json").wants(t, exitDone,
		`{"dropped":1,"purged":[{"prefix":"/vod/42/","dropped":1,"origins":[{"name":"s3","dropped":1}]},{"prefix":"/a b/","dropped":0}]}`)
	h.run(t, "purge", "/vod/420/").wants(t, exitDone, "/vod/420/: nothing of it was cached; what is below it goes with --prefix\n")
	h.run(t, "purge", "--all", "--origin", "backup").wants(t, exitDone, "/: nothing of it was cached\n")
	h.run(t, "purge", "--all").wants(t, exitDone, "/: 2 objects dropped (s3 2)\n")
}

func TestAPurgeOfWhatIsNoPathDropsNothing(t *testing.T) {
	h := open(t, app)
	h.media.holds("s3 /a")
	for _, c := range []struct {
		args string
		exit int
		why  string
	}{
		{"", exitError, "name at least one path, or --prefix, or --all"},
		{"/a|--all", exitError, "name either paths, or --prefix, or --all"},
		{"/a|--prefix|/b/", exitError, "name either paths"},
		{"--prefix|/b/|--all", exitError, "none of the others can be"},
		{"/a|", exitInvalid, "a path or prefix is empty"},
		{"--prefix|", exitInvalid, "a path or prefix is empty"},
		{"/a|/vod/../b", exitInvalid, "dot or empty segment; nothing is purged"},
		{"/a|/b%2fc", exitInvalid, "encoded slash"},
		{"/a|b", exitInvalid, "begin with a slash"},
		{"--prefix|/a/|--prefix|/b", exitInvalid, "a slash at the end"},
		{"--prefix|/", exitInvalid, "say --all; nothing is purged"},
		{"/a|--origin|a\nb", exitInvalid, "without control characters"},
	} {
		args := []string{"purge"}
		if c.args != "" {
			args = append(args, strings.Split(c.args, "|")...)
		}
		h.run(t, args...).wants(t, c.exit, "", c.why)
	}
	if asked := h.media.purged(); len(asked) > 0 {
		t.Errorf("the edge was asked: %+v", asked)
	}
	h.run(t, "purge", "/a", "--origin", "s4").wants(t, exitInvalid, "", `no origin is called "s4": there are backup and s3`)
}

// halting is an edge whose purges fail after the first.
type halting struct {
	edge
	asked int
}

func (h *halting) Purge(context.Context, control.PurgeRequest) (control.PurgeResult, error) {
	if h.asked++; h.asked > 1 {
		return control.PurgeResult{}, switcher.ErrClosed
	}
	return control.PurgeResult{Dropped: 1}, nil
}

func TestWhatWasPurgedBeforeAnErrorIsReported(t *testing.T) {
	out, errs := newOutput(), newOutput()
	s := &session{edge: &halting{}, socket: "/run/s", command: "purge", json: true, out: out, errs: errs}
	result, err := purge(t.Context(), s, []control.PurgeRequest{{Path: "/a"}, {Path: "/b"}, {Path: "/c"}})
	code := s.finish(result, err)
	var doc struct {
		purges
		Error failure
	}
	must(t, json.Unmarshal([]byte(out.String()), &doc))
	if code != exitUnreachable || doc.Dropped != 1 || len(doc.Purged) != 1 || doc.Purged[0].Path != "/a" || doc.Error.Exit != exitUnreachable {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestPurgeCompletesOriginsAndNoFiles(t *testing.T) {
	h := open(t, app)
	h.media.view = exampleMedia()
	h.media.view.Origins[2].Name = "evil\nname"
	for args, want := range map[string]string{
		"purge|": ":4\n", "purge|/a|": ":4\n", "media|": ":4\n", "purge|/a|--origin|": "bucket\npackager\n:4\n", "purge|--socket|no|--origin|": ":4\n",
	} {
		if r := h.run(t, append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Split(args, "|")...)...); r.out != want {
			t.Errorf("%s: %q, want %q", args, r.out, want)
		}
	}
}

func TestNothingThatTheMediaEdgeSaysReachesTheTerminalRaw(t *testing.T) {
	view := exampleMedia()
	done := purges{Purged: []purgeDone{{Path: "/a", PurgeResult: control.PurgeResult{Dropped: 1, Origins: []control.PurgedOrigin{{Name: "s3", Dropped: 1}}}}}}
	poison(reflect.ValueOf(&view).Elem(), hostile)
	poison(reflect.ValueOf(&done).Elem(), hostile)
	for _, l := range append(mediaLines(&view, at), purgeLines(&done)...) {
		if text := (paper{}).render(l); strings.ContainsFunc(text, isUnsafe) || !utf8.ValidString(text) {
			t.Errorf("%q", text)
		}
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 fetches", 1: "1 fetch", -1: "-1 fetches", 999: "999 fetches", 1000: "1,000 fetches", -1000: "-1,000 fetches", -999: "-999 fetches", 1234567: "1,234,567 fetches",
		math.MaxInt64: "9,223,372,036,854,775,807 fetches",
	} {
		if got := number(n, "fetch"); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
