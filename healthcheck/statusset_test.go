package healthcheck

import (
	"strings"
	"testing"
)

func TestStatusSetsAreReadFromCodesRangesAndClasses(t *testing.T) {
	for _, c := range []struct{ text, canonical, in, out string }{
		{"", "200-299", "200 299", "199 300"},
		{"200", "200", "200", "199 201"},
		{"2xx", "200-299", "200 299", "199 300"},
		{"200-204", "200-204", "200 204", "199 205"},
		{"200,204", "200,204", "200 204", "201 203"},
		{" 2XX , 401 ", "200-299,401", "250 401", "400 402"},
		{"100-599", "100-599", "100 599", "600"},
	} {
		set, err := ParseStatusSet(c.text)
		if err != nil || set.String() != c.canonical {
			t.Errorf("ParseStatusSet(%q) = %v, %v; want %s", c.text, set, err, c.canonical)
		}
		for _, code := range codesOf(c.in) {
			if !set.Contains(code) {
				t.Errorf("%q does not contain %d", c.text, code)
			}
		}
		for _, code := range codesOf(c.out) {
			if set.Contains(code) {
				t.Errorf("%q contains %d", c.text, code)
			}
		}
	}
}

func codesOf(text string) (codes []int) {
	for word := range strings.FieldsSeq(text) {
		code := 0
		for _, digit := range word {
			code = code*10 + int(digit-'0')
		}
		codes = append(codes, code)
	}
	return codes
}

func TestAMalformedStatusSetIsRefused(t *testing.T) {
	for _, text := range []string{"ok", "20", "2000", "099", "600", "6xx", "xx", "300-200", "200-", "-200", "+20", "200,", "200;204", "200-2xx", "2x"} {
		if set, err := ParseStatusSet(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("ParseStatusSet(%q) = %v, %v; want an error naming it", text, set, err)
		}
	}
}
