package resume

import (
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestAContentRangeIsReadStrictly(t *testing.T) {
	const most = "9223372036854775807"
	good := map[string]ContentRange{
		"bytes 0-0/1":                          {0, 0, 1},
		"bytes 0-499/1234":                     {0, 499, 1234},
		"BYTES 734-1233/1234":                  {734, 1233, 1234},
		"bYtEs 10-10/*":                        {10, 10, -1},
		"bytes */0":                            {-1, -1, 0},
		"bytes */" + most:                      {-1, -1, 9223372036854775807},
		"bytes 0-9223372036854775806/" + most:  {0, 9223372036854775806, 9223372036854775807},
		"bytes 0-" + most + "/*":               {0, 9223372036854775807, -1},
		"bytes 1-9223372036854775799/" + most:  {1, 9223372036854775799, 9223372036854775807},
		"bytes " + most + "-" + most + "/*":    {9223372036854775807, 9223372036854775807, -1},
		"bytes 99999-100000/18014398509481984": {99999, 100000, 18014398509481984},
	}
	for s, want := range good {
		if got, err := ParseContentRange(s); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", " ", "bytes", "bytes ", "bytes /", "bytes -/", "bytes */*", "bytes *-*/*", "bytes -1/2", "bytes 1-/2", "bytes 0-1", "bytes 0-1/",
		"bytes=0-1/2", "bytes\t0-1/2", "bytes  0-1/2", " bytes 0-1/2", "bytes 0-1/2 ", "bytes 0 -1/2", "bytes 0- 1/2", "bytes 0-1 /2", "bytes 0-1/ 2",
		"bytes +0-1/2", "bytes 0-+1/2", "bytes -0-1/2", "bytes 0--1/2", "bytes 0-1/+2", "bytes 0-1/-1", "bytes */-1",
		"bytes 00-1/2", "bytes 0-01/2", "bytes 0-1/02", "bytes 0x0-1/2", "bytes 0-1e0/2", "bytes 0_0-1/2",
		"bytes 2-1/3", "bytes 0-2/2", "bytes 0-0/0", "bytes 5-9/9",
		"bytes 0-9223372036854775808/*", "bytes 0-1/9223372036854775808", "bytes 0-18446744073709551616/*", "bytes 0-1/18446744073709551617",
		"bytes 0-1/99999999999999999999999999", "bytes 0-" + most + "/" + most,
		"byte 0-1/2", "byteſ 0-1/2", "items 0-1/2", "bytes 0-1/2,bytes 3-4/5", "bytes 0-1,3-4/5", "bytes 0-1/2/3", "bytes 0-1-2/3",
		"bytes ٠-١/٢", "bytes 0-1/2\x00", "bytes 0-1/2\n", "bytes 0-1/2;", "none", "*",
	} {
		if got, err := ParseContentRange(s); err == nil {
			t.Errorf("%q is taken for %v", s, got)
		} else if got != (ContentRange{}) {
			t.Errorf("%q: an error comes with %v", s, got)
		}
	}
}

func TestARangeAskedForIsKnownAgain(t *testing.T) {
	for _, tt := range []struct {
		asked []string
		sent  ContentRange
		want  bool
	}{
		{[]string{"bytes=0-99"}, ContentRange{0, 99, 1000}, true},
		{[]string{"Bytes=5-99"}, ContentRange{5, 99, 100}, true},
		{[]string{"bytes=5-"}, ContentRange{5, 99, 100}, true},
		{[]string{"bytes=5-1000"}, ContentRange{5, 99, 100}, true},
		{[]string{"bytes=-10"}, ContentRange{90, 99, 100}, true},
		{[]string{"bytes=-1000"}, ContentRange{0, 99, 100}, true},
		{nil, ContentRange{0, 99, 100}, false},
		{[]string{"bytes=0-99", "bytes=0-99"}, ContentRange{0, 99, 1000}, false},
		{[]string{"bytes=0-99,200-299"}, ContentRange{0, 99, 1000}, false},
		{[]string{"bytes=0-99,"}, ContentRange{0, 99, 1000}, false},
		{[]string{"bytes=0-99"}, ContentRange{1, 99, 1000}, false},
		{[]string{"bytes=0-99"}, ContentRange{0, 98, 1000}, false},
		{[]string{"bytes=0-99"}, ContentRange{0, 100, 1000}, false},
		{[]string{"bytes=5-"}, ContentRange{5, 98, 100}, false},
		{[]string{"bytes=5-"}, ContentRange{4, 99, 100}, false},
		{[]string{"bytes=-10"}, ContentRange{89, 99, 100}, false},
		{[]string{"bytes=-10"}, ContentRange{90, 98, 100}, false},
		{[]string{"bytes=-0"}, ContentRange{99, 99, 100}, false},
		{[]string{"bytes=-"}, ContentRange{0, 99, 100}, false},
		{[]string{"bytes="}, ContentRange{0, 99, 100}, false},
		{[]string{"bytes"}, ContentRange{0, 99, 100}, false},
		{[]string{"bytes=--10"}, ContentRange{90, 99, 100}, false},
		{[]string{"bytes= 0-99"}, ContentRange{0, 99, 1000}, false},
		{[]string{"bytes=+0-99"}, ContentRange{0, 99, 1000}, false},
		{[]string{"bytes=x-"}, ContentRange{0, 99, 100}, false},
		{[]string{"bytes=-x"}, ContentRange{0, 99, 100}, false},
		{[]string{"bytes=0-99999999999999999999"}, ContentRange{0, 99, 100}, false},
		{[]string{"items=0-99"}, ContentRange{0, 99, 1000}, false},
	} {
		if got := tt.sent.asked(http.Header{"Range": tt.asked}); got != tt.want {
			t.Errorf("Range %q, sent %v: %v", tt.asked, tt.sent, got)
		}
	}
}

func TestOnlyAStrongETagCounts(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		reason Reason
	}{
		{[]string{`"a"`}, ""},
		{[]string{`""`}, ""},
		{[]string{`"a,b"`}, ""},
		{[]string{`"!#[]~"`}, ""},
		{[]string{`"` + "\x80\xff" + `"`}, ""},
		{[]string{`"W/"`}, ""},
		{nil, ReasonETagMissing},
		{[]string{}, ReasonETagMissing},
		{[]string{`W/"a"`}, ReasonETagWeak},
		{[]string{`W/""`}, ReasonETagWeak},
		{[]string{`w/"a"`}, ReasonETagInvalid},
		{[]string{`W/a`}, ReasonETagInvalid},
		{[]string{``}, ReasonETagInvalid},
		{[]string{`"`}, ReasonETagInvalid},
		{[]string{`a`}, ReasonETagInvalid},
		{[]string{`"a`}, ReasonETagInvalid},
		{[]string{`a"`}, ReasonETagInvalid},
		{[]string{`'a'`}, ReasonETagInvalid},
		{[]string{` "a"`}, ReasonETagInvalid},
		{[]string{`"a" `}, ReasonETagInvalid},
		{[]string{`"a b"`}, ReasonETagInvalid},
		{[]string{`"a"b"`}, ReasonETagInvalid},
		{[]string{`"a", "b"`}, ReasonETagInvalid},
		{[]string{`"a","b"`}, ReasonETagInvalid},
		{[]string{"\"a\tb\""}, ReasonETagInvalid},
		{[]string{"\"a\x00b\""}, ReasonETagInvalid},
		{[]string{"\"a\x7fb\""}, ReasonETagInvalid},
		{[]string{"\"a\r\nX: y\""}, ReasonETagInvalid},
		{[]string{`*`}, ReasonETagInvalid},
		{[]string{`"a"`, `"a"`}, ReasonETagInvalid},
		{[]string{`"a"`, `W/"a"`}, ReasonETagInvalid},
	} {
		tag, reason := StrongETag(http.Header{"Etag": tt.fields})
		if reason != tt.reason || reason == "" && tag != tt.fields[0] || reason != "" && tag != "" {
			t.Errorf("%q: %q, %q; want %q", tt.fields, tag, reason, tt.reason)
		}
	}
}

