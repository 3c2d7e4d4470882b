package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/mediaedge/s3test"
)

// bucketEdge is an edge before a bucket: below /media/ it keeps what it gets,
// below /raw/ it does not. origin is the endpoint, options the rest of s3.
func bucketEdge(t testing.TB, server *s3test.Server, bucket, origin, options string) *edge {
	t.Helper()
	block := "media_edge {\nname %[1]s\npath /%[1]s/\nstrip_prefix /%[1]s\norigin " + origin + " {\ns3 " + bucket + " {\nkeys " + server.KeyFile(t) + "\n" + options + "\n}\n}\n%[2]s\n}\n"
	return mediaSite(t, fmt.Sprintf(block, "media", "")+fmt.Sprintf(block, "raw", "cache off"))
}

// ask sends a request, whose fields are pairs, and returns the answer with its
// body to be read.
func (e *edge) ask(method, path string, fields ...string) *http.Response {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, "http://"+e.http+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = []string{fields[i+1]}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		e.t.Fatal(err)
	}
	return res
}

// period of a reel's bytes is a prime, so that no block is like another.
const period = 8388593

var reelBytes = sync.OnceValue(func() []byte { return film(period) })

// reel is the bytes at to end of an endless film: to read, or to compare what is
// written with.
type reel struct{ at, end int64 }

func (r *reel) next(n int) []byte {
	b := reelBytes()[r.at%period:]
	return b[:min(int64(len(b)), int64(n), r.end-r.at)]
}

func (r *reel) Read(p []byte) (int, error) {
	if r.at == r.end {
		return 0, io.EOF
	}
	n := copy(p, r.next(len(p)))
	r.at += int64(n)
	return n, nil
}

// Write fails at the first byte that is another.
func (r *reel) Write(p []byte) (n int, err error) {
	for n < len(p) {
		want := r.next(len(p) - n)
		if len(want) == 0 || !bytes.Equal(want, p[n:n+len(want)]) {
			return n, fmt.Errorf("other bytes than those at %d", r.at)
		}
		n += len(want)
		r.at += int64(len(want))
	}
	return n, nil
}

// same reports an error unless body is the bytes from to end.
func same(body io.Reader, from, end int64) error {
	want := &reel{from, end}
	if _, err := io.CopyBuffer(struct{ io.Writer }{want}, struct{ io.Reader }{body}, make([]byte, 256<<10)); err != nil {
		return err
	}
	if want.at != end {
		return fmt.Errorf("it ends at %d, not at %d", want.at, end)
	}
	return nil
}

// span is a range of a giant, and the bytes that it is for.
type span struct {
	field     string
	from, end int64
}

func spansOf(size int64) []span {
	const block = 1 << 20
	return []span{
		{"0-0", 0, 1}, {"0-1", 0, 2},
		{fmt.Sprintf("0-%d", block-1), 0, block},
		{fmt.Sprintf("%d-%d", block-6, block+5), block - 6, block + 6},
		{fmt.Sprintf("%d-%d", 3*block-1, 3*block), 3*block - 1, 3*block + 1},
		{fmt.Sprintf("%d-%d", size/2, size/2+5*block), size / 2, size/2 + 5*block + 1},
		{fmt.Sprintf("%d-", size-3*block-7), size - 3*block - 7, size},
		{fmt.Sprintf("%d-", size-1), size - 1, size},
		{fmt.Sprintf("%d-%d", size-10, size+10), size - 10, size},
		{"-1", size - 1, size}, {fmt.Sprintf("-%d", 2*block+3), size - 2*block - 3, size},
	}
}

