package origin

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

// bucket is a store that wants each request signed, and looks at what came
// over the wire: it signs that again, with a signer of its own.
func bucket(t *testing.T, content []byte) *store {
	s := newStore(t, content)
	theirs := signer(t, "hush")
	s.tell(func(w http.ResponseWriter, r *http.Request) {
		if err := verify(theirs, r); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s.honest(w, r)
	})
	return s
}

func verify(theirs *sign.S3, r *http.Request) error {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	u, err := url.Parse("http://" + r.Host + r.RequestURI)
	if err != nil {
		return err
	}
	if u.EscapedPath() != sign.EscapePath(u.Path) || u.RawQuery != "" {
		return fmt.Errorf("not spelled as S3 does, or with a query")
	}
	again := &http.Request{Method: r.Method, URL: u, Header: http.Header{}}
	if err := theirs.SignRequest(r.Context(), again, at); err != nil {
		return err
	}
	for name, values := range again.Header {
		if got := r.Header[name]; len(got) != 1 || got[0] != values[0] {
			return fmt.Errorf("%s is not the one signed", name)
		}
	}
	return nil
}

// fails answers as S3 does.
func fails(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("X-Amz-Request-Id", "secret-id")
		w.Header().Set("Content-Range", "bytes */10")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>m</Message><Key>secret-key</Key><BucketName>media</BucketName></Error>`, code)
	}
}

func TestKeysReachABucketAsTheyAreSigned(t *testing.T) {
	content := media(1000)
	s := bucket(t, content)
	for base, prefix := range map[string]string{"": "/media", "/sub dir": "/sub%20dir/media"} {
		o := made(t, Config{Endpoints: at(s.URL + strings.ReplaceAll(base, " ", "%20")), S3: &S3{Bucket: "media", Signer: signer(t, "hush")}})
		for path, want := range map[string]string{
			"/a b.mp4": "/a%20b.mp4", "/a+b.mp4": "/a%2Bb.mp4", "/a=b&c.mp4": "/a%3Db%26c.mp4", "/é/€/第１話.m3u8": "/%C3%A9/%E2%82%AC/%E7%AC%AC%EF%BC%91%E8%A9%B1.m3u8",
			"/(a)!'*,:@$.mp4": "/%28a%29%21%27%2A%2C%3A%40%24.mp4", "/[a]\"<>|^`{}.ts": "/%5Ba%5D%22%3C%3E%7C%5E%60%7B%7D.ts", "/a~b-c_d.e/x": "/a~b-c_d.e/x", "/..a/b": "/..a/b",
		} {
			for _, method := range []string{"GET", "HEAD"} {
				g := fetch(t, o.Object(path, "acl&uploads&list-type=2&X-Amz-Signature=1"), method, hostileFields.Clone())
				if g.err != nil || g.StatusCode != 200 || g.ContentLength != 1000 || method == "GET" && !bytes.Equal(g.body, content) {
					t.Errorf("%s %s: %v", method, path, g.err)
				}
			}
			all := s.asked()
			if r := all[len(all)-1]; r.RequestURI != prefix+want {
				t.Errorf("%s: asked for %s", path, r.RequestURI)
			}
			if r := all[len(all)-1]; len(r.Header) != 6 || r.Header.Get("Authorization") == "" {
				t.Errorf("%v", r.Header)
			}
		}
	}
}

func TestAPublicBucketIsAskedWithoutASignature(t *testing.T) {
	s := newStore(t, media(10))
	o := made(t, Config{Endpoints: at(s.URL), S3: &S3{Bucket: "media"}})
	if g := fetch(t, o.Object("/a+b", "versionId=1"), "GET", nil); g.err != nil || g.StatusCode != 200 {
		t.Error(g.err)
	}
	if r := s.asked()[0]; r.RequestURI != "/media/a%2Bb" || len(r.Header) != 3 {
		t.Errorf("%s %v", r.RequestURI, r.Header)
	}
}

func TestRangesAndConditionsOfABucketAreNotSigned(t *testing.T) {
	s := bucket(t, media(1000))
	o := made(t, Config{Endpoints: at(s.URL), S3: &S3{Bucket: "media", Signer: signer(t, "hush")}})
	for _, c := range []struct {
		send http.Header
		want int
	}{
		{http.Header{"Range": {"bytes=-10"}}, 206}, {http.Header{"If-None-Match": {`"v1"`}}, 304}, {http.Header{"If-Match": {`"v2"`}}, 412}, {http.Header{"Range": {"bytes=5000-"}}, 416},
	} {
		g := fetch(t, o.Object("/a", ""), "GET", c.send)
		if g.err != nil || g.StatusCode != c.want {
			t.Errorf("%v: %v", c.send, g)
		} else if c.want == 416 && (g.Header.Get("Content-Range") != "bytes */1000" || len(g.body) != 0) {
			t.Errorf("%v %q", g.Header, g.body)
		}
	}
}

