package schema

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is a Reader that knows the version.
type at int64

func (v at) Version(context.Context) (int64, error) { return int64(v), nil }
func (at) String() string                           { return "the test" }

// away is a Reader that cannot.
type away struct{}

func (away) Version(context.Context) (int64, error) { return 0, errors.New("connection refused") }
func (away) String() string                         { return "PostgreSQL" }

// upstreams are healthy ones that declare ranges in their metadata; "" declares
// none.
func upstreams(name string, ranges ...string) (list []switcher.UpstreamState) {
	for i, r := range ranges {
		u := switcher.UpstreamState{Upstream: switcher.Upstream{Address: fmt.Sprintf("%s%d:80", name, i+1)}, Healthy: true}
		if low, high, ok := strings.Cut(r, ".."); ok {
			u.Meta = map[string]string{"schema_min": low, "schema_max": high}
		}
		list = append(list, u)
	}
	return list
}

func toGreen(blue, green []switcher.UpstreamState) switcher.GateInput {
	return switcher.GateInput{Service: "app", ID: "x", From: switcher.Blue, To: switcher.Green, Upstreams: switcher.PerColor[[]switcher.UpstreamState]{Blue: blue, Green: green}}
}

func gets(t *testing.T, v switcher.Verdict, want switcher.Decision, stay bool, words ...string) {
	t.Helper()
	if v.Stay != stay {
		t.Errorf("stay %t, want %t: %s", v.Stay, stay, v.Reason)
	}
	switchertest.Says(t, v, want, words...)
}

func TestTheVersionMustSuitBothColors(t *testing.T) {
	for _, c := range []struct {
		name        string
		version     int64
		blue, green []string
		want        switcher.Decision
		stay        bool
		says        []string
	}{
		{"both", 13, []string{"12..13"}, []string{"13..14"}, switcher.Pass, false, []string{"version 13 suits both"}},
		{"at the edges", 12, []string{"12..12"}, []string{"12..12"}, switcher.Pass, false, nil},
		{"green needs the migration", 12, []string{"12..13"}, []string{"13..14"}, switcher.Refuse, false,
			[]string{"at version 12", "green needs 13 at least", "green1:80 declares 13..14"}},
		{"green is too old", 15, []string{"12..15"}, []string{"13..14"}, switcher.Refuse, false, []string{"green works with 14 at most"}},
		{"blue has no way back", 14, []string{"12..13"}, []string{"13..14"}, switcher.Refuse, true,
			[]string{"blue works with 13 at most", "blue1:80 declares 12..13", "no way back"}},
		{"neither", 20, []string{"12..13"}, []string{"13..14"}, switcher.Refuse, true, []string{"green works with 14", "blue works with 13"}},
		{"the narrowest counts", 14, []string{"12..14", "12..13", "11..14"}, []string{"13..14"}, switcher.Refuse, true, []string{"blue2:80 declares 12..13"}},
		{"no version for all", 13, []string{"12..14"}, []string{"12..12", "14..14"}, switcher.Refuse, false, []string{"no version suits all of green", "green2:80", "green1:80"}},
		{"green says nothing", 13, []string{"12..14"}, []string{"12..14", ""}, switcher.Refuse, false,
			[]string{"green2:80 (green) does not say", "schema_min and schema_max"}},
		{"blue says nothing", 13, []string{""}, []string{"12..14"}, switcher.Refuse, false, []string{"blue1:80 (blue) does not say"}},
		{"there is no blue", 13, nil, []string{"12..14"}, switcher.Pass, false, []string{"nobody says what blue works with"}},
		{"nonsense", 13, []string{"12..14"}, []string{"a..b"}, switcher.Refuse, false, []string{"green1:80 (green): metadata", `"a" is no version`}},
		{"backwards", 13, []string{"12..14"}, []string{"14..12"}, switcher.Refuse, false, []string{"green1:80", "end is before its beginning"}},
		{"negative", 13, []string{"12..14"}, []string{"-1..14"}, switcher.Refuse, false, []string{`"-1" is no version`}},
		{"too large", 13, []string{"12..14"}, []string{"1..99999999999999999999"}, switcher.Refuse, false, []string{"is no version"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &Gate{Reader: at(c.version)}
			gets(t, g.Check(t.Context(), toGreen(upstreams("blue", c.blue...), upstreams("green", c.green...))), c.want, c.stay, c.says...)
		})
	}
}

func TestHalfADeclarationIsNone(t *testing.T) {
	for _, key := range []string{"schema_min", "schema_max"} {
		green := upstreams("green", "")
		green[0].Meta = map[string]string{key: "12"}
		g := &Gate{Reader: at(12)}
		gets(t, g.Check(t.Context(), toGreen(upstreams("blue", "12..12"), green)), switcher.Refuse, false, "green1:80", key+" without")
	}
}

func TestOnlyTheUnhealthyAreNotAskedUnlessThereAreNoOthers(t *testing.T) {
	blue := upstreams("blue", "12..12", "12..14")
	blue[0].Healthy = false
	g := &Gate{Reader: at(14)}
	gets(t, g.Check(t.Context(), toGreen(blue, upstreams("green", "14..14"))), switcher.Pass, false)
	blue[1].Healthy = false
	gets(t, g.Check(t.Context(), toGreen(blue, upstreams("green", "14..14"))), switcher.Refuse, true, "blue1:80 declares 12..12")
	blue[0].Meta, blue[1].Meta = nil, nil // dead and silent: no obstacle
	gets(t, g.Check(t.Context(), toGreen(blue, upstreams("green", "14..14"))), switcher.Pass, false)

	green := upstreams("green", "14..14")
	green[0].Healthy = false
	gets(t, g.Check(t.Context(), toGreen(upstreams("blue", "14..14"), green)), switcher.Wait, false, "green has no healthy upstream")
}

