package sign

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// keysOfObjects are object keys whose encoding is easy to get wrong, and how
// S3 encodes them.
var keysOfObjects = map[string]string{
	"/b/a b.mp4":         "/b/a%20b.mp4",
	"/b/a+b.mp4":         "/b/a%2Bb.mp4",
	"/b/a=b&c.mp4":       "/b/a%3Db%26c.mp4",
	"/b/é/€/第１話.m3u8":    "/b/%C3%A9/%E2%82%AC/%E7%AC%AC%EF%BC%91%E8%A9%B1.m3u8",
	"/b/a~b-c_d.e/x.mp4": "/b/a~b-c_d.e/x.mp4",
	"/b/(a)!'*,:@$.mp4":  "/b/%28a%29%21%27%2A%2C%3A%40%24.mp4",
	"/b/[a]\"<>|^`{}.ts": "/b/%5Ba%5D%22%3C%3E%7C%5E%60%7B%7D.ts",
	"/b/key=1/x+y z.mp4": "/b/key%3D1/x%2By%20z.mp4",
}

// bucket answers 204 to what is signed well, and 403 to all else. It sees what
// net/http has sent over the wire.
func bucket(t *testing.T, secrets map[string]string) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header
		if r.Header.Get("Authorization") == "" {
			header = nil
		}
		v := viewing{url: "http://" + r.Host + r.RequestURI, at: now}
		if err := sigV4(r.Method, v, header, "auto", secrets); err != nil {
			w.Header().Set("X-Refused", err.Error())
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("X-Seen", r.RequestURI)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	return server
}

func ask(t *testing.T, r *http.Request, err error) *http.Response {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

func TestEveryObjectKeyIsEncodedAsS3DoesAndSentAsItWasSigned(t *testing.T) {
	server := bucket(t, map[string]string{"id": "hush"})
	s := made[*S3](t)(NewS3(keyFile(t, Text, "id hush"), "auto"))
	for key, want := range keysOfObjects {
		u := parsed(t, server.URL)
		u.Path = key
		got, err := s.Sign(t.Context(), u, Window{}.Grant(now))
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, got.URL, nil)
		if res := ask(t, r, err); res.StatusCode != 204 || !strings.HasPrefix(res.Header.Get("X-Seen"), want+"?") {
			t.Errorf("presigned %s: %v", key, res.Header)
		}
		r = &http.Request{Method: http.MethodGet, URL: u}
		err = s.SignRequest(t.Context(), r, now)
		if res := ask(t, r, err); res.StatusCode != 204 || res.Header.Get("X-Seen") != want {
			t.Errorf("signed %s: %v", key, res.Header)
		}
	}
}

func TestAPresignedURLIsForOneMethodAndNoFurtherParameter(t *testing.T) {
	server := bucket(t, map[string]string{"id": "hush"})
	get := made[*S3](t)(NewS3(keyFile(t, Text, "id hush"), "auto"))
	for _, c := range []struct {
		signer *S3
		method string
		more   string
		want   int
	}{
		{get, http.MethodGet, "", 204},
		{get, http.MethodHead, "", 403},
		{get.For(http.MethodHead), http.MethodHead, "", 204},
		{get.For(http.MethodPut), http.MethodPut, "", 204},
		{get.For(http.MethodHead), http.MethodGet, "", 403},
		{get, http.MethodGet, "&CMCD=bl%3D2000", 403},
	} {
		got := signed(t, c.signer, server.URL+"/b/a.mp4?response-content-type=video%2Fmp4&a=b+c", Window{}.Grant(now))
		r, err := http.NewRequestWithContext(t.Context(), c.method, got.URL+c.more, nil)
		if res := ask(t, r, err); res.StatusCode != c.want {
			t.Errorf("%s%s: %d, %v", c.method, c.more, res.StatusCode, res.Header)
		}
	}
}

func TestARequestToABucketHasNothingOfTheClientsCredentials(t *testing.T) {
	server := bucket(t, map[string]string{"id": "hush"})
	s := made[*S3](t)(NewS3(keyFile(t, Text, "id hush session"), "auto"))
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /app HTTP/1.1\r\nHost: edge.example.com\r\nCookie: a=b\r\nAuthorization: Bearer x\r\n" +
		"Proxy-Authorization: Basic x\r\nx-amz-security-token: theirs\r\nX-Amz-Acl: public-read\r\nRange: bytes=0-1\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.RequestURI = parsed(t, server.URL+"/b/a b.mp4"), ""
	err = s.SignRequest(t.Context(), r, now)
	r.Header.Set("If-Match", `"later"`)
	if res := ask(t, r, err); res.StatusCode != 204 {
		t.Errorf("%v", res.Header)
	}
	want := http.Header{"Range": {"bytes=0-1"}, "If-Match": {`"later"`}, "X-Amz-Date": {now.Format("20060102T150405Z")},
		"X-Amz-Security-Token": {"session"}, "X-Amz-Content-Sha256": {emptyPayload}, "Authorization": r.Header["Authorization"]}
	for name := range r.Header {
		if r.Header.Get(name) != want.Get(name) {
			t.Errorf("%s: %s", name, r.Header.Get(name))
		}
	}
	if len(r.Header) != len(want) || r.Host != r.URL.Host || !strings.Contains(r.Header.Get("Authorization"), "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,") {
		t.Errorf("%s %v", r.Host, r.Header)
	}
}

