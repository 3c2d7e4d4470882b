package origin

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzWhatIsSentStaysBelowItsPrefix writes the request as it goes on the wire,
// and reads it as a server does.
func FuzzWhatIsSentStaysBelowItsPrefix(f *testing.F) {
	for _, seed := range [][3]string{
		{"/a.mp4", "x=1", "bytes=0-1"}, {"/a b+c=d/é.m3u8", "acl", "bytes=-5"}, {"/../x", "a b", "bytes=0-1\r\nX: y"}, {"/a/%2e%2e/b", "?", "bytes=1-0"}, {"//evil.example/a", "#", ""},
		{"/a\r\nHost: evil", "a\r\nHost: evil", "bytes=0-,1-,2-"}, {"http://evil.example/", "@evil", "bytes=99999999999999999999-"}, {"/", "list-type=2", ""}, {"/a/", "", ""}, {"", "", ""}, {"/a;b?c#d\\e\x00\xff", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[1])
	}
	var all []*Origin
	for _, c := range []Config{
		{Endpoints: at("http://a.example")},
		{Endpoints: at("https://a.example:8443/base/b c")},
		{Endpoints: at("http://a.example"), S3: &S3{Bucket: "media"}},
		{Endpoints: at("http://a.example/base"), S3: &S3{Bucket: "media", VirtualHost: true, Signer: signer(f, "hush")}},
		{Endpoints: at("http://[::1]:9000"), S3: &S3{Bucket: "media", Signer: signer(f, "hush")}},
	} {
		c.Name = "vod"
		o, err := New(c)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, o)
	}
	f.Fuzz(func(t *testing.T, path, query, ranges, condition string) {
		h := http.Header{"Range": {ranges}, "If-Range": {condition}, "If-None-Match": {condition}, "Cookie": {query}}
		for _, o := range all {
			for _, method := range []string{"GET", "HEAD"} {
				q, refusal := o.ask(o.Object(path, query), method, h)
				if refusal != nil {
					continue
				}
				r, refusal := o.request(context.Background(), o.endpoints[0], q)
				if refusal != nil {
					continue
				}
				inspect(t, o, path, r)
			}
		}
	})
}

func inspect(t *testing.T, o *Origin, path string, r *http.Request) {
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatalf("%q: net/http does not send it: %v", path, err)
	}
	reader := bufio.NewReader(&wire)
	seen, err := http.ReadRequest(reader)
	if err != nil || reader.Buffered() != 0 {
		t.Fatalf("%q: %v, and %d bytes behind it", path, err, reader.Buffered())
	}
	p := o.endpoints[0].place
	if seen.Host != p.host || seen.Method != r.Method || r.URL.Host != p.host || r.URL.Scheme != p.scheme {
		t.Errorf("%q: %s %s", path, seen.Method, seen.Host)
	}
	if seen.URL.Path != p.prefix+path || !strings.HasPrefix(seen.URL.Path, p.prefix+"/") {
		t.Errorf("%q: %s is not below %s", path, seen.URL.Path, p.prefix)
	}
	target, _, _ := strings.Cut(seen.RequestURI, "?")
	for segment := range strings.SplitSeq(strings.TrimPrefix(target, "/"), "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "." || plain == ".." || plain == "" && !strings.HasSuffix(target, "/") || strings.ContainsAny(plain, "/\\%?#;\x00\r\n") {
			t.Errorf("%q: the segment %q", path, segment)
		}
	}
	if o.s3 != nil && (seen.URL.RawQuery != "" || strings.HasSuffix(target, "/") || strings.Contains(seen.RequestURI, "?")) {
		t.Errorf("%q: %s", path, seen.RequestURI)
	}
	for name, values := range seen.Header {
		switch name {
		case "Range":
			if r.Method == "HEAD" || !validRange(values[0]) {
				t.Errorf("%s %q", r.Method, values)
			}
		case "If-Range", "If-None-Match", "User-Agent", "Via", "Accept-Encoding":
		case "Authorization", "X-Amz-Date", "X-Amz-Content-Sha256":
			if o.s3 == nil || o.s3.Signer == nil {
				t.Errorf("%s", name)
			}
		default:
			t.Errorf("%s: %q", name, values)
		}
	}
}
