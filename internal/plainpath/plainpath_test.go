package plainpath

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestCanonicalSaysWhyAPathIsRefused(t *testing.T) {
	for raw, why := range map[string]string{
		"": "slash", "*": "slash", "a": "slash", "http://a/b": "slash",
		"/a?b": "query", "/a#b": "fragment", "/a%3fb": "question mark", "/a%23b": "number sign",
		"/a%": "hexadecimal", "/a%2": "hexadecimal", "/a%gg": "hexadecimal", "/%u002f": "hexadecimal",
		"/a%2fb": "encoded slash", `/a\b`: "backslash", "/%2525": "percent sign", "/%00": "NUL",
		"/a/../b": "dot or empty", "/a//b": "dot or empty", "/%2e": "dot or empty",
		"/%ff": "UTF-8", "/\xff": "UTF-8", "/a%0a": "control", "/\u0085": "control", "/\x7f": "control",
		"/a;b": "semicolon", "/a%3bb": "semicolon", "/a.": "ends in a dot", "/a/b%20/c": "space", "/a /": "space",
	} {
		if got, err := Canonical(raw); got != "" || !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %q, %v; want %s", raw, got, err, why)
		}
	}
}

func TestCanonicalDecodesWhatHasOneReading(t *testing.T) {
	for raw, want := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "/%61": "/a", "/a%20b": "/a b", "/a b": "/a b", "/a+b%2B": "/a+b+", "/%e2%82%ac": "/€", "/..a/b..c": "/..a/b..c",
	} {
		if got, err := Canonical(raw); got != want || err != nil {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

func TestAmbiguousIsWhatAnApplicationMayReadDifferently(t *testing.T) {
	for raw, want := range map[string]bool{
		"/": false, "*": false, "/a;b": false, "/a./b": false, "/%e9": false, "/a%3fb": false, "/..a": false, "/a/": false,
		"a": true, "//": true, "/./a": true, "/a/..": true, "/a/..;/b": true, "/.;x": true, "/%2e": true, "/a%2fb": true,
		`/a\b`: true, "/%5c": true, "/%00": true, "/%25": true, "/%C0%AE": true, "/%c1%9c": true,
	} {
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := Ambiguous(decoded, raw); got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
	if Ambiguous("", "") {
		t.Error("no path at all")
	}
}

// FuzzCanonical holds Canonical to its comment: one reading, that stays the
// same, and nothing that Ambiguous refuses.
func FuzzCanonical(f *testing.F) {
	for _, raw := range []string{"/", "/a/%2e%2e/b", "/a%252fb", "/%c0%ae/", "/a;b", "/a%20b/c.", "//a", "/%E2%82%AC.mp4"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := Canonical(raw)
		if err != nil {
			if got != "" || !errors.Is(err, ErrAmbiguous) {
				t.Fatalf("%q: %q, %v", raw, got, err)
			}
			return
		}
		if again, err := Canonical(got); again != got || err != nil {
			t.Fatalf("%q: %q becomes %q, %v", raw, got, again, err)
		}
		if encoded := (&url.URL{Path: got}).EscapedPath(); Ambiguous(got, encoded) || Ambiguous(got, raw) {
			t.Fatalf("%q: %q is ambiguous", raw, got)
		}
		for segment := range strings.SplitSeq(got[1:], "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q: %q has a dot segment", raw, got)
			}
		}
	})
}
