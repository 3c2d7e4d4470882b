package mediaedge

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const host = "media.example.com"

// vod matches what most tests ask for.
func vod(t testing.TB) *Matcher {
	return matcher(t, Rule{Hosts: []string{host}, Prefixes: []string{"/vod/"}})
}

func matcher(t testing.TB, rules ...Rule) *Matcher {
	t.Helper()
	m, err := New(rules...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// request reads a request for target as a server does.
func request(target string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
}

func TestAHostileTargetIsRefused(t *testing.T) {
	if len(hostile) < 150 {
		t.Errorf("only %d targets", len(hostile))
	}
	everything := matcher(t, Rule{Prefixes: []string{"/"}})
	past := 0
	for i, target := range hostile {
		if slices.Contains(hostile[:i], target) {
			t.Errorf("%q is listed twice", target)
		}
		r, err := request(target)
		if err != nil {
			continue // net/http answers 400 by itself
		}
		past++
		if found, ok, err := everything.Match(r.Host, r.URL); !errors.Is(err, ErrAmbiguous) || ok || found != (Match{}) {
			t.Errorf("%q: %+v, %v, %v", target, found, ok, err)
		}
	}
	if past < 150 {
		t.Errorf("only %d targets got past net/http", past)
	}
}

func TestATargetIsTakenInAnySpellingThatHasOneReading(t *testing.T) {
	m := vod(t)
	for _, c := range spellings {
		r, err := request(c[0])
		if err != nil {
			t.Errorf("%q: %v", c[0], err)
			continue
		}
		found, ok, err := m.Match(r.Host, r.URL)
		if err != nil || !ok || found.Path != c[1] || found.Type.Kind != Progressive || found.Type.ContentType != "video/mp4" {
			t.Errorf("%q: %+v, %v, %v; want %q", c[0], found, ok, err, c[1])
		}
	}
}

func TestATargetOfAnotherHostIsNotJudged(t *testing.T) {
	m := vod(t)
	if _, ok, err := m.Match("app.example.com", &url.URL{Path: "/vod/../a.mp4"}); ok || err != nil {
		t.Errorf("matched %v, %v", ok, err)
	}
	if _, _, err := m.Match(host, &url.URL{Host: "app.example.com", Path: "/vod/a.mp4"}); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("two hosts: %v", err)
	}
	if _, _, err := m.Match(host, &url.URL{Path: "/vod/a.mp4", RawPath: "/vod/b.mp4"}); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("two paths: %v", err)
	}
	if _, _, err := m.Match(host, &url.URL{Path: "/vod/a.mp4", Fragment: "x"}); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("a fragment: %v", err)
	}
}

func TestWhatIsMediaInNoReadingIsLeftToTheApplication(t *testing.T) {
	byPrefix, byExtension := vod(t), matcher(t, Rule{})
	for target, media := range map[string]struct{ prefix, extension bool }{
		"/wiki/100%25": {}, "/a;b": {}, "/x/..": {}, "//": {}, "/caf%e9": {}, "*": {},
		"/x/..;/VOD/": {prefix: true}, "/%2576od/..%2fvod": {prefix: true}, "/%76od%5ca": {prefix: true},
		"/x/%2e%2e/a.mp4": {extension: true}, "/a%252emp4": {extension: true}, "/app;.MP4": {extension: true}, "/a%2500.ts.html": {extension: true},
		"/vod/..;/a.mp4": {true, true},
	} {
		r, err := request(target)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := byPrefix.Match(r.Host, r.URL); ok || (err != nil) != media.prefix {
			t.Errorf("%q by prefix: %v, %v", target, ok, err)
		}
		if _, ok, err := byExtension.Match(r.Host, r.URL); ok || (err != nil) != media.extension {
			t.Errorf("%q by extension: %v, %v", target, ok, err)
		}
	}
}