// giantRanges sees that ranges of /<rule>/vod/giant.mp4 are those that the S3 client
// reads.
func giantRanges(t *testing.T, e *edge, server *s3test.Server, rule string, size int64) {
	t.Helper()
	path := "/" + rule + "/vod/giant.mp4"
	for _, s := range spansOf(size) {
		res := e.ask(http.MethodGet, path, "Range", "bytes="+s.field)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		want, err2 := io.ReadAll(server.Open(t, "films", "vod/giant.mp4", "bytes="+s.field).Body)
		part := fmt.Sprintf("bytes %d-%d/%d", s.from, s.end-1, size)
		if err != nil || err2 != nil || !bytes.Equal(body, want) || same(bytes.NewReader(body), s.from, s.end) != nil ||
			res.StatusCode != http.StatusPartialContent || res.Header.Get("Content-Range") != part || res.ContentLength != s.end-s.from {
			t.Errorf("%s of %s: %d, %d bytes, %v, %v, %v", s.field, path, res.StatusCode, len(body), res.Header, err, err2)
		}
	}
	for _, field := range []string{fmt.Sprintf("%d-", size), fmt.Sprintf("%d-%d", size+5, size+6)} {
		res := e.ask(http.MethodGet, path, "Range", "bytes="+field)
		res.Body.Close()
		all := res.Header.Get("Content-Range")
		if res.StatusCode != http.StatusRequestedRangeNotSatisfiable || all != fmt.Sprintf("bytes */%d", size) && rule == "media" {
			t.Errorf("%s of %s: %d %q", field, path, res.StatusCode, all)
		}
	}
	for _, field := range []string{"bytes=5-1", "bytes=a-b", "bytes="} { // no ranges: RFC 9110 §14.2 leaves it open
		res := e.ask(http.MethodGet, path, "Range", field)
		err := same(io.LimitReader(res.Body, 3<<20), 0, 3<<20)
		res.Body.Close()
		if res.StatusCode != http.StatusRequestedRangeNotSatisfiable && (res.StatusCode != http.StatusOK || err != nil || res.ContentLength != size) {
			t.Errorf("%s of %s: %d, %d bytes: %v", field, path, res.StatusCode, res.ContentLength, err)
		}
	}
}

func TestAGiantOfAPrivateBucketIsReadWholeAndByRangesInLittleMemory(t *testing.T) {
	size, bound := int64(2684367001), int64(1<<30) // more than 2.5 GiB
	if raceFlag == "-race" {
		size = 40<<20 + 777
	}
	server := s3test.Start(t)
	server.CreateBucket(t, "films")
	began := time.Now()
	etag := server.Put(t, "films", "vod/giant.mp4", &reel{0, size}, size)
	t.Logf("put %d bytes in %v", size, time.Since(began).Round(time.Millisecond))
	e := bucketEdge(t, server, "films", server.URL(), "region "+s3test.Region)
	for _, path := range []string{"/films/vod/giant.mp4", "/films", "/films?list-type=2"} {
		res, err := http.Get(server.URL() + path)
		if err != nil || res.StatusCode != http.StatusForbidden {
			t.Fatalf("the bucket is not private: %s: %v, %v", path, res, err)
		}
		res.Body.Close()
	}
	for _, rule := range []string{"media", "raw"} {
		giantRanges(t, e, server, rule, size)
		res := e.ask(http.MethodGet, "/"+rule+"/vod/giant.mp4")
		began := time.Now()
		err := same(res.Body, 0, size)
		took := time.Since(began)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || res.ContentLength != size || res.Header.Get("ETag") != etag {
			t.Fatalf("/%s/: %d, %v: %v", rule, res.StatusCode, res.Header, err)
		}
		t.Logf("/%s/: whole in %v, %.0f MB/s; the edge holds %s, at most %s", rule, took.Round(time.Millisecond), float64(size)/1e6/took.Seconds(), e.status("VmRSS"), e.status("VmHWM"))
		giantRanges(t, e, server, rule, size)
	}
	severalRanges(t, e, size)
	if err := same(server.Open(t, "films", "vod/giant.mp4", "").Body, 0, size); err != nil {
		t.Errorf("the S3 client's own read: %v", err)
	}
	var most int64
	if _, err := fmt.Sscanf(e.status("VmHWM"), "%d kB", &most); err != nil || most<<10 > bound && raceFlag != "-race" {
		t.Errorf("the edge held %s, want %d bytes at most: %v", e.status("VmHWM"), bound, err)
	}
}