// FuzzContentRange compares with a grammar, and numbers without bound.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-1/2", "bytes */5", "bytes 3-4/*", "Bytes 0-9223372036854775807/9223372036854775808", "byteſ 0-1/2", "bytes 01-2/3", "bytes 9-8/10"} {
		f.Add(s)
	}
	grammar := regexp.MustCompile(`^[Bb][Yy][Tt][Ee][Ss] (?:\*/(0|[1-9][0-9]*)|(0|[1-9][0-9]*)-(0|[1-9][0-9]*)/(?:(0|[1-9][0-9]*)|\*))$`)
	number := func(s string) *big.Int {
		if s == "" {
			return big.NewInt(-1)
		}
		n, _ := new(big.Int).SetString(s, 10)
		return n
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseContentRange(s)
		m := grammar.FindStringSubmatch(s)
		valid := m != nil
		if valid {
			first, last, total := number(m[2]), number(m[3]), number(m[4]+m[1])
			valid = first.IsInt64() && last.IsInt64() && total.IsInt64() && first.Cmp(last) <= 0 && (total.Sign() < 0 || last.Cmp(total) < 0)
			if valid && err == nil && (got != ContentRange{first.Int64(), last.Int64(), total.Int64()}) {
				t.Fatalf("%q: %v", s, got)
			}
		}
		if valid != (err == nil) {
			t.Fatalf("%q: valid %v, error %v", s, valid, err)
		}
		if err == nil && got.String() != strings.ToLower(s) {
			t.Fatalf("%q comes back as %q", s, got)
		}
	})
}
