//go:build !race

package player

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bucket is a Sink that serves what it has been given.
type bucket struct {
	t       *testing.T
	missing func(name string) bool // what is not found all the same

	mu    sync.Mutex
	files map[string][]byte // guarded by mu
	cmcd  map[string]bool   // guarded by mu; the ways in which reports have come
}

// published serves a stream from a bucket.
func published(t *testing.T, s Stream, dir string, missing func(name string) bool) (b *bucket, index string) {
	t.Helper()
	b = &bucket{t: t, missing: missing, files: map[string][]byte{}, cmcd: map[string]bool{}}
	Publish(t, dir, b)
	return b, serve(t, b) + s.Index()
}

func serve(t *testing.T, handler http.Handler) (address string) {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL + "/"
}

func (b *bucket) Put(_ context.Context, name string, body []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if path.Ext(name) == ".m3u8" {
		for line := range strings.Lines(string(body)) {
			line = strings.TrimSpace(line)
			if _, ok := b.files[line]; line != "" && line[0] != '#' && !isIndex(line) && !ok {
				b.t.Errorf("%s was put before %s, which it names", name, line)
			}
		}
	}
	b.files[name] = body
	return nil
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	b.mu.Lock()
	body, ok := b.files[name]
	query := r.URL.Query().Get("CMCD")
	b.cmcd["query"] = b.cmcd["query"] || query != "" && !strings.Contains(query, "v=2")
	b.cmcd["query, version 2"] = b.cmcd["query, version 2"] || strings.Contains(query, "v=2")
	b.cmcd["headers"] = b.cmcd["headers"] || r.Header.Get("CMCD-Session") != ""
	b.mu.Unlock()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "Range, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", ContentType(name))
	if !ok || b.missing(name) {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// attempts is how often a busy machine may spoil the control runs.
const attempts = 3

func TestStreamsPlayInABrowserFromABucketAsFromFiles(t *testing.T) {
	tests := []struct {
		stream  Stream
		cmcd    string
		version int
		reports string
	}{
		{Stream{HLSTS, 16 * time.Second}, "query", 2, "query, version 2"},
		{Stream{DASH, 16 * time.Second}, "query", 1, "query"},
		{Stream{HLSMP4, 0}, "headers", 1, "headers"},
		{Stream{DASH, 0}, "headers", 1, "headers"},
	}
	var streams []Stream
	for _, test := range tests {
		streams = append(streams, test.stream)
	}
	dirs := Start(t, streams...)
	var views []View
	var buckets []*bucket
	for i, test := range tests {
		bucket, address := published(t, test.stream, dirs[i], func(string) bool { return false })
		control := serve(t, Files(dirs[i])) + test.stream.Index()
		probeBoth(t, test.stream, address, control)
		buckets = append(buckets, bucket)
		for _, address := range []string{address, control} {
			views = append(views, View{URL: address, Player: test.stream.Player(), For: max(16*time.Second, 3*test.stream.Length),
				CMCD: test.cmcd, CMCDVersion: test.version})
		}
	}
	var runs, controls []Result
	for range attempts {
		runs, controls = playPairs(t, views)
		if !slices.ContainsFunc(controls, func(r Result) bool { return !r.Smooth() }) {
			break
		}
	}
	for i, test := range tests {
		if err := Compare(runs[i], controls[i]); err != nil {
			t.Errorf("%s: %v", test.stream, err)
		}
		if test.stream.Length > 0 && !runs[i].Ended {
			t.Errorf("%s was not seen to its end: %s", test.stream, runs[i])
		}
		if !buckets[i].cmcd[test.reports] {
			t.Errorf("%s: no CMCD by %s, but %v", test.stream, test.reports, buckets[i].cmcd)
		}
	}
}

// playPairs plays views of which each second one is the control run of the first.
func playPairs(t *testing.T, views []View) (runs, controls []Result) {
	t.Helper()
	results, err := Play(t.Context(), views...)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(results, 2) {
		t.Logf("run:     %s\ncontrol: %s", pair[0], pair[1])
		runs, controls = append(runs, pair[0]), append(controls, pair[1])
	}
	return runs, controls
}

// probeBoth compares what ffprobe finds in two places.
func probeBoth(t *testing.T, s Stream, address, control string) {
	t.Helper()
	first := max(s.Length, time.Second)
	found, err := Probe(t.Context(), address, first)
	if err != nil {
		t.Fatal(err)
	}
	there, err := Probe(t.Context(), control, first)
	if err != nil {
		t.Fatal(err)
	}
	if s.Length == 0 { // the two were not read at the same moment
		for i := range min(len(found.Tracks), len(there.Tracks)) {
			found.Tracks[i].Packets = there.Tracks[i].Packets
		}
	}
	if !reflect.DeepEqual(found, there) {
		t.Errorf("%s: ffprobe finds %+v, and in the files %+v", s, found, there)
	}
	if found.Duration.Round(time.Second) != s.Length || len(found.Tracks) < 3 {
		t.Errorf("%s: ffprobe finds %+v", s, found)
	}
}

// A harness that cannot fail shows nothing.
func TestMissingSegmentsAreStallsInABrowser(t *testing.T) {
	streams := []Stream{{HLSMP4, 16 * time.Second}, {DASH, 16 * time.Second}}
	dirs := Start(t, streams...)
	var views []View
	for i, s := range streams {
		_, address := published(t, s, dirs[i], func(name string) bool {
			hls, _ := filepath.Match("?_[3-9].m4s", name)
			dash, _ := filepath.Match("chunk-*-0000[4-9].m4s", name)
			return hls || dash
		})
		views = append(views, View{URL: address, Player: s.Player(), For: 10 * time.Second})
	}
	results, err := Play(t.Context(), views...)
	if err != nil {
		t.Fatal(err)
	}
	good := Result{Started: true, Seconds: 10, Played: 10}
	for i, s := range streams {
		t.Logf("%s: %s", s, results[i])
		if r := results[i]; r.Stalls == 0 || len(r.Failed) == 0 || r.Smooth() || Compare(r, good) == nil {
			t.Errorf("%s lacks segments, and nobody minds: %s", s, r)
		}
	}
}
