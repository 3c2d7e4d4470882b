package cache

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plainFile is what net/http makes of the file without a cache.
func plainFile(t *testing.T, content []byte, etag, method string, fields ...string) answer {
	r := httptest.NewRequest(method, "/", nil)
	for _, f := range fields {
		key, value, _ := strings.Cut(f, ": ")
		r.Header.Add(key, value)
	}
	w := httptest.NewRecorder()
	file(content, etag)(w, r)
	return answer{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
}

// same compares what a client sees of the object. A boundary is chosen anew each time.
func same(t *testing.T, what string, got, want answer) {
	t.Helper()
	for _, key := range []string{"Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified"} {
		g, w := got.header.Get(key), want.header.Get(key)
		if gt, gb, ok := strings.Cut(g, "boundary="); ok {
			wt, wb, _ := strings.Cut(w, "boundary=")
			g, w = gt, wt
			want.body = bytes.ReplaceAll(want.body, []byte(wb), []byte(gb))
		}
		if key == "Content-Length" && w == "" { // a recorder counts nothing
			w = strconv.Itoa(len(want.body))
			if want.status == http.StatusNotModified || want.status == http.StatusPreconditionFailed {
				w = g
			}
		}
		if g != w {
			t.Errorf("%s: %s is %q, want %q", what, key, g, w)
		}
	}
	if got.err != nil || got.status != want.status || !bytes.Equal(got.body, want.body) {
		t.Errorf("%s: status %d, %d bytes, %v (%s); want %d with %d bytes", what, got.status, len(got.body), got.err,
			got.header.Get("X-Error"), want.status, len(want.body))
	}
}

var manyRanges = "Range: bytes=0-0" + strings.Repeat(",5-5", 16)

var requests = [][]string{
	{}, {"Range: bytes=0-0"}, {"Range: bytes=0-1"}, {"Range: bytes=0-"}, {"Range: bytes=4095-4096"}, {"Range: bytes=4096-8191"},
	{"Range: bytes=100-5000"}, {"Range: bytes=9000-"}, {"Range: bytes=-1"}, {"Range: bytes=-5000"}, {"Range: bytes=-99999999"},
	{"Range: bytes=9999-99999999"}, {"Range: bytes=99999999-"}, {"Range: bytes=99999999-100000000"}, {"Range: bytes=0-0,4000-5000,9000-9001"},
	{"Range: bytes=-1,0-0"}, {"Range: bytes=0-9,0-9999,5-99999"}, {"Range: bytes=5-4"}, {"Range: bytes=a-b"}, {"Range: bytes="},
	{"Range: items=0-1"}, {"Range: bytes=0-1, 5-6"}, {"Range: bytes= 7-9"}, {"Range: bytes=9223372036854775807-"},
	{"Range: bytes=92233720368547758070-"}, {manyRanges},
	{"Range: bytes=0-1", `If-Range: "v1"`}, {"Range: bytes=0-1", `If-Range: "v2"`}, {"Range: bytes=0-1", `If-Range: W/"v1"`},
	{"Range: bytes=0-1", "If-Range: Sat, 01 Nov 2025 10:00:00 GMT"}, {"Range: bytes=0-1", "If-Range: Sat, 01 Nov 2025 10:00:01 GMT"},
	{`If-None-Match: "v1"`}, {`If-None-Match: W/"v1"`}, {`If-None-Match: "v2"`}, {`If-None-Match: "v2", "v1"`}, {"If-None-Match: *"},
	{`If-None-Match: "v1"`, "Range: bytes=0-1"}, {`If-Match: "v1"`}, {`If-Match: "v2"`}, {"If-Match: *"},
	{"If-Modified-Since: Sat, 01 Nov 2025 10:00:00 GMT"}, {"If-Modified-Since: Sat, 01 Nov 2025 09:59:59 GMT"},
	{"If-Unmodified-Since: Sat, 01 Nov 2025 10:00:00 GMT"}, {"If-Unmodified-Since: Sat, 01 Nov 2025 09:59:59 GMT"},
}

func TestAnswersAreThoseOfTheFileItself(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 8192, 10_000, 3 * 4096, 100_001} {
		content := random(size)
		for _, etag := range []string{`"v1"`, ``} {
			o := newOrigin(t, file(content, etag))
			e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour})
			for i, fields := range requests {
				if etag == "" && len(fields) > 0 && strings.HasPrefix(fields[0], "Range: ") && strings.Count(fields[0], ",") >= maxRanges {
					continue
				}
				wanted := fields
				if slices.Contains(fields, manyRanges) {
					wanted = nil
				}
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					if method == http.MethodHead { // RFC 9110 §14.2; net/http looks at it
						wanted = slices.DeleteFunc(slices.Clone(wanted), func(f string) bool { return strings.HasPrefix(f, "Range: ") })
					}
					want := plainFile(t, content, etag, method, wanted...)
					path := fmt.Sprintf("/cold-%d-%s", i, method)
					what := fmt.Sprintf("%d bytes, ETag %s, %s %q", size, etag, method, fields)
					same(t, what+", cold", e.do(t.Context(), method, path, fields...), want)
					same(t, what+", then", e.do(t.Context(), method, path, fields...), want)
					same(t, what+", hot", e.do(t.Context(), method, "/hot", fields...), want)
				}
			}
		}
	}
}

