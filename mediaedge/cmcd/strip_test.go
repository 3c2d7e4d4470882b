package cmcd

import (
	"net/http"
	"slices"
	"testing"
)

func TestStripTakesCMCDAndLeavesTheRestAsItWas(t *testing.T) {
	for query, want := range map[string]string{
		"":                                      "",
		"CMCD=bs":                               "",
		"CMCD":                                  "",
		"CMCD=":                                 "",
		"CMCD=bs&CMCD=su":                       "",
		"a=b&CMCD=bs":                           "a=b",
		"CMCD=bs&a=b":                           "a=b",
		"a=b&CMCD=bl%3D1%2Cbs&c=d":              "a=b&c=d",
		"a=b&CMCD=x&c=d&CMCD=y&e=f":             "a=b&c=d&e=f",
		"b=2&a=1&CMCD=x&b=%7e&b=~":              "b=2&a=1&b=%7e&b=~",
		"&&CMCD=x&&":                            "&&&",
		"a=%zz;c&CMCD=%zz&d=+%20%2B":            "a=%zz;c&d=+%20%2B",
		"%43%4d%43%44=x&a=b":                    "a=b",
		"%43%4D%43%44=x&a=b":                    "a=b",
		"C%4DC%44&a=b":                          "a=b",
		"CMCD=a;b=c&d=e":                        "d=e",
		"CMCD==&d=e":                            "d=e",
		"a=CMCD=bs&b=CMCD&c=%26CMCD=x":          "a=CMCD=bs&b=CMCD&c=%26CMCD=x",
		"cmcd=x&CMCDx=1&xCMCD=1&CMC=1&x43MCD=1": "cmcd=x&CMCDx=1&xCMCD=1&CMC=1&x43MCD=1",
		"CMCD+=x&+CMCD=x&CMCD%00=x&CMCD;a=x":    "CMCD+=x&+CMCD=x&CMCD%00=x&CMCD;a=x",
		"%2543MCD=x&%63MCD=x&CM%4=x&%4&%&%4":    "%2543MCD=x&%63MCD=x&CM%4=x&%4&%&%4",
		"X-Amz-Signature=ab%2F&CMCD=x&Expires":  "X-Amz-Signature=ab%2F&Expires",
	} {
		if got := Strip(query); got != want {
			t.Errorf("%s: %q, not %q", query, got, want)
		}
	}
}

func TestStripHeaderTakesTheFourFieldsOnly(t *testing.T) {
	h := http.Header{}
	for _, name := range append(Fields(), "cmcd-object", "CMCD-Other", "Range") {
		h.Add(name, "x")
	}
	StripHeader(h)
	if h.Get("CMCD-Other") != "x" || h.Get("Range") != "x" || len(h) != 2 {
		t.Errorf("left: %v", h)
	}
	Fields()[0] = "changed"
	if !slices.Contains(Fields(), "CMCD-Object") {
		t.Error("a caller can change the names")
	}
}

func TestStripDoesNotAllocateWhereThereIsNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Strip("token=abc&x=y&z=%20") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
