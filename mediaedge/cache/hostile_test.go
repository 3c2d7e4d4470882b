package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fake answers without a socket: for what net/http does not let a server do.
func fake(status int, length int64, body []byte, fields ...string) fetchFunc {
	return func(context.Context, string, http.Header) (*http.Response, error) {
		res := &http.Response{StatusCode: status, ContentLength: length, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
		for _, f := range fields {
			key, value, _ := strings.Cut(f, ": ")
			res.Header.Add(key, value)
		}
		return res, nil
	}
}

// serve has one request answered into a recorder.
func serve(c *Cache, f Fetcher, terms Terms, fields ...string) (*httptest.ResponseRecorder, Outcome, error) {
	r := httptest.NewRequest(http.MethodGet, "/a", nil)
	for _, f := range fields {
		key, value, _ := strings.Cut(f, ": ")
		r.Header.Add(key, value)
	}
	w := httptest.NewRecorder()
	out, err := c.Serve(w, r, Request{Key: "o /a", Scope: "o", Path: "/a", Origin: f, Terms: terms})
	return w, out, err
}

func TestABodyThatIsNotWhatItsHeadSaysIsCutAndNotKept(t *testing.T) {
	content := random(20_000)
	etag := `Etag: "v1"`
	for name, f := range map[string]struct {
		fetch  fetchFunc
		fields []string
	}{
		"short, in blocks":              {fake(200, 20_000, content[:19_999], etag), nil},
		"surplus, in blocks":            {fake(200, 20_000, append(slices.Clone(content), 'x'), etag), nil},
		"short, in one piece":           {fake(200, 20_000, content[:19_999]), nil},
		"surplus, in one piece":         {fake(200, 20_000, append(slices.Clone(content), 'x')), nil},
		"short by a block, one piece":   {fake(200, 20_000, content[:16384]), nil},
		"short range":                   {fake(206, 8192, content[:8191], etag, "Content-Range: bytes 0-8191/20000"), []string{"Range: bytes=0-5000"}},
		"surplus range":                 {fake(206, 8192, content[:8193], etag, "Content-Range: bytes 0-8191/20000"), []string{"Range: bytes=0-8190"}},
		"surplus range, length unknown": {fake(206, -1, content[:8193], etag, "Content-Range: bytes 0-8191/20000"), []string{"Range: bytes=0-8191"}},
	} {
		c := newCache(t, smallBlocks())
		w, out, err := serve(c, f.fetch, Terms{TTL: time.Hour}, f.fields...)
		if name == "short range" && err == nil { // the bytes that were wanted may have come before
			if !bytes.Equal(w.Body.Bytes(), content[:5001]) {
				t.Errorf("%s: wrong bytes", name)
			}
		} else if err == nil || out.Status != 0 && !errors.Is(err, ErrAborted) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		if !bytes.HasPrefix(content, w.Body.Bytes()) {
			t.Errorf("%s: wrong bytes", name)
		}
		until(t, name+": dropped", func() bool { s := c.Stats(); return s.Fills == 0 && s.Objects == 0 && s.Blocks == 0 })
	}
}

// dies sends a part of its object and then cuts the connection.
func dies(content []byte, etag string, length bool, after int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("Etag", etag)
		}
		if length {
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		}
		_, _ = w.Write(content[:after])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestAnOriginThatDiesMidBodyCutsItsReadersAndLeavesNothingWrong(t *testing.T) {
	content := random(2*MiB + 100)
	for _, etag := range []string{`"v1"`, ``} {
		for _, length := range []bool{true, false} {
			what := fmt.Sprintf("ETag %q, length %v", etag, length)
			o := newOrigin(t, dies(content, etag, length, MiB+1000))
			e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
			results(10, func(int) {
				a := e.get("/a")
				if a.err == nil && a.status == 200 {
					t.Errorf("%s: %d bytes and no error", what, len(a.body))
				}
				if a.status == 200 && !bytes.HasPrefix(content, a.body) {
					t.Errorf("%s: wrong bytes", what)
				}
			})
			e.idle()
			o.now(file(content, etag))
			e.get("/a").want(t, what+", then", 200, content)
		}
	}
}

func TestOneVersionIsNeverMixedWithAnother(t *testing.T) {
	old, changed := random(64*KiB), bytes.Repeat([]byte("new "), 16*KiB)
	for name, h := range map[string]http.HandlerFunc{
		"by If-Match": file(changed, `"v2"`),
		"If-Match is ignored": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			file(changed, `"v2"`)(w, r)
		},
		"weak": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			file(changed, `W/"v1"`)(w, r)
		},
		"no ETag": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			file(changed, ``)(w, r)
		},
		"the same ETag, another length": func(w http.ResponseWriter, r *http.Request) {
			file(changed[:60*KiB], `"v1"`)(w, r)
		},
		"the same ETag, another length, no ranges": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			file(changed[:60*KiB], `"v1"`)(w, r)
		},
		"gone": http.NotFound,
	} {
		o := newOrigin(t, file(old, `"v1"`))
		e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour, Negative: time.Second})
		e.get("/a", "Range: bytes=0-1").want(t, name, 206, old[:2])
		e.idle()
		o.now(h)
		// The head goes out with the first block, which is of the old version.
		a := e.get("/a")
		if a.err == nil || a.status != 200 || !bytes.HasPrefix(old, a.body) {
			t.Errorf("%s, whole: status %d, %d bytes, %v", name, a.status, len(a.body), a.err)
		}
		e.idle()
		// Nothing was sent yet: it starts anew.
		o.now(file(old, `"v1"`))
		e.get("/b", "Range: bytes=0-1").want(t, name, 206, old[:2])
		e.idle()
		o.now(h)
		a = e.get("/b", "Range: bytes=50000-50003")
		switch {
		case name == "gone":
			a.want(t, name+", anew", 404, []byte("404 page not found\n"))
		case name == "the same ETag, another length, no ranges":
			a.want(t, name+", anew", 206, changed[50000:50004])
		default:
			a.want(t, name+", anew", 206, changed[50000:50004])
		}
	}
}

