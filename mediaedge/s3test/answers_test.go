package s3test_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/mediaedge/s3test"
)

// What a server of S3 answers is not all that RFC 9110 says, and what stands
// before one must know. If a newer server answers otherwise, look at
// mediaedge/origin before these tables.

const long = 10_000 // bytes of the object that is asked for

// ranges are what follows "Range: ", the status, and the bytes that come.
var ranges = []struct {
	field      string
	status     int
	from, till int
}{
	{"bytes=0-1", 206, 0, 2},
	{"bytes=0-0", 206, 0, 1},
	{"bytes=0-9999", 206, 0, long},
	{"bytes=9990-20000", 206, 9990, long},
	{"bytes=500-", 206, 500, long},
	{"bytes=0-", 206, 0, long},
	{"bytes=9999-", 206, 9999, long},
	{"bytes=-100", 206, 9900, long},
	{"bytes=-20000", 206, 0, long},
	{"bytes=10000-", 416, 0, 0},
	{"bytes=10000-10001", 416, 0, 0},
	{"bytes=-0", 416, 0, 0},
	// Several are ignored, and what is no range.
	{"bytes=0-1,5-6", 200, 0, long},
	{"bytes=0-1, 5-6", 200, 0, long},
	{"bytes=5-1", 200, 0, long}, // MinIO: 416
	{"bytes=a-b", 200, 0, long},
	{"bytes=", 200, 0, long},
	{"items=0-1", 200, 0, long},
	{"Bytes=0-1", 200, 0, long}, // RFC 9110 §14.1: units are case-insensitive
	{"bytes=99999999999999999999-", 200, 0, long},
	{"bytes=0-99999999999999999999", 200, 0, long}, // RFC 9110 §14.1.2: to the end
	{"bytes=-99999999999999999999", 200, 0, long},
}

// withLong is a server with an object of the length of long, its URL and ETag.
func withLong(t *testing.T) (server *s3test.Server, target, etag string, content []byte) {
	server = s3test.Start(t)
	server.CreateBucket(t, "media")
	etag = server.Put(t, "media", "a.mp4", random(1, long), long)
	content, _ = io.ReadAll(random(1, long)) // never fails
	return server, server.URL() + "/media/a.mp4", etag, content
}

func TestWhatIsAnsweredToEachKindOfRange(t *testing.T) {
	server, target, etag, content := withLong(t)
	for _, method := range []string{http.MethodGet, http.MethodHead} { // RFC 9110 §14.2: a HEAD has none
		for _, c := range ranges {
			res, body := ask(t, server.Account, method, target, "Range", c.field)
			part, length := "", fmt.Sprint(c.till-c.from)
			if c.status == 206 {
				part = fmt.Sprintf("bytes %d-%d/%d", c.from, c.till-1, long)
			}
			if res.StatusCode != c.status || res.Header.Get("Content-Range") != part {
				t.Errorf("%s %s: %d %q, want %d %q", method, c.field, res.StatusCode, res.Header.Get("Content-Range"), c.status, part)
			}
			switch {
			case c.status == 416: // without a Content-Range, too
				if res.Header.Get("ETag") != "" || method == http.MethodGet && !bytes.Contains(body, []byte("<Code>InvalidRange<")) {
					t.Errorf("%s %s: %v %s", method, c.field, res.Header, body)
				}
			case res.Header.Get("Content-Length") != length || res.Header.Get("ETag") != etag || res.Header.Get("Accept-Ranges") != "bytes":
				t.Errorf("%s %s: %v", method, c.field, res.Header)
			case method == http.MethodGet && !bytes.Equal(body, content[c.from:c.till]):
				t.Errorf("%s: %d bytes, not the right ones", c.field, len(body))
			}
		}
	}
}

func TestARangeOfAnEmptyObjectCannotBeMet(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "media")
	server.Put(t, "media", "empty", strings.NewReader(""), 0)
	for field, want := range map[string]int{"": 200, "bytes=0-": 416, "bytes=0-1": 416, "bytes=-1": 200} { // MinIO: 206 "bytes 0--1/0" to the last
		if res, _ := ask(t, server.Account, http.MethodGet, server.URL()+"/media/empty", "Range", field); res.StatusCode != want {
			t.Errorf("%q: %d, want %d", field, res.StatusCode, want)
		}
	}
}

func TestWhatIsAnsweredToEachCondition(t *testing.T) {
	server, target, etag, _ := withLong(t)
	const past, future = "Mon, 02 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 2090 15:04:05 GMT"
	for _, c := range []struct {
		fields []string
		want   int
	}{
		{[]string{"If-Match", etag}, 200},
		{[]string{"If-Match", "*"}, 200},
		{[]string{"If-Match", strings.Trim(etag, `"`)}, 200}, // that is no ETag
		{[]string{"If-Match", `"other"`}, 412},
		{[]string{"If-Match", "W/" + etag}, 412},
		{[]string{"If-Match", `"other", ` + etag}, 412}, // RFC 9110 §13.1.1: one of them is enough
		{[]string{"If-None-Match", etag}, 304},
		{[]string{"If-None-Match", "*"}, 304},
		{[]string{"If-None-Match", `"other"`}, 200},
		{[]string{"If-None-Match", "W/" + etag}, 200},        // RFC 9110 §13.1.2: compared weakly, and so 304
		{[]string{"If-None-Match", `"other", ` + etag}, 200}, // and one of them is enough
		{[]string{"If-Modified-Since", past}, 200},           // one of the second it was made in, too (not in MinIO)
		{[]string{"If-Unmodified-Since", past}, 412},
		{[]string{"If-Unmodified-Since", future}, 200},
		{[]string{"If-Match", etag, "Range", "bytes=0-"}, 206}, // what a resume asks
		{[]string{"If-Match", `"other"`, "Range", "bytes=0-"}, 412},
		{[]string{"If-Match", `"other"`, "Range", "bytes=20000-"}, 412},
		{[]string{"If-None-Match", etag, "Range", "bytes=0-"}, 304},
		{[]string{"If-Range", etag, "Range", "bytes=0-1"}, 206},
		{[]string{"If-Range", `"other"`, "Range", "bytes=0-1"}, 206}, // If-Range is ignored: RFC 9110 §13.1.5 has it 200
		{[]string{"If-Range", past, "Range", "bytes=0-1"}, 206},
		{[]string{"If-Range", `"other"`, "Range", "bytes=20000-"}, 416},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			res, body := ask(t, server.Account, method, target, c.fields...)
			if res.StatusCode != c.want {
				t.Errorf("%s %v: %d, want %d", method, c.fields, res.StatusCode, c.want)
			}
			if c.want == 304 && (len(body) != 0 || res.Header.Get("ETag") != "") { // RFC 9110 §15.4.5 wants the ETag, and MinIO says it
				t.Errorf("%s %v: %d bytes, %v", method, c.fields, len(body), res.Header)
			}
			if c.want == 412 && method == http.MethodGet && !bytes.Contains(body, []byte("<Code>PreconditionFailed<")) {
				t.Errorf("%v: %s", c.fields, body)
			}
		}
	}
}

func TestWhatIsStoredIsNotEncodedOnTheWay(t *testing.T) {
	server, target, etag, content := withLong(t)
	res, body := ask(t, server.Account, http.MethodGet, target, "Accept-Encoding", "gzip, br")
	if res.Header.Get("Content-Encoding") != "" || !bytes.Equal(body, content) || res.Header.Get("ETag") != etag {
		t.Errorf("%d bytes, %v", len(body), res.Header)
	}
}
