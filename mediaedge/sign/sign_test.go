package sign

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
)

func TestAWindowFloorsTimeToItsBucket(t *testing.T) {
	for _, c := range []struct {
		window       Window
		now          int64
		issued, ends int64
	}{
		{Window{}, 1700000100, 1700000100, 1700000700},
		{Window{}, 1700000399, 1700000100, 1700000700},
		{Window{}, 1700000400, 1700000400, 1700001000},
		{Window{Bucket: time.Minute}, 1700000399, 1700000340, 1700000460},
		{Window{Bucket: time.Minute, Life: time.Hour}, 1700000399, 1700000340, 1700003940},
		{Window{Bucket: 7 * time.Second}, 15, 14, 28},
		{Window{Bucket: 7 * time.Second}, -1, -7, 7},
		{Window{Bucket: time.Minute, Life: time.Second}, 0, 0, 120}, // mended
		{Window{Bucket: -5}, 10, 10, 12},
	} {
		g := c.window.Grant(time.Unix(c.now, 999))
		if g.Issued.Unix() != c.issued || g.Expiry.Unix() != c.ends || g.Issued.Nanosecond() != 0 {
			t.Errorf("%+v at %d: %d to %d", c.window, c.now, g.Issued.Unix(), g.Expiry.Unix())
		}
	}
}

func TestAWindowIsAtLeastTwoBucketsOfWholeSeconds(t *testing.T) {
	for w, want := range map[Window]string{
		{}:                           "",
		{Bucket: time.Second}:        "",
		{Life: 10 * time.Minute}:     "",
		{Life: 599 * time.Second}:    "a life of 9m59s",
		{Life: -time.Second}:         "a life of -1s",
		{Bucket: time.Millisecond}:   "a bucket of 1ms",
		{Bucket: -time.Second}:       "a bucket of -1s",
		{Bucket: 1500 * 1000 * 1000}: "a bucket of 1.5s",
		{Life: time.Hour + 1}:        "a life of 1h0m0.000000001s",
	} {
		if err := w.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestAURLThatCannotBeSignedSafelyIsRefused(t *testing.T) {
	for _, s := range schemes(t) {
		signer := s.signer(t, "")
		for _, c := range []struct {
			url       *url.URL
			want      string
			ambiguous bool
		}{
			{nil, "without a host", false},
			{&url.URL{Scheme: "https", Path: "/a"}, "without a host", false},
			{&url.URL{Scheme: "https", Opaque: "//a/b"}, "without a host", false},
			{&url.URL{Scheme: "ftp", Host: "a", Path: "/a"}, "neither http nor https", false},
			{&url.URL{Scheme: "https", Host: "a", Path: "/a", User: url.User("u")}, "with a user", false},
			{&url.URL{Scheme: "https", Host: "a", Path: "/a", Fragment: "f"}, "with a fragment", false},
			{&url.URL{Scheme: "https", Host: "a", Path: ""}, "ambiguous", true},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/../b"}, "ambiguous", true},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42//b"}, "ambiguous", true},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/%2e%2e/b"}, "ambiguous", true},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/a\nb"}, "ambiguous", true},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/a", RawQuery: "a b"}, "must be encoded", false},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/a", RawQuery: "a;b"}, "semicolon", false},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/a", RawQuery: "é"}, "must be encoded", false},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/a", RawQuery: "a%zz=1"}, "encodes nothing", false},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/a", RawQuery: "a=b&&c=d"}, "empty parameter", false},
			{&url.URL{Scheme: "https", Host: "a", Path: "/vod/42/a", RawQuery: "a&"}, "empty parameter", false},
		} {
			g := Window{}.Grant(now)
			s.grant(&g)
			got, err := signer.Sign(t.Context(), c.url, g)
			if err == nil || !strings.Contains(err.Error(), c.want) || got.URL != "" || got.Cookies != nil || errors.Is(err, plainpath.ErrAmbiguous) != c.ambiguous {
				t.Errorf("%s: %v: %v, %v", s.name, c.url, got, err)
			}
		}
	}
}

func TestAParameterOfTheSignatureIsNotTakenFromTheURL(t *testing.T) {
	reserved := map[string][]string{
		"S3":         {"X-Amz-Expires=9", "x-amz-signature=1", "X-Amz-Security-Token="},
		"CloudFront": {"Policy=x", "Expires=1", "a=b&Signature=c", "Key-Pair-Id", "Hash-Algorithm=SHA256", "%50olicy=x"},
		"Cloud CDN":  {"Expires=1", "URLPrefix=x", "KeyName=k", "Signature=s"},
		"Akamai":     {"__token__=x", "a&__token__"},
		"Cloudflare": {"verify=1", "VERIFY=1"},
	}
	for _, s := range schemes(t) {
		for name, queries := range reserved {
			for _, q := range queries {
				g := Window{}.Grant(now)
				s.grant(&g)
				_, err := s.signer(t, "").Sign(t.Context(), parsed(t, "https://a/vod/42/a?"+q), g)
				if mine := strings.HasPrefix(s.name, name); mine && (err == nil || !strings.Contains(err.Error(), "belongs to the signature")) {
					t.Errorf("%s: %s: %v", s.name, q, err)
				}
			}
		}
	}
}

