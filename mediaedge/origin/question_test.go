package origin

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// hostileFields are what clients send and origins must not see.
var hostileFields = http.Header{
	"Authorization": {"Bearer theirs"}, "Proxy-Authorization": {"Basic eA=="}, "Cookie": {"a=b", "c=d"}, "X-Amz-Acl": {"public-read"},
	"X-Amz-Security-Token": {"theirs"}, "X-Amz-Date": {"20260101T000000Z"}, "X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}, "X-Amz-Copy-Source": {"/other/key"},
	"X-Amz-Server-Side-Encryption-Customer-Key": {"a"}, "X-Amz-Request-Payer": {"requester"}, "X-Amz-Expected-Bucket-Owner": {"1"},
	"Origin": {"https://evil.example"}, "Referer": {"https://evil.example/"}, "Forwarded": {"for=1"}, "X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"evil.example"},
	"X-Forwarded-Proto": {"http"}, "X-Real-Ip": {"1.2.3.4"}, "Te": {"trailers"}, "Connection": {"close, Range"}, "Keep-Alive": {"timeout=1"}, "Upgrade": {"h2c"},
	"Http2-Settings": {"AAA"}, "Transfer-Encoding": {"chunked"}, "Content-Length": {"5"}, "Content-Type": {"text/xml"}, "Content-Encoding": {"gzip"}, "Expect": {"100-continue"},
	"Host": {"evil.example"}, "X-Host": {"evil.example"}, "X-Original-Url": {"/admin"}, "X-Rewrite-Url": {"/admin"}, "X-Http-Method-Override": {"DELETE"},
	"Accept": {"text/html"}, "Accept-Encoding": {"gzip, br"}, "Accept-Language": {"de"}, "User-Agent": {"evil/1"}, "Via": {"1.0 evil"}, "Cache-Control": {"no-cache"}, "Pragma": {"no-cache"},
	"Cmcd-Session": {"sid=1"}, "Cdn-Loop": {"evil"}, "Max-Forwards": {"0"}, "From": {"a@b"}, "Dnt": {"1"}, "Trailer": {"X-A"}, "Proxy-Connection": {"close"}, "X-Shared-Secret": {"theirs"},
	"Request-Range": {"bytes=0-0"}, "X-Minio-Force-Delete": {"true"}, "X-Cache-Key": {"a"}, "Traceparent": {"00-1"}, "range": {"bytes=0-0"}, "if-range": {`"a"`},
}

func TestTheOriginSeesRangeAndConditionsAndNothingElseOfAClient(t *testing.T) {
	s := newStore(t, media(100))
	o := made(t, Config{Endpoints: at(s.URL + "/base"), Header: http.Header{"x-shared-secret": {"ours"}}})
	always := http.Header{"User-Agent": {"greenroom"}, "Via": {"1.1 greenroom"}, "Accept-Encoding": {"identity"}, "X-Shared-Secret": {"ours"}}
	long := `"` + strings.Repeat("a", maxField) + `"`
	for i, c := range []struct {
		method     string
		send, sees http.Header
	}{
		{"GET", http.Header{}, http.Header{}},
		{"GET", http.Header{"Range": {"bytes=0-1"}}, http.Header{"Range": {"bytes=0-1"}}},
		{"GET", http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"v1"`}}, http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"v1"`}}},
		{"GET", http.Header{"If-Range": {`"v1"`}}, http.Header{}},
		{"GET", http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"v1"`, `"v2"`}}, http.Header{}},
		{"GET", http.Header{"Range": {"bytes=0-1"}, "If-Range": {long}}, http.Header{}},
		{"GET", http.Header{"Range": {"bytes=0-1"}, "If-Range": {""}}, http.Header{}},
		{"GET", http.Header{"Range": {"bytes=0-1", "bytes=2-3"}}, http.Header{}},
		{"GET", http.Header{"Range": {"bytes=0-1\r\nX-Evil: 1"}}, http.Header{}},
		{"HEAD", http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"v1"`}}, http.Header{}},
		{"HEAD", http.Header{"If-None-Match": {`"v0"`}}, http.Header{"If-None-Match": {`"v0"`}}},
		{"GET", http.Header{"If-None-Match": {`"a"`, `"b", W/"c"`}}, http.Header{"If-None-Match": {`"a", "b", W/"c"`}}},
		{"GET", http.Header{"If-None-Match": {long}}, http.Header{}},
		{"GET", http.Header{"If-None-Match": {"\"a\"\nX: y"}}, http.Header{}},
		{"GET", http.Header{"If-Match": {`"v1"`, `"b"`}}, http.Header{"If-Match": {`"v1", "b"`}}},
		{"GET", http.Header{"If-Modified-Since": {"Fri, 01 May 2020 12:00:00 GMT"}}, http.Header{"If-Modified-Since": {"Fri, 01 May 2020 12:00:00 GMT"}}},
		{"GET", http.Header{"If-Modified-Since": {"a", "b"}, "If-Unmodified-Since": {strings.Repeat("a", 2000)}}, http.Header{}},
		{"GET", http.Header{"If-Unmodified-Since": {"Fri, 01 May 2037 12:00:00 GMT"}}, http.Header{"If-Unmodified-Since": {"Fri, 01 May 2037 12:00:00 GMT"}}},
	} {
		send := hostileFields.Clone()
		maps.Copy(send, c.send)
		before := fmt.Sprint(send)
		if g := fetch(t, o.Object("/a b.mp4", "x=1&y=%2F"), c.method, send); g.err != nil || g.StatusCode >= 400 {
			t.Fatalf("%d: %v", i, g)
		}
		r := s.asked()[i]
		want := always.Clone()
		maps.Copy(want, c.sees)
		if !reflect.DeepEqual(r.Header, want) {
			t.Errorf("%v:\n got %v\nwant %v", c.send, r.Header, want)
		}
		if r.Method != c.method || "http://"+r.Host != s.URL || r.RequestURI != "/base/a%20b.mp4?x=1&y=%2F" || r.ContentLength != 0 || r.Close || r.TransferEncoding != nil {
			t.Errorf("%s %s %s %d %v", r.Method, r.Host, r.RequestURI, r.ContentLength, r.TransferEncoding)
		}
		if fmt.Sprint(send) != before {
			t.Errorf("the client's fields have changed: %v", send)
		}
	}
}