func TestAFalseContentRangeIsNotTaken(t *testing.T) {
	content := random(64 * KiB)
	var lie atomic.Value
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if v, _ := lie.Load().(string); v != "" {
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Content-Range", v)
			w.Header().Set("Content-Length", "4096")
			w.WriteHeader(206)
			_, _ = w.Write(content[:4096])
			return
		}
		file(content, `"v1"`)(w, r)
	})
	for _, v := range []string{"bytes 0-4095/65536", "bytes 8193-12288/65536", "bytes 8192-12287/*", "bytes 8192-12286/65536", "bytes */65536",
		"8192-12287/65536", "bytes 8192-12288/65536", "bytes 8192-12287/65536, bytes 0-1/65536"} {
		lie.Store("")
		c := newCache(t, smallBlocks())
		e := newEdge(t, c, o, Terms{TTL: time.Hour})
		e.get("/a", "Range: bytes=0-1").want(t, v, 206, content[:2])
		e.idle()
		lie.Store(v)
		e.get("/a", "Range: bytes=8192-8193").want(t, v+": known", 502, nil)
		e.idle()
		if a := e.get("/b", "Range: bytes=8192-8193"); a.status != 502 && a.header.Get("Content-Range") != v {
			t.Errorf("%s: unknown: status %d, Content-Range %q", v, a.status, a.header.Get("Content-Range"))
		}
		e.idle()
		lie.Store("")
		e.get("/a", "Range: bytes=8192-8193").want(t, v+": then", 206, content[8192:8194])
	}
}