func TestARuleMatchesByHostPrefixAndExtension(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		host string
		path string
		want bool
	}{
		{Rule{}, "a", "/x.mp4", true},
		{Rule{}, "a", "/x.html", false},
		{Rule{}, "a", "/", false},
		{Rule{}, "a", "/mp4", false},
		{Rule{}, "a", "/.mp4", false},
		{Rule{}, "a", "/x.mp4/", false},
		{Rule{}, "a", "/x.mp4/y", false},
		{Rule{}, "a", "/x.m\u212av", false}, // a Kelvin sign
		{Rule{}, "a", "/x.MkV", true},
		{Rule{}, "a", "/x.mp4.html", false},
		{Rule{}, "a", "/x.html.mp4", true},
		{Rule{}, "a", "/x.svg", false},
		{Rule{}, "a", "/x.key", false},
		{Rule{Hosts: []string{"Media.example.com"}}, "media.EXAMPLE.com:8443", "/x.mp4", true},
		{Rule{Hosts: []string{"media.example.com"}}, "media.example.com.", "/x.mp4", true},
		{Rule{Hosts: []string{"media.example.com"}}, "media.example.com.:443", "/x.mp4", true},
		{Rule{Hosts: []string{"media.example.com"}}, "media.example.com..", "/x.mp4", false},
		{Rule{Hosts: []string{"media.example.com"}}, "xmedia.example.com", "/x.mp4", false},
		{Rule{Hosts: []string{"media.example.com"}}, "", "/x.mp4", false},
		{Rule{Hosts: []string{"*.example.com"}}, "a.example.com", "/x.mp4", true},
		{Rule{Hosts: []string{"*.example.com"}}, "a.b.example.com", "/x.mp4", false},
		{Rule{Hosts: []string{"*.example.com"}}, "example.com", "/x.mp4", false},
		{Rule{Hosts: []string{"*.example.com"}}, ".example.com", "/x.mp4", false},
		{Rule{Prefixes: []string{"/vod"}}, "a", "/vod/x.mp4", true},
		{Rule{Prefixes: []string{"/vod"}}, "a", "/vodka/x.mp4", false},
		{Rule{Prefixes: []string{"/vod"}}, "a", "/VOD/x.mp4", false},
		{Rule{Prefixes: []string{"/vod.mp4"}}, "a", "/vod.mp4", true},
		{Rule{Prefixes: []string{"/a", "/vod/"}}, "a", "/vod/x.mp4", true},
		{Rule{Prefixes: []string{"/vod/"}, All: true}, "a", "/vod", false},
		{Rule{Prefixes: []string{"/vod/"}, All: true}, "a", "/vod/x", true},
		{Rule{Prefixes: []string{"/v%6Fd/"}, All: true}, "a", "/vod/x", true},
		{Rule{Sets: []Set{HLS}}, "a", "/x.m3u8", true},
		{Rule{Sets: []Set{HLS}}, "a", "/x.mpd", false},
		{Rule{Sets: []Set{HLS, DASH}}, "a", "/x.mpd", true},
		{Rule{Types: []Type{{Extension: "rec"}}}, "a", "/x.rec", true},
		{Rule{Types: []Type{{Extension: "rec"}}}, "a", "/x.mp4", false},
	} {
		if _, ok, err := matcher(t, c.rule).Match(c.host, &url.URL{Path: c.path}); ok != c.want || err != nil {
			t.Errorf("%+v: %s%s: %v, %v", c.rule, c.host, c.path, ok, err)
		}
	}
	if _, ok, err := new(Matcher).Match(host, &url.URL{Path: "/a.mp4"}); ok || err != nil {
		t.Errorf("a matcher without rules: %v, %v", ok, err)
	}
}