func TestARangeIsSentOnlyIfItIsValidAndShort(t *testing.T) {
	sixteen := "bytes=" + strings.TrimSuffix(strings.Repeat("0-0,", 16), ",")
	for s, want := range map[string]bool{
		"bytes=0-1": true, "bytes=5-": true, "bytes=-5": true, "bytes=-0": false, "bytes=0-1,-00": false, "bytes=-10": true, "BYTES=0-1": true, "bytes=0-1,3-4": true, "bytes=0-1, 3-4,\t-1": true, "bytes=10-10": true,
		"bytes=9-10": true, "bytes=009-10": true, sixteen: true, sixteen + ",1-1": false, "bytes=0-999999999999999999": true, "bytes=0-9999999999999999999": false,
		"": false, "bytes": false, "bytes=": false, "bytes=-": false, "bytes=a-b": false, "bytes=1-0": false, "bytes=10-9": false, "bytes=0-1,": false, "bytes=,0-1": false,
		"bytes=0-1;2-3": false, "bytes 0-1": false, "items=0-1": false, "byte\u017f=0-1": false, "bytes=+0-1": false, "bytes=0--1": false, "bytes=0x0-1": false,
		"bytes=0-1\r\nX: y": false, "bytes =0-1": false, "bytes=0 -1": false, "bytes=٣-٤": false, "bytes=" + strings.Repeat(" ", 1100) + "0-1": false,
	} {
		if validRange(s) != want {
			t.Errorf("%.60q: %v", s, !want)
		}
	}
}

func TestWhatCannotBeAskedIsRefusedBeforeAnEndpointIs(t *testing.T) {
	s := newStore(t, media(100))
	plain := made(t, Config{Endpoints: at(s.URL + "/base")})
	bucket := made(t, Config{Endpoints: at(s.URL), S3: &S3{Bucket: "media"}})
	for _, p := range []string{"", "a", "/../x", "/a/../x", "/a/./x", "//x", "/a//x", "/..", "/a\x00", "/a?b", "/a#b", "/a;b", "/a%2fb", "/a\\b", "/a\r\nb", "/a.", "/a /b", "/\xff", "*", "http://evil.example/a"} {
		fetch(t, plain.Object(p, ""), "GET", nil).wants(t, 400, "ambiguous path")
	}
	for _, p := range []string{"", "/", "/a/", "/a/b/"} {
		fetch(t, bucket.Object(p, "list-type=2"), "GET", nil).wants(t, 404, "a bucket is not listed")
	}
	for _, q := range []string{"a b", "a#b", "a\r\nX: y", "ü", "a\x00", strings.Repeat("a", maxQuery+1)} {
		fetch(t, plain.Object("/a", q), "GET", nil).wants(t, 400, "a query of more than")
	}
	for _, m := range []string{"POST", "PUT", "DELETE", "", "get", "CONNECT", "OPTIONS", "GET /x HTTP/1.1\r\n"} {
		fetch(t, bucket.Object("/a", ""), m, nil).wants(t, 405, "only GET and HEAD")
	}
	for _, v := range []string{strings.Repeat("a", maxField+1), "\"a\"\r\nX: y"} {
		fetch(t, bucket.Object("/a", ""), "GET", http.Header{"If-Match": {v}}).wants(t, 400, "If-Match")
	}
	fetch(t, Object{}, "GET", nil).wants(t, 502, "no origin")
	if n := len(s.asked()); n != 0 {
		t.Errorf("the origin was asked %d times", n)
	}
	if s := plain.Status(); !s.Endpoints[0].Healthy || s.Endpoints[0].Attempts != 0 || s.Endpoints[0].InFlight != 0 {
		t.Errorf("%+v", s)
	}
}
