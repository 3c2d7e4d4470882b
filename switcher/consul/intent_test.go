package consul

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// malformed are values that no key of ours may hold.
var malformed = []string{
	"", " ", "\n", "\x00", "red", "Green", "GREEN", "greenish", "green\x00", "gr\u0435en", "\ufeffgreen", "blue;green", "1", "true", "null", "-",
	"green\nblue", "green one\ntwo", "green \x1b[2J", "green \u202egnp.exe", "green a\u2028b", "green " + strings.Repeat("x", 501), "green \xff", "\xff\xfe",
	"green,blue", "=green", "\"green\"", "'green'", "[\"green\"]", "to: green",
	"{", "{}", "{{", "}", `{"to"}`, `{"to":}`, `{"to":"green"`, `{"to":"green",}`, `{"to":"green"}x`, `{"to":"green"}{}`, `{"to":"green"} {"to":"blue"}`,
	`{'to':'green'}`, `{to:"green"}`, `{"to":green}`, `{"to":null}`, `{"to":""}`, `{"to":"red"}`, `{"to":"Green"}`, `{"to":1}`, `{"to":["green"]}`, `{"to":{"color":"green"}}`,
	`{"To":"green"}`, `{"TO":"green"}`, `{"to":"green","to":"green"}`, `{"to":"green","\u0074o":"blue"}`, `{"to":"green","x":1}`, `{"to":"green","by":"root"}`, `{"to":"green","services":["b"]}`,
	`{"to":"green","ramp":null}`, `{"to":"green","ramp":10}`, `{"to":"green","ramp":[]}`, `{"to":"green","ramp":"x"}`, `{"to":"green","ramp":"10:5m,5:5m"}`,
	`{"to":"green","ramp":"0"}`, `{"to":"green","ramp":"100"}`, `{"to":"green","ramp":"10:-1s"}`, `{"to":"green","ramp":"10:200h"}`, `{"to":"green","ramp":"10:5"}`,
	`{"to":"green","ramp":"` + strings.Repeat("1,", 200) + `1"}`,
	`{"to":"green","reason":1}`, `{"to":"green","reason":null}`, `{"to":"green","reason":"a\nb"}`, `{"to":"green","reason":"\u0000"}`, `{"to":"green","reason":"\ud800"}`,
	`{"to":"green","reason":"` + strings.Repeat("x", 501) + `"}`, "{\"to\":\"green\",\"reason\":\"\xff\"}", "{\"to\":\"green\",\"reason\":\"a\tb\"}",
	`{"to":"green","if_generation":-1}`, `{"to":"green","if_generation":1.5}`, `{"to":"green","if_generation":"1"}`, `{"to":"green","if_generation":null}`,
	`{"to":"green","if_generation":18446744073709551616}`, `{"to":"green","if_generation":1e3}`, `{"to":"green","if_generation":{}}`,
	`{"to":"green","gate_timeout":30}`, `{"to":"green","gate_timeout":"30"}`, `{"to":"green","gate_timeout":"-1s"}`, `{"to":"green","gate_timeout":"25h"}`, `{"to":"green","gate_timeout":null}`,
	`{"to":"green","pins":"keep"}`, `{"to":"green","pins":null}`, `{"to":"green","pins":true}`, `{"to":"green","pin_deadline":"200h"}`, `{"to":"green","pin_deadline":5}`,
	`{"to":"green","on_failure":"pray"}`, `{"to":"green","on_failure":null}`, `{"to":"green","on_failure":1}`,
	`{"to":"green","rollback_window":"1000h"}`, `{"to":"green","rollback_window":"-1s"}`, `{"to":"green","rollback_window":30}`, `{"to":"green","rollback_window":null}`,
	`{"to":"green","drain_timeout":""}`, `{"to":"green","drain_timeout":"1000h"}`, `{"to":"green","drain_timeout":"soon"}`, `{"to":"green","drain_timeout":[]}`,
	strings.Repeat("{\"to\":", 100), strings.Repeat("[", 10000), `{"to":"green","x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
	"green " + strings.Repeat("y", maxValue), strings.Repeat("green", 80000),
}

func TestMalformedIntentsAreRefusedWithAReason(t *testing.T) {
	if len(malformed) < 60 {
		t.Fatalf("%d values", len(malformed))
	}
	for _, value := range malformed {
		in, err := ParseIntent([]byte(value))
		if err == nil {
			t.Errorf("%.60q was taken: %+v", value, in)
		} else if reason := plain(err.Error(), maxText); reason == "" {
			t.Errorf("%.60q: %q", value, reason)
		}
	}
}

func TestIntentsInBothForms(t *testing.T) {
	seven, flip := uint64(7), switcher.Ramp(nil)
	ramp := switcher.Ramp{{Weight: 10, Hold: 5 * time.Minute}, {Weight: 50, Hold: switcher.UntilResumed}}
	for value, want := range map[string]Intent{
		"green":                        {To: green},
		"blue\n":                       {To: blue},
		"  green\r\n":                  {To: green},
		"green retry-2":                {To: green, Reason: "retry-2"},
		"blue\t release  1.4.2 ünï ":   {To: blue, Reason: "release  1.4.2 ünï"},
		`{"to":"green"}`:               {To: green},
		" {\n \"to\" : \"blue\"\n}\n":  {To: blue},
		`{"to":"green","ramp":""}`:     {To: green, Ramp: &flip},
		`{"to":"green","pins":"drop"}`: {To: green, Options: switcher.Options{Pins: switcher.PinsDrop}},
		`{"to":"green","pins":"hold","pin_deadline":"20m"}`: {
			To: green, Options: switcher.Options{Pins: switcher.PinsHold, PinDeadline: switcher.Duration(20 * time.Minute)},
		},
		`{"to":"green","on_failure":"forward_only","rollback_window":"2h"}`: {
			To: green, Options: switcher.Options{OnFailure: switcher.OnFailureForwardOnly, RollbackWindow: switcher.Duration(2 * time.Hour)},
		},
		`{"to":"green","ramp":"10:5m,50:hold","reason":"try","if_generation":7,"gate_timeout":"1m","drain_timeout":"15m"}`: {
			To: green, Ramp: &ramp, Reason: "try", IfGeneration: &seven,
			Options: switcher.Options{GateTimeout: switcher.Duration(time.Minute), DrainTimeout: switcher.Duration(15 * time.Minute)},
		},
	} {
		got, err := ParseIntent([]byte(value))
		if err != nil || !sameIntent(got, want) {
			t.Errorf("%q: got %+v %v, want %+v", value, got, err, want)
		}
	}
}

func sameIntent(a, b Intent) bool {
	sameRamp := (a.Ramp == nil) == (b.Ramp == nil) && (a.Ramp == nil || a.Ramp.String() == b.Ramp.String())
	sameGeneration := (a.IfGeneration == nil) == (b.IfGeneration == nil) && (a.IfGeneration == nil || *a.IfGeneration == *b.IfGeneration)
	return a.To == b.To && a.Reason == b.Reason && a.Options == b.Options && sameRamp && sameGeneration
}

// FuzzParseIntent wants that what is taken is harmless: a color, a bounded reason
// on one line, legal options, a legal ramp.
func FuzzParseIntent(f *testing.F) {
	for _, value := range malformed {
		f.Add([]byte(value))
	}
	f.Add([]byte(`{"to":"green","ramp":"10:5m,50:hold","reason":"try","if_generation":7,"gate_timeout":"1m","drain_timeout":"15m"}`))
	f.Add([]byte("green retry-2"))
	f.Fuzz(func(t *testing.T, value []byte) {
		in, err := ParseIntent(value)
		if err != nil {
			if reason := plain(err.Error(), maxText); reason == "" || len(reason) > maxText || strings.ContainsAny(reason, "\n\x1b") {
				t.Errorf("reason %q", reason)
			}
			return
		}
		switch {
		case len(value) > maxValue, !utf8.Valid(value), !in.To.Valid(), len(in.Reason) > maxReason,
			in.Reason != "" && plain(in.Reason, maxReason) != strings.Join(strings.Fields(in.Reason), " "),
			in.Options.Validate() != nil, in.Ramp != nil && in.Ramp.Validate() != nil:
			t.Errorf("%q was taken: %+v", value, in)
		}
	})
}

// FuzzParseSharedState wants that what is taken can be written again, and read.
func FuzzParseSharedState(f *testing.F) {
	good := SharedState{Format: 1, Epoch: 9, Active: green, Previous: blue, Kind: SharedCutover, Edge: "edge-2", By: "uid 0", At: time.Unix(1, 0).UTC()}
	f.Add(good.encode())
	for _, value := range malformed {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		st, err := ParseSharedState(value)
		if err != nil {
			return
		}
		if _, err := ParseSharedState(st.encode()); err != nil {
			t.Errorf("%q was taken, and written as %s: %v", value, st.encode(), err)
		}
	})
}
