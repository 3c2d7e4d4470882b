package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Objects larger than the cache, read at random by many, while versions change
// and paths are purged: what comes is the bytes of one version, or an error.
func TestRandomRangesUnderEvictionAreAlwaysOfOneVersion(t *testing.T) {
	const objects, size = 12, 512 * KiB
	var versions [objects]atomic.Int64
	contents := map[string][]byte{}
	for i := range objects {
		for v := range 4 {
			b := random(size + i*1000 + v)
			b[0] = byte(v)
			contents[fmt.Sprintf("/%d %d", i, v)] = b
		}
	}
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		var i int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &i)
		v := versions[i].Load() % 4
		etag := fmt.Sprintf(`"%d"`, v)
		if i == 7 { // in one piece
			etag = ""
		}
		file(contents[fmt.Sprintf("/%d %d", i, v)], etag)(w, r)
	})
	c := newCache(t, Options{Block: 8 * KiB, Memory: 5 * MiB})
	e := newEdge(t, c, o, Terms{TTL: 5 * time.Millisecond, StaleWhileRevalidate: time.Millisecond})
	ranges := 80
	if testing.Short() {
		ranges = 30
	}
	var whole, cut atomic.Int64
	results(64, func(g int) {
		rng := rand.New(rand.NewPCG(1, uint64(g)))
		for range ranges {
			i := rng.IntN(objects)
			path := fmt.Sprintf("/%d", i)
			switch rng.IntN(40) {
			case 0:
				versions[i].Add(1)
			case 1:
				c.Purge("o", path, rng.IntN(2) == 0)
			}
			first := rng.IntN(size)
			last := min(first+rng.IntN(100*KiB), size-1)
			ctx, cancel := context.WithCancel(t.Context())
			if rng.IntN(10) == 0 {
				time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, cancel)
			}
			a := e.do(ctx, "GET", path, fmt.Sprintf("Range: bytes=%d-%d", first, last))
			gone := ctx.Err() != nil
			cancel()
			if gone {
				continue
			}
			if a.err != nil || a.status == http.StatusBadGateway {
				cut.Add(1)
				continue
			}
			if !anyVersion(contents, path, a, first, last) {
				t.Errorf("%s %d-%d: status %d, %d bytes of no version", path, first, last, a.status, len(a.body))
			}
			whole.Add(1)
		}
	})
	e.idle()
	s := c.Stats()
	t.Logf("%d whole, %d cut, %+v", whole.Load(), cut.Load(), s)
	if whole.Load() < 10*cut.Load() {
		t.Errorf("%d whole, %d cut", whole.Load(), cut.Load())
	}
	if s.MemoryBytes > 5*MiB || s.Evictions == 0 {
		t.Errorf("%+v", s)
	}
	if n := c.rings.Load(); n != 0 {
		t.Errorf("%d bytes are still held by fills", n)
	}
	if n := c.growing.Load(); n != 0 {
		t.Errorf("%d bytes are still reserved", n)
	}
}

func anyVersion(contents map[string][]byte, path string, a answer, first, last int) bool {
	for v := range 4 {
		content := contents[fmt.Sprintf("%s %d", path, v)]
		if a.status == 206 && a.header.Get("Content-Range") == fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)) &&
			bytes.Equal(a.body, content[first:last+1]) {
			return true
		}
	}
	return false
}

// FuzzRanges reads with whatever Range, and compares with the file itself.
func FuzzRanges(f *testing.F) {
	for _, fields := range requests {
		f.Add(strings.Join(fields, "\n"), uint16(10_000), true, false)
		f.Add(strings.Join(fields, "\n"), uint16(4096), false, true)
	}
	f.Fuzz(func(t *testing.T, fields string, size uint16, strong, head bool) {
		content, etag, method := random(int(size)), "", http.MethodGet
		if strong {
			etag = `"v1"`
		}
		if head {
			method = http.MethodHead
		}
		c := newCache(t, smallBlocks())
		defer c.Close()
		origin := fetchFunc(func(_ context.Context, method string, h http.Header) (*http.Response, error) {
			r := httptest.NewRequest(method, "/a", nil)
			r.Header = h
			w := httptest.NewRecorder()
			file(content, etag)(w, r)
			res := w.Result()
			if method == http.MethodHead {
				res.ContentLength = int64(len(content))
			}
			return res, nil
		})
		h := http.Header{}
		for line := range strings.SplitSeq(fields, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			h.Add(key, value)
		}
		if strings.Count(h.Get("Range"), ",") >= maxRanges || len(h["Range"]) > 1 {
			return
		}
		for range 2 {
			r := httptest.NewRequest(method, "/a", nil)
			r.Header = h.Clone()
			w := httptest.NewRecorder()
			_, err := c.Serve(w, r, Request{Key: "a", Path: "/a", Origin: origin, Terms: Terms{TTL: time.Hour}})
			if err != nil {
				t.Fatal(err)
			}
			want := plainFile(t, content, etag, method)
			r.Header = h.Clone()
			if head {
				r.Header.Del("Range")
			}
			plain := httptest.NewRecorder()
			file(content, etag)(plain, r)
			want = answer{status: plain.Code, header: plain.Header(), body: plain.Body.Bytes()}
			got := w.Result()
			body, _ := io.ReadAll(got.Body)
			if cl := want.header.Get("Content-Length"); cl != "" && got.Header.Get("Content-Length") == "" {
				got.Header.Set("Content-Length", cl)
			}
			if want.header.Get("Content-Length") == "" {
				got.Header.Del("Content-Length")
				want.header.Set("Content-Length", "")
			}
			g := answer{status: got.StatusCode, header: got.Header, body: body}
			if g.header.Get("Content-Length") == "" {
				g.header.Set("Content-Length", fmt.Sprint(len(want.body)))
				want.header.Set("Content-Length", fmt.Sprint(len(want.body)))
			}
			same(t, fields, g, want)
		}
	})
}