func TestAnErrorOfABucketShowsItsStatusOnly(t *testing.T) {
	s := newStore(t, nil)
	for _, c := range []struct {
		status int
		code   string
		want   int
	}{
		{404, "NoSuchKey", 404}, {403, "AccessDenied", 404}, {403, "InvalidObjectState", 403}, {403, "SomethingNew", 403}, {412, "PreconditionFailed", 412}, {416, "InvalidRange", 416},
		{429, "TooManyRequests", 429}, {503, "SlowDown", 503}, {500, "InternalError", 500}, {400, "BadRequest", 400}, {403, "</Code><Code>SignatureDoesNotMatch", 403},
	} {
		s.tell(fails(c.status, c.code))
		for _, method := range []string{"GET", "HEAD"} {
			o := made(t, Config{Endpoints: at(s.URL), S3: &S3{Bucket: "media", Signer: signer(t, "hush")}})
			g := fetch(t, o.Object("/a", ""), method, nil)
			if g.err != nil || g.StatusCode != c.want || !strings.HasPrefix(g.Status, fmt.Sprint(c.want)) || len(g.body) != 0 || g.ContentLength != 0 || g.Header.Get("Content-Type") != "" || strings.Contains(fmt.Sprint(g.Header), "secret") {
				t.Errorf("%s %d %s: %v", method, c.status, c.code, g)
			}
			if d := o.Status().Denied; (d == 1) != (c.code == "AccessDenied") {
				t.Errorf("%s: denied %d", c.code, d)
			}
		}
	}
}

func TestWhatIsTheFaultOfTheEdgeIsAnErrorAndLoggedOnceAMinute(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
	}{
		{403, "SignatureDoesNotMatch"}, {403, "RequestTimeTooSkewed"}, {403, "InvalidAccessKeyId"}, {400, "AuthorizationHeaderMalformed"}, {400, "ExpiredToken"}, {401, "Unauthorized"}, {404, "NoSuchBucket"},
	} {
		s := newStore(t, nil)
		s.tell(fails(c.status, c.code))
		var logged lines
		o, err := New(Config{Name: "vod", Endpoints: at(s.URL), S3: &S3{Bucket: "media", Signer: signer(t, "hush")}, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		if err != nil {
			t.Fatal(err)
		}
		clock := clock{now: now}
		o.now = clock.read
		run(t, o)
		for range 2 * maxFails {
			g := fetch(t, o.Object("/secret-key", ""), "GET", nil)
			g.wants(t, 502, c.code)
		}
		if c.status == 400 || c.status == 403 {
			fetch(t, o.Object("/secret-key", ""), "HEAD", nil).wants(t, 502, c.code)
		}
		if n := strings.Count(logged.String(), "refuses the edge"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		clock.add(time.Minute)
		fetch(t, o.Object("/secret-key", ""), "GET", nil)
		if text := logged.String(); strings.Count(text, "refuses the edge") != 2 || !strings.Contains(text, c.code) || strings.Contains(text, "secret") || strings.Contains(text, "hush") || strings.Contains(text, "Credential") {
			t.Error(text)
		}
		if o.Status().Endpoints[0].Healthy {
			t.Error("healthy, though nothing can be read")
		}
	}
}

func TestAWrongSecretAtOneEndpointIsFollowedByTheNext(t *testing.T) {
	content := media(100)
	first, second := newStore(t, nil), bucket(t, content)
	first.tell(fails(403, "InvalidAccessKeyId"))
	o := made(t, Config{Endpoints: at(first.URL, second.URL), S3: &S3{Bucket: "media", Signer: signer(t, "hush")}})
	if g := fetch(t, o.Object("/a", ""), "GET", nil); g.err != nil || !bytes.Equal(g.body, content) {
		t.Error(g.err)
	}
}

// MinIO does not know If-Range, and answers with the part of another version.
func TestAPartOfAnotherVersionThanIfRangeNamesIsNotPassedOn(t *testing.T) {
	content := media(1000)
	s := newStore(t, content)
	s.tell(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-Range")
		s.honest(w, r)
	})
	o := made(t, Config{Endpoints: at(s.URL)})
	for _, c := range []struct {
		condition string
		want      int
	}{
		{`"v1"`, 206}, {`"v0"`, 200}, {`W/"v1"`, 200}, {modified.Format(http.TimeFormat), 206}, {"Fri, 01 May 2020 12:00:00 GMT", 200}, {"nonsense", 200},
	} {
		g := fetch(t, o.Object("/a", ""), "GET", http.Header{"Range": {"bytes=500-"}, "If-Range": {c.condition}})
		if want := content[500*(c.want-200)/6:]; g.err != nil || g.StatusCode != c.want || !bytes.Equal(g.body, want) {
			t.Errorf("%s: %v", c.condition, g)
		}
	}
	if s := o.Status(); s.Failovers != 0 || s.Endpoints[0].InFlight != 0 {
		t.Errorf("%+v", s)
	}
}
