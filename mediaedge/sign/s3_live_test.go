package sign

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/mediaedge/s3test"
)

// live is a real S3 server with a bucket "media", and a signer for it.
type live struct {
	*s3test.Server
	signer *S3
	client *http.Client
}

func startLive(t *testing.T) live {
	t.Helper()
	server := s3test.Start(t)
	server.CreateBucket(t, "media")
	transport := &http.Transport{DialContext: server.DialContext, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return live{server, liveSigner(t, server.Account), &http.Client{Transport: transport, Timeout: time.Minute}}
}

func liveSigner(t *testing.T, a s3test.Account) *S3 {
	t.Helper()
	keys, err := OpenKeys(KeyFile{Path: a.KeyFile(t)})
	if err != nil {
		t.Fatal(err)
	}
	return made[*S3](t)(NewS3(keys, s3test.Region))
}

// urls are where an object of the bucket is: with the bucket in the path, and
// in the host's name.
func (l live) urls(t *testing.T, key string) []*url.URL {
	byPath, byHost := parsed(t, l.URL()), parsed(t, l.HostURL("media"))
	byPath.Path, byHost.Path = "/media/"+key, "/"+key
	return []*url.URL{byPath, byHost}
}

// window is one of the real clock, which the server goes by.
func (l live) window() Grant { return Window{}.Grant(time.Now()) }

func (l live) presigned(t *testing.T, s *S3, u *url.URL, g Grant) string {
	t.Helper()
	got, err := s.Sign(t.Context(), u, g)
	if err != nil {
		t.Fatalf("%v: %v", u, err)
	}
	return got.URL
}

// ask returns the answer with its body read. Fields are names and values in
// turn, set on what sign has signed.
func (l live) ask(t *testing.T, method, target, body string, sign func(*http.Request) error, fields ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err == nil && sign != nil {
		err = sign(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	res, err := l.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(content)
}

func (l live) sign(r *http.Request) error {
	return l.signer.SignRequest(context.Background(), r, time.Now())
}

func TestARealBucketKnowsEveryObjectKeyThatIsSigned(t *testing.T) {
	l := startLive(t)
	for path := range keysOfObjects {
		key := strings.TrimPrefix(path, "/b/")
		etag := l.Put(t, "media", key, strings.NewReader(key), int64(len(key)))
		for _, u := range l.urls(t, key) {
			got := l.presigned(t, l.signer, u, l.window())
			if res, body := l.ask(t, http.MethodGet, got, "", nil); res.StatusCode != 200 || body != key || res.Header.Get("ETag") != etag {
				t.Errorf("presigned %s: %d %s", got, res.StatusCode, body)
			}
			if res, _ := l.ask(t, http.MethodHead, got, "", nil); res.StatusCode != 403 {
				t.Errorf("presigned for GET, asked with HEAD: %s: %d", got, res.StatusCode)
			}
			got = l.presigned(t, l.signer.For(http.MethodHead), u, l.window())
			if res, _ := l.ask(t, http.MethodHead, got, "", nil); res.StatusCode != 200 || res.Header.Get("ETag") != etag {
				t.Errorf("presigned for HEAD %s: %d", got, res.StatusCode)
			}
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				res, body := l.ask(t, method, u.String(), "", l.sign)
				if res.StatusCode != 200 || res.Header.Get("ETag") != etag || method == http.MethodGet && body != key {
					t.Errorf("signed %s %s: %d %s", method, u, res.StatusCode, body)
				}
			}
		}
	}
}

func TestARealBucketStoresWhatIsSignedForPUT(t *testing.T) {
	l := startLive(t)
	for path := range keysOfObjects {
		key := strings.TrimPrefix(path, "/b/")
		for _, u := range l.urls(t, key) {
			got := l.presigned(t, l.signer.For(http.MethodPut), u, l.window())
			if res, body := l.ask(t, http.MethodPut, got, "1 "+u.Host, nil); res.StatusCode != 200 || string(l.Get(t, "media", key)) != "1 "+u.Host {
				t.Errorf("presigned %s: %d %s", got, res.StatusCode, body)
			}
			if res, body := l.ask(t, http.MethodGet, got, "", nil); res.StatusCode != 403 {
				t.Errorf("presigned for PUT, asked with GET: %s: %d %s", got, res.StatusCode, body)
			}
			if res, body := l.ask(t, http.MethodPut, u.String(), "2 "+u.Host, l.sign); res.StatusCode != 200 || string(l.Get(t, "media", key)) != "2 "+u.Host {
				t.Errorf("signed %s: %d %s", u, res.StatusCode, body)
			}
		}
	}
}

func TestARealBucketRefusesWhatIsNotAsItWasPresigned(t *testing.T) {
	l := startLive(t)
	l.CreateBucket(t, "other")
	for _, at := range [][2]string{{"media", "a/1.mp4"}, {"media", "a/2.mp4"}, {"other", "a/1.mp4"}} {
		l.Put(t, at[0], at[1], strings.NewReader("x"), 1)
	}
	stranger := l.NewAccount(t)
	const mismatch, denied = "<Code>SignatureDoesNotMatch<", "<Code>AccessDenied<"
	for _, u := range l.urls(t, "a/1.mp4") {
		u.RawQuery = "response-content-type=video%2Fmp4"
		good := l.presigned(t, l.signer, u, l.window())
		if res, body := l.ask(t, http.MethodGet, good, "", nil); res.StatusCode != 200 || res.Header.Get("Content-Type") != "video/mp4" {
			t.Fatalf("%s: %d %s", good, res.StatusCode, body)
		}
		old := Grant{Issued: time.Now().Add(-time.Hour), Expiry: time.Now().Add(-time.Second)}
		for _, c := range []struct{ what, url, code string }{
			{"another object", strings.Replace(good, "a/1.mp4", "a/2.mp4", 1), mismatch},
			{"another bucket", strings.Replace(good, "media", "other", 1), mismatch},
			{"another account", strings.Replace(good, l.AccessKey, stranger.AccessKey, 1), mismatch},
			{"an unknown account", strings.Replace(good, l.AccessKey, "AKNOBODY", 1), "<Code>InvalidAccessKeyId<"},
			{"a longer life", strings.Replace(good, "X-Amz-Expires=600", "X-Amz-Expires=6000", 1), mismatch},
			{"another time", changed(t, good, "X-Amz-Date", -1), mismatch},
			{"another signature", changed(t, good, "X-Amz-Signature", 10), mismatch},
			{"no signature", strings.Replace(good, "X-Amz-Signature=", "x=", 1), "<Code>AuthorizationQueryParametersError<"},
			{"another region", strings.Replace(good, "us-east-1", "eu-west-1", 1), "<Code>AuthorizationQueryParametersError<"},
			{"another parameter", strings.Replace(good, "video%2Fmp4", "text%2Fhtml", 1), mismatch},
			{"one parameter less", strings.Replace(good, "response-content-type=video%2Fmp4&", "", 1), mismatch},
			{"one parameter more", good + "&CMCD=bl%3D2000", mismatch},
			{"one parameter more, at the front", strings.Replace(good, "?", "?a=1&", 1), mismatch},
			{"an ended life", l.presigned(t, l.signer, u, old), denied},
			{"who may not", l.presigned(t, liveSigner(t, stranger), u, l.window()), denied},
		} {
			if c.url == good {
				t.Errorf("%s: nothing has changed", c.what)
			}
			if res, body := l.ask(t, http.MethodGet, c.url, "", nil); res.StatusCode != 403 && res.StatusCode != 400 || !strings.Contains(body, c.code) {
				t.Errorf("%s: %s: %d %s", c.what, c.url, res.StatusCode, body)
			}
		}
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete} {
			if res, _ := l.ask(t, method, good, "", nil); res.StatusCode != 403 {
				t.Errorf("%s: %s: %d", method, good, res.StatusCode)
			}
		}
	}
}

// changed has one character of a parameter exchanged, counted from its end if
// at is negative.
func changed(t *testing.T, target, name string, at int) string {
	t.Helper()
	u := parsed(t, target)
	value := []byte(u.Query().Get(name))
	if at < 0 { // the time's seconds, before the Z
		at += len(value) - 1
	}
	before := string(value)
	value[at] = otherDigit(value[at])
	return strings.Replace(target, name+"="+before, name+"="+string(value), 1)
}

func otherDigit(c byte) byte {
	if c == '0' {
		return '1'
	}
	return '0'
}

func TestARealBucketRefusesWhatIsNotAsItWasSigned(t *testing.T) {
	l := startLive(t)
	for _, key := range []string{"1.mp4", "2.mp4"} {
		l.Put(t, "media", key, strings.NewReader("x"), 1)
	}
	for _, u := range l.urls(t, "1.mp4") {
		for what, change := range map[string]func(*http.Request){
			"another object": func(r *http.Request) { r.URL = r.URL.ResolveReference(&url.URL{Path: "2.mp4"}) },
			"another method": func(r *http.Request) { r.Method = http.MethodDelete },
			"another host":   func(r *http.Request) { r.Host = "x" + r.Host },
			"another time": func(r *http.Request) {
				date := []byte(r.Header.Get("X-Amz-Date"))
				date[14] = otherDigit(date[14])
				r.Header.Set("X-Amz-Date", string(date))
			},
			"another body":      func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsignedPayload) },
			"one parameter":     func(r *http.Request) { r.URL.RawQuery = "a=1" },
			"another signature": func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"0") },
			"a secret less":     func(r *http.Request) { r.Header.Del("Authorization") },
		} {
			res, body := l.ask(t, http.MethodGet, u.String(), "", func(r *http.Request) error {
				err := l.sign(r)
				change(r)
				return err
			})
			if res.StatusCode != 403 && res.StatusCode != 400 {
				t.Errorf("%s of %s: %d %s", what, u, res.StatusCode, body)
			}
		}
		hourAgo := func(r *http.Request) error {
			return l.signer.SignRequest(t.Context(), r, time.Now().Add(-time.Hour))
		}
		if res, body := l.ask(t, http.MethodGet, u.String(), "", hourAgo); res.StatusCode != 403 || !strings.Contains(body, "<Code>RequestTimeTooSkewed<") {
			t.Errorf("an hour ago: %d %s", res.StatusCode, body)
		}
	}
}

