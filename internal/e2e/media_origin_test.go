package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

// run is one run with an object: what the origin has of it, and how far the
// origin has failed.
type run struct {
	scenario *scenario
	old, new []byte // the second once it has changed
	fails    atomic.Bool
	changed  atomic.Bool
	asked    atomic.Int64 // while it fails
	offset   int          // where it fails
}

func (r *run) current() (content []byte, etag string) {
	content, version := r.old, 1
	if r.changed.Load() {
		content, version = r.new, 2
	}
	if r.scenario.plain {
		return content, ""
	}
	return content, fmt.Sprintf(`"v%d"`, version)
}

// right answers as an origin should.
func (r *run) right(w http.ResponseWriter, q *http.Request) {
	content, etag := r.current()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(content))
}

// scenario is a way for an origin to fail.
type scenario struct {
	name      string
	endpoints int
	plain     bool // no ETag
	first     bool // the first bytes are asked for before it fails
	ranges    bool // ranges only are asked for
	whole     bool // nothing less will do
	small     bool // all of it comes in one packet
	doubt     int  // how many reads afterwards may be cut: they share what was under way, and find out that what is kept is of the past
	impatient bool // the origin's pauses are short
	fail      func(r *run, nth int64, w http.ResponseWriter, q *http.Request)
}

// midway has the first answer end at the offset, by what end does; then comes next.
func midway(end func(http.ResponseWriter, *http.Request), next func(*run, http.ResponseWriter, *http.Request)) func(*run, int64, http.ResponseWriter, *http.Request) {
	return func(r *run, nth int64, w http.ResponseWriter, q *http.Request) {
		if nth > 1 {
			next(r, w, q)
			return
		}
		r.right(&breaking{w, r.offset, func() { end(w, q) }}, q)
	}
}

// breaking writes so many bytes, and then breaks off.
type breaking struct {
	http.ResponseWriter
	left int
	end  func()
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) < b.left {
		b.left -= len(p)
		return b.ResponseWriter.Write(p)
	}
	_, _ = b.ResponseWriter.Write(p[:b.left])
	_ = http.NewResponseController(b.ResponseWriter).Flush()
	b.end()
	panic(http.ErrAbortHandler)
}

func brokenOff(http.ResponseWriter, *http.Request)  { panic(http.ErrAbortHandler) }
func stall(_ http.ResponseWriter, q *http.Request)  { <-q.Context().Done() }
func dead(*run, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// other answers with another version: 412 where If-Match asks for the one
// before, or 206 or 200 in spite of it.
func other(head string) func(*run, int64, http.ResponseWriter, *http.Request) {
	return func(r *run, _ int64, w http.ResponseWriter, q *http.Request) {
		r.changed.Store(true)
		content, etag := r.current()
		if head != "412" {
			q.Header.Del("If-Match")
		}
		if head == "200" {
			q.Header.Del("Range")
		}
		if head != "no ETag" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(content))
	}
}

// lying says that there are more bytes than there are, or fewer, in an answer to
// whatever is asked.
func lying(by int) func(*run, int64, http.ResponseWriter, *http.Request) {
	return func(r *run, _ int64, w http.ResponseWriter, q *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		length := len(r.old) + max(by, 0)
		status, content, part := "200 OK", r.old, ""
		if span, err := resume.ParseContentRange(strings.Replace(q.Header.Get("Range"), "=", " ", 1) + fmt.Sprintf("/%d", length)); err == nil {
			last := min(span.Last, int64(length-1))
			status, part = "206 Partial Content", fmt.Sprintf("Content-Range: bytes %d-%d/%d\r\n", span.First, last, length)
			content, length = r.old[min(span.First, int64(len(r.old))):min(last+1, int64(len(r.old)))], int(last+1-span.First)
		}
		answer := fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: video/mp4\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n%sContent-Length: %d\r\n\r\n%s", status, part, length, content)
		if by < 0 { // behind the end is an answer to a question that nobody has asked
			answer = append(answer, "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 4\r\n\r\nevil"...)
		}
		_, _ = conn.Write(answer)
		if by < 0 {
			_, _ = io.Copy(io.Discard, conn) // until the other side lets go
		}
	}
}

// misplaced says of a part that it is another than the one that was asked for.
func misplaced(r *run, _ int64, w http.ResponseWriter, q *http.Request) {
	content, etag := r.current()
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", r.offset, r.offset+99, len(content)))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(content[r.offset : r.offset+100])
}

var scenarios = []*scenario{
	{name: "killed, another goes on", endpoints: 2, whole: true, fail: midway(brokenOff, (*run).right)},
	{name: "killed, and stays dead", endpoints: 1, fail: midway(brokenOff, dead)},
	{name: "killed, and both stay dead", endpoints: 2, fail: midway(brokenOff, dead)},
	{name: "killed, without an ETag", endpoints: 1, plain: true, fail: midway(brokenOff, (*run).right)},
	{name: "killed, without a length", endpoints: 1, plain: true, fail: func(r *run, _ int64, w http.ResponseWriter, q *http.Request) {
		_, _ = w.Write(r.old[:r.offset])
		_ = http.NewResponseController(w).Flush()
		brokenOff(w, q)
	}},
	{name: "slow, another goes on", endpoints: 2, impatient: true, whole: true, fail: midway(stall, (*run).right)},
	{name: "slow, and stays slow", endpoints: 1, impatient: true, fail: midway(stall, func(_ *run, w http.ResponseWriter, q *http.Request) { stall(w, q) })},
	{name: "shorter than it says", endpoints: 1, doubt: 2, fail: lying(1000)},
	{name: "longer than it says", endpoints: 1, whole: true, small: true, fail: lying(-1)},
	{name: "another part than it was asked for", endpoints: 1, ranges: true, fail: misplaced},
	{name: "all when asked for a part", endpoints: 1, ranges: true, whole: true, fail: func(r *run, _ int64, w http.ResponseWriter, q *http.Request) {
		q.Header.Del("Range")
		r.right(w, q)
	}},
	{name: "changed, and says so", endpoints: 1, first: true, fail: other("412")},
	{name: "changed, in spite of If-Match", endpoints: 1, first: true, fail: other("206")},
	{name: "changed, and sends all", endpoints: 1, first: true, fail: other("200")},
	{name: "changed, and has no ETag any more", endpoints: 1, first: true, fail: other("no ETag")},
	{name: "killed, and another has another version", endpoints: 2, doubt: 2, fail: midway(brokenOff, func(r *run, w http.ResponseWriter, q *http.Request) {
		other("412")(r, 2, w, q)
	})},
}