func TestAHitAsksNobody(t *testing.T) {
	content := random(3 * MiB)
	o := newOrigin(t, file(content, `"v1"`))
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour, Immutable: true})
	a := e.get("/a")
	a.want(t, "cold", 200, content)
	if got, want := a.status0(), "greenroom; fwd=uri-miss; fwd-status=200; stored; ttl=3600"; got != want {
		t.Errorf("Cache-Status %q, want %q", got, want)
	}
	if got, want := a.header.Get("Cache-Control"), "public, max-age=3600, immutable"; got != want {
		t.Errorf("Cache-Control %q, want %q", got, want)
	}
	e.idle()
	a = e.get("/a", "Range: bytes=1000000-2000000", "Cache-Control: no-cache", "Pragma: no-cache")
	a.want(t, "hot", 206, content[1000000:2000001])
	if got := a.status0(); !strings.HasPrefix(got, "greenroom; hit; ttl=3") || a.header.Get("Age") == "" {
		t.Errorf("Cache-Status %q, Age %q", got, a.header.Get("Age"))
	}
	if asked := o.requests(); len(asked) != 1 {
		t.Error(lines(asked))
	}
}

func TestARangeOfAnUnknownObjectFetchesTheBlocksAroundItOnly(t *testing.T) {
	content := random(1 * MiB)
	for name, tt := range map[string]struct {
		fields string
		asked  []string
		upTo   int64 // bytes of the origin
	}{
		"first":   {"Range: bytes=0-1", []string{"GET /a Range=bytes=0-4095"}, 4 * KiB},
		"within":  {"Range: bytes=500000-500001", []string{"GET /a Range=bytes=499712-503807"}, 4 * KiB},
		"across":  {"Range: bytes=4095-4096", []string{"GET /a Range=bytes=0-8191"}, 8 * KiB},
		"suffix":  {"Range: bytes=-10", []string{"GET /a Range=bytes=0-4095", `GET /a Range=bytes=1044480-1048575 If-Match="v1"`}, 8 * KiB},
		"several": {"Range: bytes=1-2,900000-900001", []string{"GET /a Range=bytes=0-4095", `GET /a Range=bytes=897024-913407 If-Match="v1"`}, 20 * KiB},
	} {
		o := newOrigin(t, file(content, `"v1"`))
		e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour})
		same(t, name, e.get("/a", tt.fields), plainFile(t, content, `"v1"`, "GET", tt.fields))
		e.idle()
		if asked := o.requests(); !slices.Equal(asked, tt.asked) || o.bytes.Load() > tt.upTo {
			t.Errorf("%s: %s; %d bytes, want at most %d", name, lines(asked), o.bytes.Load(), tt.upTo)
		}
	}
}

