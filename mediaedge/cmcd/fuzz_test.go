package cmcd

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"
)

var nasty = []string{
	"", ",", "bs", "bl=(", "bl=(2000;v 1000;a)", `sid="`, `sid="\"`, "bl=1e308", "bl=-1", "bl=99999999999999999999", "\xff\xfe=1", "bs\r\nsu", "bs,bs=?0",
	`ec=("a" "b";x=1)`, `bs;x=",",bl=1`, "%", "%43", "bl=2000.", "a=(1 2);b;c=?1", `cid="a,b)",bl=(1)`, "bl=(1.5 2),sid=tok:en/*", "v=2,sta=r,e=ps",
	strings.Repeat("k,", 70), strings.Repeat("k", 70), strings.Repeat("(", 100), strings.Repeat(`"\`, 50),
}

// FuzzParse holds Parse to this: no panic, nothing beyond the bounds, the same
// from a string, a query, a field and a line, and of whatever a strict reader of
// RFC 8941 takes, the same reading.
func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add(s.dictionary)
	}
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err != nil && got != (Report{}) {
			t.Fatalf("%q: %+v beside %v", s, got, err)
		}
		if err == nil {
			checkBounds(t, got)
		}
		same(t, s, got, err)
		dict, strict := httpsfv.UnmarshalDictionary([]string{s})
		if strict != nil || len(dict.Names()) == 0 || err != nil {
			return
		}
		if want := read(dict, got); got != want {
			t.Fatalf("%q:\n got %+v\nwant %+v", s, got, want)
		}
	})
}

func checkBounds(t *testing.T, r Report) {
	for _, n := range []Number{r.Buffer, r.Bitrate, r.Throughput, r.Enough, r.Duration, r.Deadline} {
		if n.N > maxMillis || !n.Known && n.N != 0 { // the widest bound
			t.Fatalf("number %+v", n)
		}
	}
	known := slices.Contains(objects, r.Object) || r.Object == ""
	known = known && (slices.Contains(formats, r.Format) || r.Format == "")
	known = known && (slices.Contains(streams, r.Stream) || r.Stream == "")
	known = known && (slices.Contains(states, r.State) || r.State == "")
	if !known || r.Event != "" && !slices.Contains(events, r.Event) {
		t.Fatalf("a token of nobody's: %+v", r)
	}
	printable := !strings.ContainsFunc(r.Session, func(c rune) bool { return c < ' ' || c > '~' })
	if len(r.Session) > MaxSession || !printable || !utf8.ValidString(r.Session) || r.Version < 1 || r.Version > maxVersion {
		t.Fatalf("session %q, version %d", r.Session, r.Version)
	}
}

// same compares with the other ways in.
func same(t *testing.T, s string, want Report, wantErr error) {
	got, ok, err := ParseQuery("CMCD=" + url.QueryEscape(s))
	if got != want || s != "" && (err != wantErr || ok != (err == nil)) {
		t.Fatalf("query %q: %+v, %v, %v", s, got, ok, err)
	}
	got, ok, err = ParseHeader(http.Header{"Cmcd-Status": {s}})
	if got != want || s != "" && (err != wantErr || ok != (err == nil)) {
		t.Fatalf("field %q: %+v, %v, %v", s, got, ok, err)
	}
	if strings.ContainsAny(s, "\r\n") || s == "" {
		return
	}
	all, invalid, err := ParseEvents(strings.NewReader(s))
	if err != nil || len(all)+invalid != 1 || (invalid == 1) != (wantErr != nil) || len(all) == 1 && all[0] != want {
		t.Fatalf("event %q: %+v, %d, %v", s, all, invalid, err)
	}
}

// read is a second reading of the dictionary, from what the strict library made
// of it. Where Parse is more lenient, which is for values without quotes,
// got's reading is taken.
func read(dict *httpsfv.Dictionary, got Report) Report {
	want := Report{
		Version: 1, Session: got.Session, Error: got.Error, Starved: truth(dict, "bs"), Startup: truth(dict, "su"),
		Buffer: pick(dict, "bl", maxMillis, slices.Min), Bitrate: pick(dict, "br", maxRate, slices.Max),
		Throughput: pick(dict, "mtp", maxRate, slices.Max), Enough: pick(dict, "rtp", maxRate, slices.Max),
		Duration: pick(dict, "d", maxMillis, slices.Max), Deadline: pick(dict, "dl", maxMillis, slices.Max),
		Object: word(dict, "ot", objects), Format: word(dict, "sf", formats), Stream: word(dict, "st", streams),
		State: word(dict, "sta", states), Event: word(dict, "e", events),
	}
	if v := pick(dict, "v", maxVersion, slices.Max); v.N > 0 {
		want.Version = uint8(v.N)
	}
	switch sid := value(dict, "sid").(type) {
	case string:
		if want.Session = sid; len(sid) > MaxSession {
			want.Session = ""
		}
	case nil, bool, []byte:
		want.Session = ""
	}
	if list, ok := member(dict, "ec").(httpsfv.InnerList); ok && len(list.Items) > 0 {
		if first, ok := list.Items[0].Value.(string); ok {
			want.Error = first != ""
		}
	} else if value(dict, "ec") == nil {
		want.Error = false
	}
	return want
}

func member(dict *httpsfv.Dictionary, key string) httpsfv.Member {
	m, _ := dict.Get(key)
	return m
}

func value(dict *httpsfv.Dictionary, key string) any {
	if item, ok := member(dict, key).(httpsfv.Item); ok {
		return item.Value
	}
	return nil
}

func truth(dict *httpsfv.Dictionary, key string) bool {
	switch v := value(dict, key).(type) {
	case bool:
		return v
	case httpsfv.Token:
		return v == "true"
	}
	return false
}

func word(dict *httpsfv.Dictionary, key string, known []Token) Token {
	s := Token(fmt.Sprint(value(dict, key)))
	if _, isBool := value(dict, key).(bool); !isBool && slices.Contains(known, s) {
		return s
	}
	return ""
}

func pick(dict *httpsfv.Dictionary, key string, limit float64, of func([]uint32) uint32) Number {
	var items []httpsfv.Item
	switch m := member(dict, key).(type) {
	case httpsfv.Item:
		items = []httpsfv.Item{m}
	case httpsfv.InnerList:
		items = m.Items
	}
	var found []uint32
	for _, item := range items {
		n := -1.0
		switch v := item.Value.(type) {
		case int64:
			n = float64(v)
		case float64:
			n = v
		}
		if n >= 0 && float64(uint64(n)) <= limit {
			found = append(found, uint32(n))
		}
	}
	if len(found) == 0 {
		return Number{}
	}
	return Number{N: of(found), Known: true}
}

func FuzzParseEvents(f *testing.F) {
	for _, s := range nasty {
		f.Add(s + "\n" + samples[6].dictionary + "\r\n" + s)
	}
	f.Add(strings.Repeat("bs\n", 300))
	f.Fuzz(func(t *testing.T, body string) {
		reports, invalid, err := ParseEvents(strings.NewReader(body))
		if len(reports)+invalid > MaxEvents || err != nil && len(reports)+invalid > 0 {
			t.Fatalf("%d, %d, %v", len(reports), invalid, err)
		}
		for _, r := range reports {
			checkBounds(t, r)
		}
	})
}

func FuzzStrip(f *testing.F) {
	for _, s := range append(nasty, "a=b&CMCD=x&c", "%43MCD=1&&x", "C%4dCD&a=%zz", "CMCD;x&CMCD=;", "a+b=c+d&CMCD+=x", sampleQuery) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got := Strip(query)
		if again := Strip(got); again != got {
			t.Fatalf("%q: %q, then %q", query, got, again)
		}
		left, _ := url.ParseQuery(got) // what it cannot read it leaves out, and says so
		if left.Has(Parameter) {
			t.Fatalf("%q: %q still has it", query, got)
		}
		want, _ := url.ParseQuery(query)
		want.Del(Parameter)
		if left.Encode() != want.Encode() {
			t.Fatalf("%q: %v, not %v", query, left, want)
		}
		var kept []string
		for _, pair := range strings.Split(query, "&") {
			name, _, _ := strings.Cut(pair, "=")
			if name, err := url.QueryUnescape(name); err != nil || name != Parameter {
				kept = append(kept, pair)
			}
		}
		if want := strings.Join(kept, "&"); got != want {
			t.Fatalf("%q: %q, not %q", query, got, want)
		}
	})
}
