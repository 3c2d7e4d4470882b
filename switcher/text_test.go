package switcher_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

const minute = time.Minute

func TestARampIsRead(t *testing.T) {
	for _, c := range []struct {
		text string
		want switcher.Ramp
		back string
	}{
		{"", nil, ""},
		{"  ", nil, ""},
		{"10", switcher.Ramp{{Weight: 10}}, "10"},
		{"10%:5m", switcher.Ramp{{Weight: 10, Hold: 5 * minute}}, "10:5m0s"},
		{"10:5m, 25:10m ,50:hold", switcher.Ramp{{Weight: 10, Hold: 5 * minute}, {Weight: 25, Hold: 10 * minute}, {Weight: 50, Hold: switcher.UntilResumed}}, "10:5m0s,25:10m0s,50:hold"},
		{"1:0s,99:168h", switcher.Ramp{{Weight: 1}, {Weight: 99, Hold: 168 * time.Hour}}, "1,99:168h0m0s"},
	} {
		got, err := switcher.ParseRamp(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) || got.String() != c.back {
			t.Errorf("%q: %v (%s), %v", c.text, got, got, err)
		}
	}
}

func TestABadRampIsRefusedWithTheReason(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat("1,", switcher.MaxSteps+1), ",")
	for text, word := range map[string]string{
		"0": "1 to 99", "100": "1 to 99", "-5": "percent", "+5": "percent", "300": "percent", "x": "percent", ",": "percent", "10,": "percent",
		"10:": "duration", "10:5": "duration", "10:soon": "hold", "10:-5m": "negative", "10:169h": "168h",
		"10,10": "rise", "20:1m,10:1m": "rise", "10;20": "percent", "10%%": "percent", long: "100",
	} {
		_, err := switcher.ParseRamp(text)
		if err == nil {
			t.Errorf("%q was taken", text)
			continue
		}
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, want it to mention %q", text, err, word)
		}
	}
}

func FuzzParseRamp(f *testing.F) {
	for _, s := range []string{"", "10:5m,25:10m,50:hold", "1,2,3", "99:hold", "10%:1h2m3.5s", "5:,", "0:0", "10:1ns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := switcher.ParseRamp(s)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatalf("%q was taken, and is not valid: %v", s, err)
		}
		again, err := switcher.ParseRamp(r.String())
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%q reads as %v, which reads as %v, %v", s, r, again, err)
		}
	})
}

func TestColorsAreReadInExactlyOneSpelling(t *testing.T) {
	for _, c := range switcher.Colors {
		if got, err := switcher.ParseColor(c.String()); got != c || err != nil || !c.Valid() || c.Other().Other() != c || c.Other() == c {
			t.Errorf("%s: %s, %v", c, got, err)
		}
	}
	for _, s := range []string{"", "Blue", "GREEN", " blue", "none", "red"} {
		if got, err := switcher.ParseColor(s); err == nil || got != 0 {
			t.Errorf("%q was read as %s", s, got)
		}
	}
	var none switcher.Color
	if none.Valid() || none.Other() != 0 || none.String() != "none" {
		t.Error("the zero color is one")
	}
	defer func() {
		if recover() == nil {
			t.Error("no color has a place")
		}
	}()
	(&switcher.PerColor[int]{}).At(0)
}

// roundTrip checks that v comes back from JSON as it was.
func roundTrip[T any](t *testing.T, v T) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if !reflect.DeepEqual(v, back) {
		t.Errorf("%s\nwas %+v\n is %+v", text, v, back)
	}
	return string(text)
}

func TestWhatIsStoredComesBackAsItWas(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	options := switcher.Options{GateTimeout: switcher.Duration(90 * time.Second), DrainTimeout: switcher.Duration(10 * minute)}
	cutover := switcher.Cutover{
		ID: "x", Kind: switcher.KindSplit, Services: []string{"a", "b"}, From: blue, To: green, Step: 1,
		Ramp: switcher.Ramp{{Weight: 10, Hold: switcher.UntilResumed}, {Weight: 50, Hold: minute}},
		Held: &switcher.Hold{Reason: "r", By: "b"}, Ending: switcher.ResultAborted, Detail: "d", Drain: green,
		Options: options, By: "me", Reason: "why", Started: at,
	}
	text := roundTrip(t, cutover)
	for _, part := range []string{`"gate_timeout":"1m30s"`, `"drain_timeout":"10m0s"`, `"ramp":"10:hold,50:1m0s"`, `"from":"blue"`} {
		if !strings.Contains(text, part) {
			t.Errorf("%s has no %s", text, part)
		}
	}
	move := switcher.Move{ID: "y", Kind: switcher.KindCutover, From: blue, To: green, Generation: 1<<63 + 1, Split: switcher.All(green), Started: at, Ended: at, Result: switcher.ResultDone, Evicted: 3}
	roundTrip(t, switcher.State{Services: map[string]switcher.ServiceState{"a": {
		Generation: 7, Active: blue, Previous: green, Split: switcher.Weighted(green, 10), Phase: switcher.Ramping, Cutover: &cutover,
		LastGroup: []string{"a", "b"}, Lock: &switcher.Lock{Reason: "r", By: "b", At: at}, History: []switcher.Move{move},
	}}})
	roundTrip(t, switcher.ServiceState{Generation: 1, Active: blue, Split: switcher.All(blue)})
}