func TestAGrantThatMakesNoSenseIsRefused(t *testing.T) {
	s := made[*Akamai](t)(NewAkamai(keyFile(t, Hex, "a "+oldHex), AkamaiOptions{}))
	for want, change := range map[string]func(*Grant){
		"without an expiry":    func(g *Grant) { g.Expiry = time.Time{} },
		"ends before":          func(g *Grant) { g.Expiry = g.Issued },
		"before it begins":     func(g *Grant) { g.NotBefore = g.Expiry },
		"a session that":       func(g *Grant) { g.Session = "a~acl=/*" },
		"1 to 128":             func(g *Grant) { g.Session = strings.Repeat("a", 129) },
		"end in a slash":       func(g *Grant) { g.PathPrefix = "/vod/42" },
		"prefix: ambiguous":    func(g *Grant) { g.PathPrefix = "/vod/../" },
		"with a slash":         func(g *Grant) { g.PathPrefix = "vod/" },
		"not below":            func(g *Grant) { g.PathPrefix = "/vod/43/" },
		"is not below the pat": func(g *Grant) { g.PathPrefix = "/vod/42/a.mp4/" },
	} {
		g := Window{}.Grant(now)
		change(&g)
		if _, err := s.Sign(t.Context(), parsed(t, "https://a/vod/42/a.mp4"), g); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "sign for Akamai: ") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestASignerThatCannotWorkIsNotMade(t *testing.T) {
	text, hex := keyFile(t, Text, "a b"), keyFile(t, Hex, "a "+oldHex)
	fails := func(want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, err := NewS3(hex, "auto")
	fails("want keys encoded as text, not as hex", err)
	_, err = NewS3(nil, "auto")
	fails("no keys", err)
	_, err = NewS3(text, "eu/west")
	fails("is no region", err)
	_, err = NewCloudFront(text, nil)
	fails("want keys encoded as PEM", err)
	_, err = NewCloudCDN(text, nil)
	fails("want keys encoded as base64", err)
	_, err = NewAkamai(text, AkamaiOptions{})
	fails("want keys encoded as hex", err)
	_, err = NewAkamai(hex, AkamaiOptions{Parameter: "a=b"})
	fails("no name for a parameter", err)
	_, err = NewCloudflare(hex, "", time.Hour)
	fails("want keys encoded as text", err)
	_, err = NewCloudflare(text, "a&b", time.Hour)
	fails("no name for a parameter", err)
	_, err = NewCloudflare(text, "", 0)
	fails("a ttl of 0s", err)
	_, err = NewNGINX(hex, false)
	fails("want keys encoded as text", err)
}

func TestWhatOnlyOneSchemeRefuses(t *testing.T) {
	ttl := made[*Cloudflare](t)(NewCloudflare(keyFile(t, Text, "a b"), "", 5*time.Minute))
	bound := made[*NGINX](t)(NewNGINX(keyFile(t, Text, "a b"), true))
	unbound := made[*NGINX](t)(NewNGINX(keyFile(t, Text, "a b"), false))
	front := made[*CloudFront](t)(NewCloudFront(keyFile(t, PEM, "a\n"+pkcs8(t)), nil))
	s3 := made[*S3](t)(NewS3(keyFile(t, Text, "a b"), "auto"))
	for _, c := range []struct {
		signer Signer
		change func(*Grant)
		want   string
	}{
		{ttl, func(*Grant) {}, "outlives the rule's ttl of 5m0s"},
		{ttl, func(g *Grant) { g.Issued = time.Time{} }, "outlives"},
		{ttl, func(g *Grant) { g.Issued, g.Expiry = time.Unix(1, 0), time.Unix(300, 0) }, "ten digits"},
		{bound, func(*Grant) {}, "without the client's address"},
		{unbound, func(g *Grant) { g.ClientIP = viewer }, "not supported"},
		{front, func(g *Grant) { g.ClientIP = netip.MustParseAddr("2001:db8::1") }, "an IPv6 address"},
		{s3, func(g *Grant) { g.Issued = time.Time{} }, "from its issue"},
		{s3, func(g *Grant) { g.Expiry = g.Issued.Add(604801 * time.Second) }, "1s to 168h0m0s"},
		{s3, func(g *Grant) { g.Expiry = g.Issued.Add(time.Millisecond) }, "1s to 168h0m0s"},
		{s3.For("GET\n"), func(*Grant) {}, "cannot be asked for"},
	} {
		g := Window{}.Grant(now)
		c.change(&g)
		if _, err := c.signer.Sign(t.Context(), parsed(t, "https://a/b"), g); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %v, want %s", c.signer, err, c.want)
		}
	}
}