// perScenario is how many runs each has, with and without a cache.
var perScenario = func() map[string]int {
	if raceFlag == "-race" {
		return map[string]int{"media": 10, "raw": 5}
	}
	return map[string]int{"media": 50, "raw": 25}
}()

func TestAnOriginThatFailsIsNeverSeenInTheBytes(t *testing.T) {
	reel := film(8 << 20)
	runs := make(map[string]*run)
	origin := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r := runs[q.URL.Path]; r.fails.Load() {
			r.scenario.fail(r, r.asked.Add(1), w, q)
		} else {
			r.right(w, q)
		}
	})
	a, b := httptest.NewServer(origin), httptest.NewServer(origin)
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	var directives strings.Builder
	for i, s := range scenarios {
		at := strings.Join([]string{a.URL, b.URL}[:s.endpoints], " ")
		patience := ""
		if s.impatient {
			patience = "idle_timeout 3s\nhead_timeout 10s"
		}
		for rule, keep := range map[string]string{"media": "", "raw": "cache off"} {
			fmt.Fprintf(&directives, "media_edge {\nname %[1]s%[2]d\npath /%[1]s/%[2]d/\norigin %[3]s {\n%[5]s\n}\n%[4]s\n}\n", rule, i, at, keep, patience)
			for n := range perScenario[rule] {
				size := 1_100_000 + rand.IntN(2_000_000)
				if s.small {
					size /= 200
				}
				from := rand.IntN(len(reel) - size)
				r := &run{scenario: s, old: reel[from : from+size], offset: 1 + rand.IntN(size-200)}
				r.new = append(bytes.Clone(r.old[size/2:]), r.old[:size/2]...)
				runs["/"+rule+"/"+strconv.Itoa(i)+"/"+strconv.Itoa(n)+".mp4"] = r
			}
		}
	}
	e := mediaSite(t, directives.String())
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			var group sync.WaitGroup
			var wholes atomic.Int64
			for rule, all := range perScenario {
				for n := range all {
					path := fmt.Sprintf("/%s/%d/%d.mp4", rule, i, n)
					group.Go(func() { e.endure(t, path, runs[path], n, &wholes) })
				}
			}
			group.Wait()
			all := int64(perScenario["media"] + perScenario["raw"])
			if s.whole && wholes.Load() != all {
				t.Errorf("%d of %d were whole", wholes.Load(), all)
			}
			t.Logf("%d of %d whole in %v", wholes.Load(), all, time.Since(began).Round(time.Millisecond))
		})
	}
}

// endure reads an object while its origin fails, and then when it is well again.
func (e *edge) endure(t *testing.T, path string, r *run, n int, wholes *atomic.Int64) {
	url, span := "http://"+e.http+path, ""
	if r.scenario.first {
		if _, body, err := download(t.Context(), http.DefaultClient, url, "bytes=0-1"); err != nil || !bytes.Equal(body, r.old[:2]) {
			t.Errorf("%s: the first bytes: %d bytes, %v", path, len(body), err)
		}
	}
	if r.scenario.ranges || n%3 == 0 {
		span = fmt.Sprintf("bytes=%d-%d", r.offset/2, r.offset+50)
	}
	r.fails.Store(true)
	if short, wrong := r.fetch(t, url, span); wrong != nil {
		t.Errorf("%s while it fails: %v", path, wrong)
	} else if short == nil {
		wholes.Add(1)
	}
	r.fails.Store(false)
	for i := range 2 + r.scenario.doubt {
		short, wrong := r.fetch(t, url, "")
		if wrong != nil || short != nil && i >= r.scenario.doubt {
			t.Errorf("%s after it, read %d: %v, %v", path, i, short, wrong)
		}
	}
}

// fetch reads an object, or a range of it. short says how it was refused or cut;
// wrong is of other bytes, and of an end that looks like the end of all.
func (r *run) fetch(t *testing.T, url, span string) (short, wrong error) {
	res, body, err := download(t.Context(), http.DefaultClient, url, span)
	if res == nil {
		return err, nil
	}
	got := fmt.Errorf("%d %v, %d bytes, %v", res.StatusCode, res.Header, len(body), err)
	if res.StatusCode >= 500 { // refused before there was a head
		return got, nil
	}
	want := r.old
	if etag := res.Header.Get("ETag"); etag == `"v2"` || etag == "" && !r.scenario.plain {
		want = r.new
	}
	if now, _ := r.current(); err == nil && !r.fails.Load() && !bytes.Equal(body, now) {
		return nil, fmt.Errorf("bytes of the past: %w", got)
	}
	if res.StatusCode == http.StatusPartialContent {
		want = want[r.offset/2 : r.offset+51]
	}
	switch {
	case res.StatusCode >= 300 || !bytes.HasPrefix(want, body) || err == nil && len(body) != len(want):
		return nil, got
	case err != nil:
		return got, nil
	}
	return nil, nil
}