func TestTheBodyOfARequestToABucketIsNotSigned(t *testing.T) {
	server := bucket(t, map[string]string{"id": "hush"})
	s := made[*S3](t)(NewS3(keyFile(t, Text, "id hush"), "auto"))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/b/a.mp4", bytes.NewReader(make([]byte, 100)))
	if err != nil {
		t.Fatal(err)
	}
	if err = s.SignRequest(t.Context(), r, now); r.Header.Get("X-Amz-Content-Sha256") != "UNSIGNED-PAYLOAD" {
		t.Errorf("%v, %v", err, r.Header)
	}
	if res := ask(t, r, err); res.StatusCode != 204 {
		t.Errorf("%v", res.Header)
	}
}

func TestAPortThatGoesWithoutSayingIsNotInTheHost(t *testing.T) {
	s := made[*S3](t)(NewS3(keyFile(t, Text, "id hush"), "auto"))
	for origin, want := range map[string]string{"http://b.example:80": "b.example", "https://b.example:443": "b.example", "http://b.example:9000": "b.example:9000"} {
		r := &http.Request{Method: http.MethodGet, URL: parsed(t, origin+"/a"), Host: "edge.example.com"}
		if err := s.SignRequest(t.Context(), r, now); err != nil || r.Host != want {
			t.Errorf("%s: %q, %v", origin, r.Host, err)
		}
		v := viewing{url: "http://" + want + "/a", at: now}
		if err := sigV4(r.Method, v, r.Header, "auto", map[string]string{"id": "hush"}); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
	}
}

func TestARequestWhoseURLIsAmbiguousIsNotSigned(t *testing.T) {
	s := made[*S3](t)(NewS3(keyFile(t, Text, "id hush"), "auto"))
	for _, u := range []*url.URL{{Scheme: "https", Host: "a", Path: "/a/../b"}, {Scheme: "https", Host: "a", Path: "/a", RawQuery: "X-Amz-Date=1"}, {Path: "/a"},
		{Scheme: "https", Host: "a", Path: "/a", RawQuery: "a%5B=1&aB=2"}, {Scheme: "https", Host: "a", Path: "/a", RawQuery: "a=1&a=2"}, {Scheme: "https", Host: "a", Path: "/a", RawQuery: "a=%zz"}} {
		r := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"Cookie": {"a"}}}
		if err := s.SignRequest(t.Context(), r, now); err == nil || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "a" {
			t.Errorf("%v: %v, %v", u, err, r.Header)
		}
	}
}

func TestACookieIsForThePathPrefixAndEndsWithTheGrant(t *testing.T) {
	s := made[*CloudFront](t)(NewCloudFront(keyFile(t, PEM, "K1\n"+pkcs8(t)), &Cookie{SameSite: http.SameSiteNoneMode}))
	g := Window{}.Grant(now)
	if _, err := s.Sign(t.Context(), parsed(t, here), g); err == nil || !strings.Contains(err.Error(), "cookies want a path prefix") {
		t.Error(err)
	}
	g.PathPrefix, g.ClientIP = "/vod/42/", netip.MustParseAddr("::ffff:192.0.2.7")
	got := signed(t, s, here, g)
	if got.URL != "https://cdn.example.com/vod/42/a%20b%2Bc%3Dd~%C3%A9.mp4" || len(got.Cookies) != 3 {
		t.Errorf("%+v", got)
	}
	for _, c := range got.Cookies {
		if c.Valid() != nil || c.Path != "/vod/42/" || !c.Expires.Equal(g.Expiry) || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteNoneMode || c.Domain != "" {
			t.Errorf("%+v: %v", c, c.Valid())
		}
	}
	for _, other := range []Signer{made[*CloudCDN](t)(NewCloudCDN(keyFile(t, Base64, "a "+oldB64), &Cookie{})), made[*Akamai](t)(NewAkamai(keyFile(t, Hex, "a "+oldHex), AkamaiOptions{Cookie: &Cookie{}}))} {
		if _, err := other.Sign(t.Context(), parsed(t, here), Window{}.Grant(now)); err == nil || errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "cookies want a path prefix") {
			t.Errorf("%T: %v", other, err)
		}
	}
}
