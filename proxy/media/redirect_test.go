package media

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// keyFile writes a key as the scheme wants it.
func keyFile(t *testing.T, scheme string) string {
	t.Helper()
	text := "one 00112233445566778899aabbccddeeff00112233\n"
	switch scheme {
	case "cloud_cdn":
		text = "one nZtRohdNF9m3cKM24IcK4w==\n"
	case "cloudfront":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		text = "one\n" + string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	}
	path := filepath.Join(t.TempDir(), scheme)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ends is when the token of a URL does, as its scheme has it.
func ends(t *testing.T, scheme string, location string, life time.Duration) time.Time {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	number := map[string]string{
		"cloudfront": q.Get("Expires"), "cloud_cdn": q.Get("Expires"), "nginx": q.Get("expires"),
		"akamai":     strings.TrimPrefix(strings.Split(q.Get("__token__"), "~")[0], "exp="),
		"cloudflare": strings.Split(q.Get("verify"), "-")[0],
	}[scheme]
	if scheme == "s3" {
		at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
		seconds, err2 := strconv.Atoi(q.Get("X-Amz-Expires"))
		if err != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", location, err, err2)
		}
		return at.Add(time.Duration(seconds) * time.Second)
	}
	at, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", location, err)
	}
	if scheme == "cloudflare" { // which says when it began
		return time.Unix(at, 0).Add(life)
	}
	return time.Unix(at, 0)
}

func opened(t *testing.T, c *Redirect, query ...string) *Redirect {
	t.Helper()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	if err := c.open(query); err != nil {
		t.Fatal(err)
	}
	return c
}

// from is a request of a client that Caddy knows by its address.
func from(method, client string) *http.Request {
	r := httptest.NewRequest(method, "https://edge.example/vod/a.m3u8", nil)
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: client}))
}

func answered(t *testing.T, c *Redirect, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	if err := c.serve(w, r, "/vod/a.m3u8", ""); err != nil {
		t.Fatal(err)
	}
	return w.Result()
}

var schemes = []string{"s3", "cloudfront", "cloud_cdn", "akamai", "cloudflare", "nginx"}

func region(scheme string) string {
	if scheme == "s3" {
		return "eu-central-1"
	}
	return ""
}

func TestARedirectIsKeptForHalfOfWhatItsTokenHasLeftAtMost(t *testing.T) {
	for _, scheme := range schemes {
		keys := keyFile(t, scheme)
		for _, window := range []struct{ bucket, life, maxAge, want time.Duration }{
			{0, 0, 0, 10 * time.Minute}, {time.Second, 2 * time.Second, 0, 2 * time.Second}, {7 * time.Second, 15 * time.Second, time.Hour, 15 * time.Second}, {time.Minute, time.Hour, 30 * time.Second, time.Hour},
		} {
			t.Run(fmt.Sprint(scheme, window), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(2 * 365 * 24 * time.Hour) // it is 2000, and Cloudflare wants ten digits
					c := opened(t, &Redirect{To: "https://cdn.example.com", MaxAge: caddy.Duration(window.maxAge), Sign: &Sign{
						Scheme: scheme, Keys: keys, Region: region(scheme), Bucket: caddy.Duration(window.bucket), Life: caddy.Duration(window.life),
					}})
					for range 50 {
						time.Sleep(window.want/13 + 77*time.Millisecond)
						res := answered(t, c, from(http.MethodGet, ""))
						left := time.Until(ends(t, scheme, res.Header.Get("Location"), window.want))
						control, ok := strings.CutPrefix(res.Header.Get("Cache-Control"), "private, max-age=")
						age, err := strconv.Atoi(control)
						if !ok || err != nil || age < 0 || time.Duration(age)*time.Second > left/2 || left <= 0 || window.maxAge > 0 && time.Duration(age)*time.Second > window.maxAge {
							t.Fatalf("%q with %v left", res.Header.Get("Cache-Control"), left)
						}
						if least := min(left/2, max(window.maxAge, time.Second)); window.maxAge > 0 && time.Duration(age+1)*time.Second < least {
							t.Fatalf("%q with %v left is less than it might be", res.Header.Get("Cache-Control"), left)
						}
					}
				})
			})
		}
	}
}

