package sign

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzSign holds every scheme to this: a URL is refused, or what comes of it
// is on the same host, for the same path, and taken by the other side, which
// takes it on no other path.
func FuzzSign(f *testing.F) {
	for _, path := range []string{"a.mp4", "a b+c=d~é.mp4", "*", "a?b", "a~acl=/*", "../43/a.mp4", "a;b", "a%2fb", "a\r\nb", "x/y/z.ts"} {
		for _, query := range []string{"", "x=y", "x=%2F*", "Policy=x", "a;b", "verify=1", "&&=&", "%zz"} {
			f.Add(path, query)
		}
	}
	all := schemes(f)
	signers := make([]Signer, len(all))
	for i, s := range all {
		signers[i] = s.signer(f, "")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		u := &url.URL{Scheme: "https", Host: "cdn.example.com", Path: "/vod/42/" + path, RawQuery: query}
		for i, s := range all {
			g := Window{}.Grant(now)
			s.grant(&g)
			got, err := signers[i].Sign(t.Context(), u, g)
			if err != nil {
				if got.URL != "" || got.Cookies != nil {
					t.Fatalf("%s: %v beside %v", s.name, got, err)
				}
				continue
			}
			back, err := url.Parse(got.URL)
			if err != nil || back.Host != u.Host || back.Path != u.Path || back.Scheme != "https" || strings.ContainsAny(got.URL, " \"<>\\^`{|}#\r\n") {
				t.Fatalf("%s: %q: %s, %v", s.name, u.Path, got.URL, err)
			}
			v := viewing{url: got.URL, cookies: got.Cookies, at: now, ip: viewer.String()}
			if err := s.verify(v); err != nil {
				t.Fatalf("%s: %s: %v", s.name, got.URL, err)
			}
			v.url = strings.Replace(v.url, "/vod/42/", "/vod/43/", 1)
			if s.verify(v) == nil {
				t.Fatalf("%s: taken elsewhere: %s", s.name, v.url)
			}
		}
	})
}