func TestARangeThatBeginsElsewhereIsNotTaken(t *testing.T) {
	content := random(64 * KiB)
	for _, v := range []string{"bytes 4096-12287/65536", "bytes 8192-16383/65536"} {
		c := newCache(t, smallBlocks())
		f := fake(206, 8192, content[4096:12288], `Etag: "v1"`, "Content-Range: "+v)
		if w, out, err := serve(c, f, Terms{TTL: time.Hour}, "Range: bytes=8192-8193"); err == nil || out.Status != 0 || w.Body.Len() != 0 {
			t.Errorf("%s: %+v, %d bytes, %v", v, out, w.Body.Len(), err)
		}
		if s := c.Stats(); s.Blocks != 0 || s.Objects != 0 {
			t.Errorf("%s: %+v", v, s)
		}
	}
}

func TestAnOriginWithoutRangesIsReadFromItsBeginning(t *testing.T) {
	content := random(200 * KiB)
	whole := func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		file(content, `"v1"`)(w, r)
	}
	o := newOrigin(t, whole)
	e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour})
	e.get("/a", "Range: bytes=150000-150001").want(t, "unknown", 206, content[150000:150002])
	e.idle()
	e.get("/a").want(t, "whole", 200, content)
	e.idle()
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
	if a := e.do(t.Context(), http.MethodHead, "/b"); a.status != 200 {
		t.Error(a.status)
	}
	e.get("/b", "Range: bytes=150000-150001").want(t, "known", 206, content[150000:150002])
	e.idle()
	e.get("/b").want(t, "known, whole", 200, content)
}

func TestRangesOfAnObjectWithoutAStrongETagPassThrough(t *testing.T) {
	content := random(64 * KiB)
	for _, etag := range []string{``, `W/"v1"`} {
		o := newOrigin(t, file(content, etag))
		e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour})
		for range 2 {
			a := e.get("/a", "Range: bytes=5-9,7000-7001", "If-Range: Sat, 01 Nov 2025 10:00:00 GMT")
			if a.status != 206 || !strings.Contains(a.status0(), "fwd=bypass") {
				t.Errorf("ETag %q: %d %s", etag, a.status, a.status0())
			}
		}
		field := "Range=bytes=5-9,7000-7001 If-Range=Sat, 01 Nov 2025 10:00:00 GMT"
		if asked := o.requests(); len(asked) != 3 || asked[1] != "GET /a "+field || asked[2] != "GET /a "+field {
			t.Errorf("ETag %q: %s", etag, lines(asked))
		}
		e.get("/a").want(t, "whole", 200, content)
		e.idle()
		n := len(o.requests())
		e.get("/a", "Range: bytes=5-9").want(t, "held", 206, content[5:10])
		if len(o.requests()) != n {
			t.Error(lines(o.requests()))
		}
	}
}

func TestAnAnswerForOneIsGivenToOne(t *testing.T) {
	for name, tt := range map[string]struct{ key, value string }{
		"private": {"Cache-Control", "private, max-age=60"}, "no-store": {"Cache-Control", "max-age=60, no-store"},
		"quoted": {"Cache-Control", `max-age=60, private="set-cookie"`}, "vary": {"Vary", "Accept, *"},
		"targeted": {"Cdn-Cache-Control", "no-store"},
	} {
		var n atomic.Int64
		hold := make(chan struct{})
		o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			<-hold
			w.Header().Set(tt.key, tt.value)
			file([]byte("for number "+strconv.FormatInt(n.Add(1), 10)), `"v1"`)(w, r)
		})
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour, StaleIfError: time.Hour})
		bodies := make([]string, 20)
		go func() {
			until(t, "all wait", func() bool {
				e.c.mu.Lock()
				defer e.c.mu.Unlock()
				return e.c.openings["GET o /a"] != nil && e.c.openings["GET o /a"].waiters == 20
			})
			close(hold)
		}()
		results(20, func(i int) {
			a := e.get("/a")
			bodies[i] = string(a.body)
			if a.status != 200 || a.header.Get("Age") != "" || tt.key == "Cache-Control" && a.header.Get("Cache-Control") != tt.value {
				t.Errorf("%s: %d %q", name, a.status, a.header)
			}
		})
		slices.Sort(bodies)
		if len(slices.Compact(bodies)) != 20 || len(o.requests()) != 20 {
			t.Errorf("%s: %d bodies for 20 clients, %d requests", name, len(slices.Compact(bodies)), len(o.requests()))
		}
		if s := e.c.Stats(); s.Blocks != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		o.now(http.NotFound)
		if a := e.get("/a"); a.status != 404 {
			t.Errorf("%s: %d %q", name, a.status, a.body)
		}
	}
}