func TestConsecutiveMissingBlocksAreOneRequest(t *testing.T) {
	content := random(64 * KiB)
	o := newOrigin(t, file(content, `"v1"`))
	e := newEdge(t, newCache(t, smallBlocks()), o, Terms{TTL: time.Hour})
	e.get("/a", "Range: bytes=20000-20001").want(t, "one block", 206, content[20000:20002])
	e.idle()
	e.get("/a").want(t, "all", 200, content)
	e.idle()
	want := []string{"GET /a Range=bytes=16384-20479", `GET /a Range=bytes=0-16383 If-Match="v1"`, `GET /a Range=bytes=20480-65535 If-Match="v1"`}
	if asked := o.requests(); !slices.Equal(asked, want) {
		t.Error(lines(asked))
	}
}

func TestOnlyKnownFieldsOfTheOriginAreSentOn(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Set-Cookie", "a=b")
		h.Set("X-Amz-Request-Id", "7")
		h.Set("Vary", "Origin")
		h.Set("Server", "AmazonS3")
		h.Set("Content-Language", "de")
		h.Set("Content-Disposition", "inline")
		h.Set("Cache-Status", "other; hit")
		h.Set("Cache-Control", "max-age=60")
		h.Set("Content-Encoding", "gzip")
		file([]byte("not really gzip"), `"v1"`)(w, r)
	})
	for name, c := range map[string]*Cache{"kept": newCache(t, Options{}), "passed": newCache(t, Options{})} {
		e := newEdge(t, c, o, Terms{TTL: time.Hour})
		a := e.get("/a")
		a.want(t, name, 200, []byte("not really gzip"))
		for _, key := range []string{"Set-Cookie", "X-Amz-Request-Id", "Vary", "Server"} {
			if v := a.header.Get(key); v != "" {
				t.Errorf("%s: %s: %s", name, key, v)
			}
		}
		for key, want := range map[string]string{"Content-Language": "de", "Content-Disposition": "inline", "Cache-Control": "max-age=60",
			"Content-Encoding": "gzip", "Content-Length": "15", "Content-Type": "video/mp4"} {
			if v := a.header.Get(key); v != want {
				t.Errorf("%s: %s is %q, want %q", name, key, v, want)
			}
		}
		if v := a.header["Cache-Status"]; len(v) != 2 || v[0] != "other; hit" || !strings.HasPrefix(v[1], "greenroom; ") {
			t.Errorf("%s: Cache-Status %q", name, v)
		}
		o.now(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Set-Cookie", "a=b")
			h.Set("X-Amz-Request-Id", "7")
			h.Set("Vary", "Origin, *")
			h.Set("Content-Language", "de")
			h.Set("Content-Disposition", "inline")
			h.Set("Cache-Status", "other; hit")
			h.Set("Cache-Control", "max-age=60")
			h.Set("Content-Encoding", "gzip")
			h.Set("Content-Length", "15")
			file([]byte("not really gzip"), `"v1"`)(w, r)
		})
	}
}

func TestTheContentTypeOfTheTermsStandsInForNone(t *testing.T) {
	for sent, want := range map[string]string{"": "video/mp2t", "application/octet-stream": "video/mp2t", "binary/octet-stream": "video/mp2t", "video/mp4": "video/mp4"} {
		o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			if sent != "" {
				w.Header().Set("Content-Type", sent)
			}
			w.Header().Set("Etag", `"1"`)
			http.ServeContent(w, r, "", longSince, strings.NewReader("<html>"))
		})
		e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour, ContentType: "video/mp2t"})
		if got := e.get("/a").header.Get("Content-Type"); got != want {
			t.Errorf("%q became %q, want %q", sent, got, want)
		}
	}
}

func TestOnlyIfCachedIsGranted(t *testing.T) {
	o := newOrigin(t, file([]byte("x"), `"1"`))
	e := newEdge(t, newCache(t, Options{}), o, Terms{TTL: time.Hour})
	e.get("/a", "Cache-Control: only-if-cached").want(t, "cold", 504, nil)
	if asked := o.requests(); len(asked) != 0 {
		t.Error(lines(asked))
	}
	e.get("/a").want(t, "fetched", 200, []byte("x"))
	e.get("/a", "Cache-Control: only-if-cached").want(t, "hot", 200, []byte("x"))
}

func TestOtherMethodsAreRefused(t *testing.T) {
	c := newCache(t, Options{})
	w := httptest.NewRecorder()
	if _, err := c.Serve(w, httptest.NewRequest("POST", "/", nil), Request{}); err != ErrMethod {
		t.Error(err)
	}
}
