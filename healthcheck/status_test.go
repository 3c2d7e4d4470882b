package healthcheck

import (
	"encoding/json"
	"testing"
	"time"
)

func failed(detail string) Result { return Result{Detail: detail} }

var (
	good    = Report{Check: "ready", Healthy: true, Known: true}
	bad     = Report{Check: "rpc", Known: true, Needed: 2, Last: []Result{{OK: true}, failed("status 503, want 200-299"), failed("old")}}
	unasked = Report{Check: "new", Needed: 2}
)

func TestAnUpstreamIsHealthyWhenAllItsChecksAre(t *testing.T) {
	for _, c := range []struct {
		name           string
		before         bool // was healthy
		reports        []Report
		healthy, known bool
		reason         string
	}{
		{"nothing starts healthy", false, []Report{unasked}, false, false, `check "new": no verdict yet; 2 more passes needed`},
		{"no checks", false, nil, false, false, ""},
		{"all good", false, []Report{good, good}, true, true, ""},
		{"one bad", true, []Report{good, bad}, false, true, `check "rpc": status 503, want 200-299; 2 more passes needed`},
		{"one unknown", false, []Report{good, unasked}, false, false, `check "new": no verdict yet; 2 more passes needed`},
		{"one unknown beside one bad", false, []Report{unasked, bad}, false, true,
			`check "rpc": status 503, want 200-299; 2 more passes needed; 1 more check not healthy`},
		{"a check added to a healthy upstream", true, []Report{good, unasked}, true, true, ""},
		{"a check added to an upstream that falls", true, []Report{bad, unasked}, false, true,
			`check "rpc": status 503, want 200-299; 2 more passes needed; 1 more check not healthy`},
		{"unknown and failing", false, []Report{{Check: "new", Needed: 1, Last: []Result{failed("EOF")}}}, false, false,
			`check "new": EOF; 1 more pass needed`},
		{"failures out of sight", false, []Report{{Check: "slow", Known: true, Needed: 80, Last: []Result{{OK: true}, {OK: true}}}}, false, true,
			`check "slow": no failure in the last 2 probes; 80 more passes needed`},
		{"held down", false, []Report{{Check: "a", Known: true, Needed: 1, HeldUntil: epoch.Add(time.Second), Last: bad.Last}}, false, true,
			`check "a": status 503, want 200-299; 1 more pass needed; flapping, held until 2026-01-01T00:00:01Z`},
		{"no longer held down", false, []Report{{Check: "a", Known: true, Needed: 1, HeldUntil: epoch, Last: bad.Last}}, false, true,
			`check "a": status 503, want 200-299; 1 more pass needed`},
	} {
		s := next(Status{Healthy: c.before}, c.reports, epoch)
		if s.Healthy != c.healthy || s.Known != c.known || s.Reason != c.reason {
			t.Errorf("%s: healthy %v, known %v, want %v, %v; reason\n %s, want\n %s", c.name, s.Healthy, s.Known, c.healthy, c.known, s.Reason, c.reason)
		}
	}
}

func TestHeldIsAnUpstreamThatPassesAllItsChecks(t *testing.T) {
	held := Report{Check: "a", Known: true, Needed: 1, Held: true, HeldUntil: epoch.Add(time.Minute)}
	for name, c := range map[string]struct {
		reports []Report
		want    bool
	}{
		"one":               {[]Report{held}, true},
		"beside a good one": {[]Report{held, good}, true},
		"beside a bad one":  {[]Report{held, bad}, false},
		"beside a new one":  {[]Report{held, unasked}, false},
		"a good one":        {[]Report{good}, false},
		"none":              {nil, false},
	} {
		if s := next(Status{}, c.reports, epoch); s.Held != c.want {
			t.Errorf("%s: %t", name, s.Held)
		}
	}
}

func TestSinceMovesOnlyWithHealth(t *testing.T) {
	at := func(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
	var s Status
	for i, c := range []struct {
		report Report
		since  time.Time
	}{
		{unasked, time.Time{}}, {bad, at(1)}, {bad, at(1)}, {good, at(3)}, {good, at(3)}, {bad, at(5)},
	} {
		s = next(s, []Report{c.report}, at(i))
		if !s.Since.Equal(c.since) {
			t.Errorf("step %d: since %v, want %v", i, s.Since, c.since)
		}
	}
}

func TestAStatusIsReadableAsJSON(t *testing.T) {
	s := next(Status{}, []Report{{Check: "ready", Probe: "tcp", Known: true, Needed: 2, Last: []Result{{At: epoch, Took: time.Millisecond, Detail: "EOF"}}}}, epoch)
	got, err := json.Marshal(s)
	want := `{"healthy":false,"known":true,"since":"2026-01-01T00:00:00Z","reason":"check \"ready\": EOF; 2 more passes needed","checks":[` +
		`{"check":"ready","probe":"tcp","healthy":false,"known":true,"passes":0,"fails":0,"needed":2,"flaps":0,` +
		`"last":[{"at":"2026-01-01T00:00:00Z","took_ns":1000000,"ok":false,"detail":"EOF"}]}]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}