func TestATokenForOneClientIsKeptByNobody(t *testing.T) {
	for _, scheme := range []string{"cloudfront", "akamai", "nginx"} {
		c := opened(t, &Redirect{To: "https://cdn.example.com", Sign: &Sign{Scheme: scheme, Keys: keyFile(t, scheme), ClientIP: true}})
		one, other := answered(t, c, from(http.MethodGet, "192.0.2.7")), answered(t, c, from(http.MethodGet, "192.0.2.8"))
		if one.Header.Get("Cache-Control") != "no-store" || one.Header.Get("Location") == other.Header.Get("Location") {
			t.Errorf("%s: %q, %q", scheme, one.Header, other.Header)
		}
		for _, unknown := range []string{"", "@", "localhost"} {
			w := httptest.NewRecorder()
			if err := c.serve(w, from(http.MethodGet, unknown), "/vod/a.m3u8", ""); err == nil || len(w.Header()) > 0 {
				t.Errorf("%s: a client at %q is given %q", scheme, unknown, w.Header())
			}
		}
	}
	for _, scheme := range []string{"cloudfront", "akamai", "cloud_cdn"} {
		c := opened(t, &Redirect{To: "https://cdn.example.com", Sign: &Sign{Scheme: scheme, Keys: keyFile(t, scheme), Cookie: new(Cookie)}})
		res := answered(t, c, from(http.MethodGet, ""))
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Location") != "https://cdn.example.com/vod/a.m3u8" || len(res.Cookies()) == 0 {
			t.Errorf("%s: %q", scheme, res.Header)
		}
		for _, cookie := range res.Cookies() {
			if cookie.Path != "/vod/" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s: %s", scheme, cookie)
			}
		}
	}
}

func TestAPresignedURLIsForTheMethodOfTheRequest(t *testing.T) {
	c := opened(t, &Redirect{To: "https://s3.example.com/bucket", Methods: []string{"PUT", "DELETE"}, Sign: &Sign{Scheme: "s3", Keys: keyFile(t, "s3"), Region: "us-east-1"}})
	locations := make(map[string]string)
	for method, want := range map[string]struct {
		status  int
		control string
	}{"GET": {302, "private"}, "HEAD": {302, "private"}, "PUT": {307, "no-store"}, "DELETE": {307, "no-store"}} {
		res := answered(t, c, from(method, ""))
		location := res.Header.Get("Location")
		if other, taken := locations[location]; taken {
			t.Errorf("%s and %s are sent to the same place", method, other)
		}
		locations[location] = method
		if res.StatusCode != want.status || !strings.HasPrefix(res.Header.Get("Cache-Control"), want.control) {
			t.Errorf("%s: %d %q", method, res.StatusCode, res.Header)
		}
	}
	c = opened(t, &Redirect{To: "https://upload.example.com", Status: 307, Methods: []string{"PUT"}})
	if res := answered(t, c, from("PUT", "")); res.StatusCode != 307 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("an upload without a signature: %d %q", res.StatusCode, res.Header)
	}
	if res := answered(t, c, from("GET", "")); res.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("without a signature: %q", res.Header)
	}
}

func TestATokenForADirectoryOpensNothingBesideTheRule(t *testing.T) {
	for _, c := range []struct {
		prefixes []string
		path     string
		want     bool
	}{
		{[]string{"/vod"}, "/vod", false}, {[]string{"/vod"}, "/vod/", true}, {[]string{"/vod"}, "/vod/a.mp4", true}, {[]string{"/vod/"}, "/vod/x/a.mp4", true},
		{[]string{"/vod/a.mp4"}, "/vod/a.mp4", false}, {[]string{"/a", "/vod"}, "/vod", false}, {[]string{"/", "/vod"}, "/vod", true}, {nil, "/vod", true},
	} {
		if got := (Rule{Paths: c.prefixes}).contains(c.path); got != c.want {
			t.Errorf("%q at %s: %v", c.prefixes, c.path, got)
		}
	}
	h := handler(t, &Handler{Match: Rule{Paths: []string{"/vod"}, All: true}, Redirect: &Redirect{To: "https://cdn.example.com", Sign: &Sign{Scheme: "akamai", Keys: keyFile(t, "akamai"), Directory: true}}})
	for target, want := range map[string]string{"/vod": "404", "/vod/": "acl=/vod/*", "/vod/x/a.mp4": "acl=/vod/x/*"} {
		res := serve(t, h, httptest.NewRequest(http.MethodGet, target, nil))
		if got := res.Header.Get("Location") + fmt.Sprint(res.StatusCode); !strings.Contains(got, want) {
			t.Errorf("%s: %s", target, got)
		}
	}
}