func TestTheFirstRuleThatMatchesCounts(t *testing.T) {
	own := Type{Extension: "ts", Kind: Progressive, ContentType: "text/plain"}
	m := matcher(t, Rule{Prefixes: []string{"/src/"}, Types: []Type{own}}, Rule{Prefixes: []string{"/live/"}, All: true}, Rule{})
	for path, want := range map[string]Match{
		"/src/a.ts":   {Path: "/src/a.ts", Type: own},
		"/src/a.m3u8": {Path: "/src/a.m3u8", Type: Type{"m3u8", Playlist, "application/vnd.apple.mpegurl"}, Rule: 2},
		"/live/a.ts":  {Path: "/live/a.ts", Type: Type{"ts", Segment, "video/mp2t"}, Rule: 1},
		"/live/a":     {Path: "/live/a", Rule: 1},
		"/a.vtt":      {Path: "/a.vtt", Type: Type{"vtt", Subtitle, "text/vtt"}, Rule: 2},
	} {
		if got, ok, err := m.Match(host, &url.URL{Path: path}); got != want || !ok || err != nil {
			t.Errorf("%s: %+v, %v, %v; want %+v", path, got, ok, err, want)
		}
	}
}

func TestARuleThatMakesNoSenseIsRefused(t *testing.T) {
	for want, r := range map[string]Rule{
		`host "a:80"`:         {Hosts: []string{"a:80"}},
		`host "a.*.b"`:        {Hosts: []string{"a.*.b"}},
		`host "*"`:            {Hosts: []string{"*"}},
		`host "*."`:           {Hosts: []string{"*."}},
		`host ""`:             {Hosts: []string{""}},
		`host "a."`:           {Hosts: []string{"a."}},
		`prefix "/a/../b"`:    {Prefixes: []string{"/a/../b"}},
		`prefix "vod"`:        {Prefixes: []string{"vod"}},
		`prefix ""`:           {Prefixes: []string{""}},
		"everything would be": {All: true},
		"other than /":        {All: true, Prefixes: []string{"/a", "/"}},
		`called "hsl"`:        {Sets: []Set{"hsl"}},
		`extension ".mp4"`:    {Types: []Type{{Extension: ".mp4"}}},
		`extension "MP4"`:     {Types: []Type{{Extension: "MP4"}}},
		`extension ""`:        {Types: []Type{{}}},
		"kind(99)":            {Types: []Type{{Extension: "a", Kind: 99}}},
	} {
		if _, err := New(Rule{}, r); err == nil || !strings.HasPrefix(err.Error(), "media rule 2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
}

func TestEveryExtensionOfASetHasAKindAndAContentType(t *testing.T) {
	used := map[string]bool{}
	for _, s := range Sets() {
		if len(s.Types()) < 5 {
			t.Errorf("%s: %v", s, s.Types())
		}
		for _, kind := range s.Types() {
			if kind.check() != nil || kind.Kind == Other || kind.ContentType == "" {
				t.Errorf("%s: %+v", s, kind)
			}
			used[kind.Extension] = true
		}
	}
	if len(used) != len(types) {
		t.Errorf("%d extensions are in sets, %d are known", len(used), len(types))
	}
	if Set("none").Types() == nil || len(Set("none").Types()) != 0 {
		t.Error("a set that is none")
	}
	if got := []string{Other.String(), Playlist.String(), Subtitle.String(), Kind(9).String()}; !slices.Equal(got, []string{"other", "playlist", "subtitle", "kind(9)"}) {
		t.Errorf("%q", got)
	}
}

// FuzzCanonical holds the canonical path to what it promises, for whatever a
// client may write, and Match to what it says of the plain spelling.
func FuzzCanonical(f *testing.F) {
	for _, target := range hostile {
		f.Add(target)
	}
	for _, c := range spellings {
		f.Add(c[0])
	}
	m, strict := vod(f), matcher(f, Rule{Prefixes: []string{"/"}})
	f.Fuzz(func(t *testing.T, target string) {
		r, err := request(target)
		if err != nil {
			return
		}
		found, ok, err := m.Match(r.Host, r.URL)
		if r.Host != host {
			return
		}
		canonical, refused := Canonical(r.Host, r.URL)
		if _, _, err := strict.Match(r.Host, r.URL); (refused == nil) != (err == nil) {
			t.Fatalf("%q: Canonical says %v, Match %v", target, refused, err)
		}
		if refused != nil {
			if err != nil && !errors.Is(err, ErrAmbiguous) || ok {
				t.Fatalf("%q: %v, %v", target, ok, err)
			}
			return
		}
		if !utf8.ValidString(canonical) || strings.ContainsAny(canonical, "%?#;\\\x00\r\n") {
			t.Fatalf("%q: %q", target, canonical)
		}
		if clean := path.Clean(canonical); canonical != clean && canonical != clean+"/" || canonical[0] != '/' {
			t.Fatalf("%q: %q is not clean", target, canonical)
		}
		if again, err := Canonical(host, &url.URL{Path: canonical}); err != nil || again != canonical {
			t.Fatalf("%q: %q becomes %q, %v", target, canonical, again, err)
		}
		plain, plainOK, err := m.Match(host, &url.URL{Path: canonical})
		if err != nil || plainOK != ok || plain != found {
			t.Fatalf("%q: %+v, %v; plain %+v, %v, %v", target, found, ok, plain, plainOK, err)
		}
		if ok && (found.Path != canonical || !strings.HasPrefix(canonical, "/vod/")) {
			t.Fatalf("%q: %+v", target, found)
		}
	})
}

// FuzzSpelling writes a path with other bytes encoded, and holds Match to one
// verdict: the same as on the plain path, or a refusal.
func FuzzSpelling(f *testing.F) {
	for _, c := range spellings {
		f.Add(c[1], uint64(0x5555555555555555))
	}
	for _, target := range hostile {
		f.Add(target, uint64(0x10))
	}
	m := vod(f)
	f.Fuzz(func(t *testing.T, plain string, mask uint64) {
		want, wantOK, wantErr := m.Match(host, &url.URL{Path: plain})
		var written strings.Builder
		for i, b := range []byte(plain) {
			if i > 0 && mask>>(i%64)&1 == 1 {
				fmt.Fprintf(&written, "%%%02x", b)
			} else {
				written.WriteByte(b)
			}
		}
		got, ok, err := m.Match(host, &url.URL{Path: plain, RawPath: written.String()})
		if err == nil && (wantErr != nil || got != want || ok != wantOK) {
			t.Fatalf("%q written %q: %+v, %v; plain %+v, %v, %v", plain, &written, got, ok, want, wantOK, wantErr)
		}
	})
}

func TestAPathWithManyEncodingsIsReadInNoTime(t *testing.T) {
	m, err := New(Rule{Prefixes: []string{"/vod/"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		piece string
		media bool
	}{{"%252525", false}, {"%25%32%35", false}, {"%2525252525766f64/a.mp4", false}, {"%25252576od", true}} {
		raw := "/" + strings.Repeat(c.piece, 1<<20/len(c.piece))
		path, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatal(err)
		}
		allocations := testing.AllocsPerRun(1, func() {
			if _, ok, err := m.Match("a.example", &url.URL{Path: path, RawPath: raw}); ok || (err != nil) != c.media {
				t.Errorf("%s…: %v, %v", c.piece, ok, err)
			}
		})
		if allocations > 100 { // one for each encoding would be 100,000
			t.Errorf("%s…: %v allocations", c.piece, allocations)
		}
	}
}

func TestAMatcherKnowsItsHosts(t *testing.T) {
	m, err := New(Rule{Hosts: []string{"media.example.com", "*.cdn.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"media.example.com": true, "MEDIA.example.com:8443": true, "media.example.com.": true, "a.cdn.example.com": true,
		"example.com": false, "cdn.example.com": false, "a.b.cdn.example.com": false, "": false, ".cdn.example.com": false, "[::1]": false,
	} {
		if m.Host(host) != want {
			t.Errorf("%q: want %v", host, want)
		}
	}
}