func TestARealBucketTakesRangesAndConditionsThatAreSetAfterSigning(t *testing.T) {
	l := startLive(t)
	content := bytes.Repeat([]byte("0123456789"), 1000)
	etag := l.Put(t, "media", "key=1/x+y z.mp4", bytes.NewReader(content), int64(len(content)))
	for _, u := range l.urls(t, "key=1/x+y z.mp4") {
		presigned := l.presigned(t, l.signer, u, l.window())
		for _, c := range []struct {
			fields []string
			status int
			length int
		}{
			{[]string{"Range", "bytes=5-8"}, 206, 4},
			{[]string{"Range", "bytes=-7"}, 206, 7},
			{[]string{"Range", "bytes=9000-", "If-Match", etag}, 206, 1000},
			{[]string{"Range", "bytes=10000-"}, 416, -1},
			{[]string{"Range", "bytes=5-8", "If-Match", `"other"`}, 412, -1},
			{[]string{"If-None-Match", etag}, 304, 0},
			{[]string{"If-None-Match", `"other"`, "Accept-Encoding", "identity"}, 200, 10_000},
		} {
			signed, body := l.ask(t, http.MethodGet, u.String(), "", l.sign, c.fields...)
			if signed.StatusCode != c.status || c.length >= 0 && len(body) != c.length {
				t.Errorf("signed %s, %v: %d, %d bytes", u, c.fields, signed.StatusCode, len(body))
			}
			shared, again := l.ask(t, http.MethodGet, presigned, "", nil, c.fields...)
			if shared.StatusCode != c.status || c.length >= 0 && again != body {
				t.Errorf("presigned %s, %v: %d, %d bytes", presigned, c.fields, shared.StatusCode, len(again))
			}
		}
	}
}