func TestTheConfigCanDeclare(t *testing.T) {
	g := &Gate{Reader: at(14), Min: "db.from", Max: "db.to"}
	g.Static.Blue, g.Static.Green = &Range{12, 13}, &Range{13, 14}
	gets(t, g.Check(t.Context(), toGreen(upstreams("blue", ""), upstreams("green", ""))), switcher.Refuse, true, "the config declares 12..13")
	g.Reader = at(13)
	gets(t, g.Check(t.Context(), toGreen(upstreams("blue", ""), upstreams("green", ""))), switcher.Pass, false)
	green := upstreams("green", "")
	green[0].Meta = map[string]string{"db.from": "14", "db.to": "14"} // narrower than the config
	gets(t, g.Check(t.Context(), toGreen(upstreams("blue", ""), green)), switcher.Refuse, false, "green1:80 declares 14..14")
}

func TestADatabaseThatIsAwayIsWaitedFor(t *testing.T) {
	g := &Gate{Reader: away{}}
	gets(t, g.Check(t.Context(), toGreen(upstreams("blue", "1..2"), upstreams("green", "1..2"))), switcher.Wait, false,
		"the schema's version cannot be read (PostgreSQL): connection refused")
}

func TestUpstreamsAreAskedByAPath(t *testing.T) {
	answer := `{"schema_min": 12, "schema_max": "14", "version": "1.5.0"}`
	status := 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/schema" {
			status = 404
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	asker := new(ask.Upstreams)
	t.Cleanup(asker.CloseIdle)
	g := &Gate{Reader: at(14), Path: "/schema", Upstreams: asker}
	one := []switcher.UpstreamState{{Upstream: switcher.Upstream{Address: s.Listener.Addr().String()}, Healthy: true}}
	gets(t, g.Check(t.Context(), toGreen(one, one)), switcher.Pass, false)
	g.Reader = at(15)
	gets(t, g.Check(t.Context(), toGreen(one, one)), switcher.Refuse, true, s.Listener.Addr().String()+" declares 12..14")
	g.Reader = at(14)
	for text, says := range map[string]string{
		``:                                      "want a JSON object",
		`[]`:                                    "want a JSON object",
		`{"schema_min": 12}`:                    `no member "schema_max"`,
		`{"schema_min": 1.5, "schema_max": 2}`:  `member "schema_min": "1.5" is no version`,
		`{"schema_min": null, "schema_max": 2}`: `member "schema_min"`,
		`{"schema_min": 3, "schema_max": 2}`:    "end is before",
		strings.Repeat(" ", maxBody+1):          "more than 65536 bytes",
	} {
		answer = text
		gets(t, g.Check(t.Context(), toGreen(one, one)), switcher.Wait, false, s.Listener.Addr().String()+" (green): GET /schema: ", says)
	}
	status = 500
	gets(t, g.Check(t.Context(), toGreen(one, one)), switcher.Wait, false, "answered 500")
}

func TestTheVersionComesFromAnHTTPServerOrAKey(t *testing.T) {
	answer, status := "", 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	u, err := ask.ParseURL(s.URL + "/v?token=hidden")
	if err != nil {
		t.Fatal(err)
	}
	web := &ask.Web{URL: u}
	t.Cleanup(web.CloseIdle)
	for _, c := range []struct {
		status        int
		answer, field string
		want          int64
		says          string
	}{
		{200, " 42\n", "", 42, ""},
		{200, `{"at": 42}`, "at", 42, ""},
		{200, `{"at": "42"}`, "at", 42, ""},
		{200, `{"at": 42}`, "", 0, "is no version"},
		{200, `{"at": 42}`, "version", 0, `no member "version"`},
		{200, `<html>`, "version", 0, "want a JSON object"},
		{200, ``, "", 0, "nothing where a version"},
		{503, `42`, "", 0, "answered 503"},
	} {
		answer, status = strings.ReplaceAll(c.answer, "\\n", "\n"), c.status
		got, err := (&HTTP{Server: web, Field: c.field}).Version(t.Context())
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %d, %v", c.answer, got, err)
		}
	}
	if shown := (&HTTP{Server: web}).String(); strings.Contains(shown, "hidden") {
		t.Error(shown)
	}
	key := Key{Where: "consul key app/schema", Read: func(context.Context) ([]byte, error) { return []byte("7\n"), nil }}
	if got, err := key.Version(t.Context()); got != 7 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestRangesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"12": "12..12", "12..14": "12..14", " 1 .. 2 ": "1..2", "20260131093000..20260201000000": "20260131093000..20260201000000",
		"": "", "..": "", "1..": "", "..2": "", "2..1": "", "a": "", "1..2..3": "", "1-2": "", "-1": "", "1.5": "",
	} {
		r, err := ParseRange(text)
		if (err == nil) != (want != "") || err == nil && r.String() != want {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
}
