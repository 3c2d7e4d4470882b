package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/mediaedge/s3test"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// rule is a request for an object of ruled bytes, and what RFC 9110 wants for it.
// %[1]s is the object's ETag, %[2]s its Last-Modified.
type rule struct {
	fields    string // "Name: value", one to a line
	status    int
	from, end int // of a 206; end is exclusive
	raw       int // past the cache, where it is not the same: what S3 itself answers
}

const (
	ruled        = 3<<20 + 100
	past, future = "Mon, 02 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 2090 15:04:05 GMT"
)

var rules = []rule{
	{"", 200, 0, 0, 0},
	{"If-None-Match: %[1]s", 304, 0, 0, 0}, // §13.1.2
	{"If-None-Match: *", 304, 0, 0, 0},
	{`If-None-Match: "other"`, 200, 0, 0, 0},
	{`If-None-Match: "other", W/%[1]s`, 304, 0, 0, 200},
	{"If-None-Match: \"other\"\nIf-Modified-Since: " + future, 200, 0, 0, 0}, // §13.1.3: the date does not count then
	{"If-Modified-Since: %[2]s", 304, 0, 0, 200},                             // S3 has it of the second that it was made in
	{"If-Modified-Since: " + past, 200, 0, 0, 0},
	{"If-Modified-Since: yesterday", 200, 0, 0, 0},
	{"If-Match: %[1]s", 200, 0, 0, 0}, // §13.1.1
	{`If-Match: "other", %[1]s`, 200, 0, 0, 412},
	{"If-Match: W/%[1]s", 412, 0, 0, 0},
	{`If-Match: "other"`, 412, 0, 0, 0},
	{"If-Unmodified-Since: " + past, 412, 0, 0, 0},
	{"If-Unmodified-Since: " + future, 200, 0, 0, 0},
	{"Range: bytes=0-1", 206, 0, 2, 0},
	{"Range: bytes=1048575-2097153", 206, 1048575, 2097154, 0},
	{"Range: bytes=-7", 206, ruled - 7, ruled, 0},
	{fmt.Sprintf("Range: bytes=%d-", ruled), 416, 0, 0, 0},
	{"Range: bytes=-0", 200, 0, 0, 0},                   // §14.1.2: nothing at all, on which servers do not agree: it is ignored
	{"Range: pages=0-1", 200, 0, 0, 0},                  // §14.2: what is not known is ignored
	{"Range: Bytes=0-1", 206, 0, 2, 0},                  // §14.1: units are case-insensitive
	{"Range: bytes=0-1\nIf-Range: %[1]s", 206, 0, 2, 0}, // §13.1.5
	{"Range: bytes=0-1\nIf-Range: \"other\"", 200, 0, 0, 0},
	{"Range: bytes=0-1\nIf-Range: W/%[1]s", 200, 0, 0, 0},
	{"Range: bytes=0-1\nIf-Range: " + past, 200, 0, 0, 0},
	{fmt.Sprintf("Range: bytes=%d-\nIf-Range: \"other\"", ruled), 200, 0, 0, 416},
	{"Range: bytes=0-1\nIf-None-Match: %[1]s", 304, 0, 0, 0}, // §13.2.2
	{"Range: bytes=0-1\nIf-Match: \"other\"", 412, 0, 0, 0},
	{fmt.Sprintf("Range: bytes=%d-\nIf-Match: \"other\"", ruled), 412, 0, 0, 0},
}

// want is the rule's status and span for a method and a kind of keeping.
func (c rule) want(method string, raw bool) (status, from, end int) {
	switch {
	case raw && c.raw != 0:
		status = c.raw
	default:
		status = c.status
	}
	if method == http.MethodHead && (status == 206 || status == 416) {
		status = 200 // §14.2: a Range means nothing there
	}
	if status == 206 {
		return status, c.from, c.end
	}
	return status, 0, ruled
}

func TestConditionsAndRangesOfABucketAreAsRFC9110WantsThem(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "films")
	content := film(ruled)
	etag := server.Put(t, "films", "a.mp4", bytes.NewReader(content), ruled)
	e := bucketEdge(t, server, "films", server.URL(), "style path")
	modified := e.ask(http.MethodHead, "/raw/a.mp4").Header.Get("Last-Modified")
	if date, err := http.ParseTime(modified); err != nil || time.Since(date) > time.Hour {
		t.Fatalf("Last-Modified %q", modified)
	}
	e.rules(t, "cold", "/media/a.mp4", etag, modified, content, func() {
		if _, err := e.client().Purge(t.Context(), control.PurgeRequest{Path: "/media/a.mp4"}); err != nil {
			t.Fatal(err)
		}
	})
	readAll(t, e.ask(http.MethodGet, "/media/a.mp4"))
	e.rules(t, "kept", "/media/a.mp4", etag, modified, content, func() {})
	e.rules(t, "raw", "/raw/a.mp4", etag, modified, content, func() {})
}

// rules asks for a path by all rules, after prepare has been called for each.
func (e *edge) rules(t *testing.T, how, path, etag, modified string, content []byte, prepare func()) {
	t.Helper()
	for _, c := range rules {
		var fields []string
		for line := range strings.Lines(strings.NewReplacer("%[1]s", etag, "%[2]s", modified).Replace(c.fields)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			fields = append(fields, name, value)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			prepare()
			res := e.ask(method, path, fields...)
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			status, from, end := c.want(method, how == "raw")
			what := fmt.Sprintf("%s, %s %q", how, method, fields)
			if err != nil || res.StatusCode != status {
				t.Errorf("%s: %d %v, want %d: %v", what, res.StatusCode, res.Header, status, err)
				continue
			}
			part := ""
			switch status {
			case 206:
				part = fmt.Sprintf("bytes %d-%d/%d", from, end-1, ruled)
				fallthrough
			case 200:
				if res.ContentLength != int64(end-from) || res.Header.Get("ETag") != etag || res.Header.Get("Accept-Ranges") != "bytes" ||
					method == http.MethodGet && !bytes.Equal(body, content[from:end]) || method == http.MethodHead && len(body) != 0 {
					t.Errorf("%s: %d bytes, %v", what, len(body), res.Header)
				}
			case 304: // §15.4.5; S3's own has neither
				if len(body) != 0 || how != "raw" && res.Header.Get("ETag") != etag {
					t.Errorf("%s: %d bytes, %v", what, len(body), res.Header)
				}
			case 416: // §15.5.17; S3's own has no length
				if part = fmt.Sprintf("bytes */%d", ruled); how == "raw" {
					part = ""
				}
			}
			if got := res.Header.Get("Content-Range"); got != part {
				t.Errorf("%s: Content-Range %q, want %q", what, got, part)
			}
		}
	}
}