func TestWhatIsSentComesBackAsItWas(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	generation, ramp, none := uint64(3), switcher.Ramp{{Weight: 5}}, switcher.Ramp(nil)
	options := switcher.Options{DrainTimeout: switcher.Duration(time.Second)}
	req := switcher.Request{Services: []string{"a"}, Reason: "r", IfGeneration: &generation}
	roundTrip(t, switcher.CutoverRequest{Request: req, To: green, Ramp: &ramp, Options: options})
	if text := roundTrip(t, switcher.CutoverRequest{Request: req, To: green, Ramp: &none}); !strings.Contains(text, `"ramp":""`) {
		t.Errorf("%s has no empty ramp, which is not the same as none", text)
	}
	roundTrip(t, switcher.CutoverRequest{To: blue})
	roundTrip(t, switcher.SplitRequest{Request: req, Color: blue, Weight: 30, Options: options})
	roundTrip(t, switcher.DrainRequest{Request: req, Options: options})
	roundTrip(t, switcher.RollbackRequest{Request: req, Force: true})
	verdicts := []switcher.Verdict{{Gate: "g", Service: "a", Decision: switcher.Refuse, Reason: "r"}, {Decision: switcher.Pass}, {}}
	roundTrip(t, switcher.Plan{Services: []string{"a"}, From: blue, To: green, Ramp: ramp, Options: options, Gates: verdicts, Inflight: 4, Blocked: []string{"b"}})
	roundTrip(t, switcher.Event{Seq: 9, At: at, Type: switcher.EventEnd, Service: "a", Phase: switcher.Draining, Active: green, Split: switcher.All(green), Color: blue, Result: switcher.ResultDone, Took: 5, Drained: 3})
	roundTrip(t, switcher.GateInput{Service: "a", From: blue, To: green, Weight: 10, Now: at, Health: switcher.PoolHealth{Total: 2, Healthy: 1, Since: at, Reason: "r"}})
	view := switcher.ServiceView{
		Name: "a", Phase: switcher.Draining, Active: green, Split: switcher.All(green),
		Cutover: &switcher.CutoverView{
			Cutover: switcher.Cutover{ID: "x", From: blue, To: green, Options: options, Started: at}, Gates: verdicts, WaitsUntil: at,
			Draining: &switcher.DrainView{Color: blue, Started: at, Deadline: at, Initial: 3, ETA: at},
		},
		Blue: switcher.PoolView{Role: "idle", SafeToStop: true, PoolHealth: switcher.PoolHealth{Total: 1}, Upstreams: []switcher.UpstreamView{{
			Upstream: switcher.Upstream{Address: "a:1", Weight: 2, Meta: map[string]string{"zone": "x"}},
			Health:   switcher.Health{Healthy: true, Known: true, Since: at, Checks: []switcher.CheckHealth{{Check: "http", Last: []switcher.CheckResult{{At: at, Took: 5, OK: true}}}}},
			Inflight: 3, EjectedUntil: at,
		}}},
		Green: switcher.PoolView{Role: "active", Upstreams: []switcher.UpstreamView{}},
	}
	roundTrip(t, switcher.Receipt{ID: "x", Changed: true, Services: []switcher.ServiceView{view}})
}

func TestWordsThatAreNotOursAreRefused(t *testing.T) {
	for name, v := range map[string]any{"phase": new(switcher.Phase), "decision": new(switcher.Decision), "duration": new(switcher.Duration), "color": new(switcher.Color), "ramp": new(switcher.Ramp)} {
		for _, text := range []string{`"nonsense"`, `7`} {
			if err := json.Unmarshal([]byte(text), v); err == nil {
				t.Errorf("%s was read as a %s", text, name)
			}
		}
	}
	if _, err := switcher.ParseBalance("random"); err == nil {
		t.Error("random is no balance")
	}
	for _, b := range []switcher.Balance{switcher.LeastInflight, switcher.RoundRobin, switcher.Hash} {
		if got, err := switcher.ParseBalance(b.String()); got != b || err != nil {
			t.Errorf("%s: %s, %v", b, got, err)
		}
	}
}

func TestAnUpstreamThatCannotBeDialedIsRefused(t *testing.T) {
	for _, good := range []string{"app:80", "10.0.0.1:8080", "[::1]:443", "unix//run/app.sock"} {
		if err := (switcher.Upstream{Address: good}).Validate(); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "app", ":80", "app:", "app:0", "app:65536", "app:+80", "app:-1", "app:http", "http://app:80", "app:80/x", "a b:80", "a\n:80", "::1:80", "unix/run/app.sock"} {
		if err := (switcher.Upstream{Address: bad}).Validate(); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for word, list := range map[string][]switcher.Upstream{
		"twice":  {{Address: "a:1"}, {Address: "a:1"}},
		"weight": {{Address: "a:1", Weight: -1}},
		"1000":   {{Address: "a:1", Weight: 1001}},
		"bytes":  {{Address: "a:1", Meta: map[string]string{"k": strings.Repeat("x", 1025)}}},
		"10000":  make([]switcher.Upstream, switcher.MaxUpstreams+1),
	} {
		says(t, switcher.ValidatePools(switcher.Pools{Green: list}), "green pool", word)
	}
	if err := switcher.ValidatePools(switcher.Pools{Blue: upstreams("app", 0, 2), Green: upstreams("app", 0, 2)}); err != nil {
		t.Errorf("an address in both pools: %v", err)
	}
}