// severalRanges asks for three at once: the cache sends them as parts, the
// bucket all of the object.
func severalRanges(t *testing.T, e *edge, size int64) {
	t.Helper()
	field := fmt.Sprintf("bytes=0-1, 1048570-1048585,%d-", size-5)
	res := e.ask(http.MethodGet, "/media/vod/giant.mp4", "Range", field)
	defer res.Body.Close()
	kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || res.StatusCode != http.StatusPartialContent || kind != "multipart/byteranges" {
		t.Fatalf("%d, %v", res.StatusCode, res.Header)
	}
	parts := multipart.NewReader(res.Body, params["boundary"])
	for _, s := range []span{{"", 0, 2}, {"", 1048570, 1048586}, {"", size - 5, size}} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if err := same(part, s.from, s.end); err != nil || part.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", s.from, s.end-1, size) {
			t.Errorf("%v: %v", part.Header, err)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("behind the last part: %v", err)
	}
	raw := e.ask(http.MethodGet, "/raw/vod/giant.mp4", "Range", field)
	defer raw.Body.Close()
	if err := same(io.LimitReader(raw.Body, 3<<20), 0, 3<<20); err != nil || raw.StatusCode != http.StatusOK || raw.ContentLength != size {
		t.Errorf("past the cache: %d, %d bytes: %v", raw.StatusCode, raw.ContentLength, err)
	}
}

// oddKeys are those that signatures and URLs spell differently.
var oddKeys = []string{
	"vod/a b  c.mp4", "vod/a+b=c.mp4", "vod/film é 漢字 😀.mp4", "vod/e\u0301.mp4", "vod/Tom & Jerry's (final).mp4",
	"vod/x,y@z!$*~:.mp4", "vod/'()'.mp4", "vod/a=1&b=2.mp4", "vod/[x]{y}|z^`.mp4", `vod/"q"<r>.mp4`,
}

func TestKeysWithOddCharactersAreByteIdenticalInBothStyles(t *testing.T) {
	server := s3test.StartBelow(t, s3test.Numeric)
	const bucket = "127" // 127.0.0.1 by its name below the domain
	server.CreateBucket(t, bucket)
	for i, key := range oddKeys {
		server.Put(t, bucket, key, bytes.NewReader(film(100_000 + i)[i:]), 100_000)
	}
	for style, origin := range map[string]string{"path": server.URL(), "host": server.HostURL("")} {
		t.Run(style, func(t *testing.T) {
			e := bucketEdge(t, server, bucket, origin, "style "+style)
			res, err := http.Get(server.HostURL(bucket) + "/vod/a%2Bb=c.mp4")
			if err != nil || res.StatusCode != http.StatusForbidden {
				t.Fatalf("the bucket is not private: %v, %v", res, err)
			}
			res.Body.Close()
			for _, key := range oddKeys {
				want := server.Get(t, bucket, key)
				for _, rule := range []string{"media", "media", "raw"} {
					for _, spelling := range []string{(&url.URL{Path: key}).EscapedPath(), spell(key)} {
						res := e.ask(http.MethodGet, "/"+rule+"/"+spelling)
						body, err := io.ReadAll(res.Body)
						res.Body.Close()
						if err != nil || res.StatusCode != http.StatusOK || !bytes.Equal(body, want) {
							t.Errorf("%q as %s below /%s/: %d, %d bytes, %v", key, spelling, rule, res.StatusCode, len(body), err)
						}
					}
				}
			}
		})
	}
}

// spell escapes all of a key that is no letter, digit or slash.
func spell(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		if c == '/' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