func TestRedirectsAndOddStatusesAreNotPassedOn(t *testing.T) {
	for _, code := range []int{204, 206, 301, 302, 303, 304, 305, 307, 308} {
		o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://elsewhere.example/")
			w.WriteHeader(code)
		})
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour, Negative: time.Hour})
		want := http.StatusBadGateway
		if code == 204 {
			want = 204
		}
		if a := e.get("/a"); a.status != want || a.header.Get("Location") != "" {
			t.Errorf("%d became %d %q", code, a.status, a.header)
		}
	}
}

func TestErrorsAreSharedByThoseWhoWaitAndNotKept(t *testing.T) {
	for _, code := range []int{400, 401, 403, 418, 429, 500, 501, 503} {
		hold := make(chan struct{})
		o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			<-hold
			w.Header().Set("Cache-Control", "max-age=3600")
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "<Error/>")
		})
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour, Negative: time.Hour})
		go func() {
			until(t, "all wait", func() bool {
				e.c.mu.Lock()
				defer e.c.mu.Unlock()
				return e.c.openings["GET o /a"] != nil && e.c.openings["GET o /a"].waiters == 20
			})
			close(hold)
		}()
		results(20, func(int) { e.get("/a").want(t, strconv.Itoa(code), code, []byte("<Error/>")) })
		if asked := o.requests(); len(asked) != 1 {
			t.Errorf("%d: %s", code, lines(asked))
		}
		e.get("/a").want(t, "again", code, []byte("<Error/>"))
		if asked := o.requests(); len(asked) != 2 {
			t.Errorf("%d: %s", code, lines(asked))
		}
	}
}

func TestAFieldWithoutEndIsLeftOut(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		long := strings.Repeat("x", 100*KiB)
		w.Header().Set("Content-Disposition", long)
		w.Header().Set("Etag", `"`+long+`"`)
		http.ServeContent(w, r, "a.ts", longSince, strings.NewReader("body"))
	})
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	a := e.get("/a")
	a.want(t, "long", 200, []byte("body"))
	if a.header.Get("Content-Disposition") != "" || a.header.Get("Etag") != "" {
		t.Error("a long field was sent on")
	}
}

func TestABodyThatEndsWithItsConnectionIsNotKept(t *testing.T) {
	for _, terms := range []Terms{{TTL: time.Hour}, {TTL: time.Hour, Small: true}} {
		for _, field := range []string{"Etag: \"v1\"\r\n", ""} {
			o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				conn, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n" + field + "\r\n#EXTM3U\nperhaps the origin died here")
				_ = rw.Flush()
			})
			e := newEdge(t, newCache(t, Options{}), o, terms)
			for range 2 {
				e.get("/a").want(t, "unframed", 200, []byte("#EXTM3U\nperhaps the origin died here"))
				e.idle()
			}
			if s := e.c.Stats(); len(o.requests()) != 2 || s.Objects != 0 || s.Blocks != 0 {
				t.Errorf("%s; %+v", lines(o.requests()), s)
			}
		}
	}
}

func TestAStaleObjectInOnePieceIsServedThoughMemoryHasLostIt(t *testing.T) {
	hold := make(chan struct{})
	content := random(50_000)
	o := newOrigin(t, file(content, ""))
	e := newEdge(t, newCache(t, smallBlocks()), o, Terms{})
	e.get("/a").want(t, "cold", 200, content)
	e.idle()
	o.now(stepHead(hold, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	second := make(chan answer)
	go func() { second <- e.get("/a") }()
	until(t, "the origin is asked", func() bool { return len(o.requests()) == 2 })
	e.c.pieces.InvalidateAll()
	close(hold)
	(<-second).want(t, "revalidated", 200, content)
}
