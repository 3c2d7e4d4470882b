package cli

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestWhatIsNotPrintableIsShownAsAnEscape(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ünïcode, 日本語":     "plain, ünïcode, 日本語",
		"\x1b[2J":                 `\x1b[2J`,
		"a\nb\tc\r\x00\x7f":       `a\nb\tc\r\x00\x7f`,
		"c1 \u009b31m":            `c1 \u009b31m`,
		"bidi \u202e\u2066":       `bidi \u202e\u2066`,
		"zero\u200bwidth\ufeff":   `zero\u200bwidth\ufeff`,
		"line\u2028break":         `line\u2028break`,
		"broken \xff\x9b utf-8":   `broken \xff\x9b utf-8`,
		"no-break\u00a0space":     `no-break\u00a0space`,
		"\U000e0041 tags":         `\U000e0041 tags`,
		"replacement \ufffd char": `replacement \ufffd char`,
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestTextIsCutByCells(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"short", 5, "short"}, {"longer", 5, "long…"}, {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"}, {"abc", 1, "…"}, {"abc", 0, ""}, {"", 0, ""},
	} {
		if got := cut(c.text, c.width); got != c.want || cells(got) > c.width {
			t.Errorf("cut(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestALineIsCutToThePaper(t *testing.T) {
	l := line{{bold, "日本語"}, {plain, " and more "}, {bad, "日本語"}}
	for width := 1; width < 30; width++ {
		got := paper{width: width}.render(l)
		if cells(got) > width || width < l.width() && strings.Count(got, "…") != 1 {
			t.Errorf("%d: %q", width, got)
		}
	}
}

// poison fills every string within v with text.
func poison(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && v.Type() != reflect.TypeFor[time.Time]() {
				poison(v.Field(i), text)
			}
		}
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[string]string]() {
			v.Set(reflect.ValueOf(map[string]string{text: text}))
		}
	}
}

const hostile = "\x1b]0;owned\x07\x1b[2J\r\n\u202e\u009b\xff"

func TestNothingThatTheEdgeSaysReachesTheTerminalRaw(t *testing.T) {
	views := []switcher.ServiceView{calm(), ramping(), draining(), broken()}
	moves, events, plan := exampleHistory(), exampleEvents(), examplePlan()
	for _, v := range []any{&views, &moves, &events, &plan} {
		poison(reflect.ValueOf(v).Elem(), hostile)
	}
	page, doc := exampleStreams(), evicted{Service: hostile, Warnings: []string{hostile}}
	poison(reflect.ValueOf(&page).Elem(), hostile)
	b := &board{views: views, events: events, down: errDown, oldest: oldest{pages: map[string]switcher.StreamPage{hostile: page}}}
	lines := append(statusTable(views, 80, at), planLines(&plan)...)
	lines = append(append(lines, historyLines(moves)...), b.lines(80, 100, at)...)
	for _, width := range []int{0, minWidth, 300} {
		lines = append(lines, streamTable(&page, switcher.StreamQuery{}, width, at)...)
	}
	lines = append(lines, evictedLines(&doc)...)
	f := newFollow(switcher.Receipt{ID: "x", Services: views}, nil)
	for i := range views {
		lines = append(append(lines, details(&views[i], at)...), finalLine(&views[i], f), held(&views[i]), begun("x")(&views[i]), already("x")(&views[i]))
	}
	lines = append(lines, (&failure{Detail: hostile, Hint: hostile}).explain(hostile, hostile)...)
	for _, l := range lines {
		if text := (paper{}).render(l); strings.ContainsFunc(text, isUnsafe) || !utf8.ValidString(text) {
			t.Errorf("%q", text)
		}
	}
}

func TestJSONIsSafeForATerminalAndStillTheSame(t *testing.T) {
	text := "\x1b[2J \u202e \u009b \U000e0041 日本語"
	data, err := document(map[string]string{"k": text})
	must(t, err)
	if strings.ContainsFunc(string(data), isUnsafe) {
		t.Errorf("%q", data)
	}
	var back map[string]string
	must(t, json.Unmarshal(data, &back))
	if back["k"] != text {
		t.Errorf("%q", back["k"])
	}
}

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 1500 * time.Microsecond: "2ms", 1234 * time.Millisecond: "1.2s", 59*time.Second + 900*time.Millisecond: "1m",
		90 * time.Second: "1m30s", 3*time.Hour + 29*time.Minute + 31*time.Second: "3h30m", 5 * time.Hour: "5h", 72 * time.Hour: "3d",
	} {
		if got := short(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestWhoTakesAnyTrafficHasACellOfTheBar(t *testing.T) {
	for green := range uint8(101) {
		text := paper{}.render(splitBar(switcher.Weighted(switcher.Green, green), 10))
		blue, shaded := strings.Count(text, "█"), strings.Count(text, "░")
		if blue+shaded != 10 || (blue > 0) != (green < 100) || (shaded > 0) != (green > 0) {
			t.Errorf("%d%%: %s", green, text)
		}
	}
}
