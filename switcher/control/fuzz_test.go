package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// FuzzStrictBodiesMeanWhatTheySay: what is accepted means the same to
// encoding/json, and to the decoder once more after it was written; what is
// refused says so as a problem with status 400.
func FuzzStrictBodiesMeanWhatTheySay(f *testing.F) {
	for _, c := range malformed {
		if len(c.sent.body) < 1000 { // larger ones keep the fuzzer minimizing
			f.Add([]byte(c.sent.body))
		}
	}
	f.Add([]byte(`{"services":["web"],"reason":"é\n","if_generation":7,"to":"green","ramp":"10:5m,50:hold","gate_timeout":"1m","drain_timeout":"0s"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var strict, again switcher.CutoverRequest
		if err := decodeStrict(body, &strict); err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Status != 400 || p.Code != CodeInvalid || *p.Offset < 0 || *p.Offset > int64(len(body)) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if len(body) == 0 {
			return
		}
		var lax switcher.CutoverRequest
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&lax); err != nil || !reflect.DeepEqual(lax, strict) {
			t.Fatalf("%q means %+v, or %+v (%v)", body, strict, lax, err)
		}
		written, err := json.Marshal(strict)
		if err != nil {
			t.Fatal(err)
		}
		if err := decodeStrict(written, &again); err != nil {
			t.Fatalf("%s: %s", written, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(written, second) {
			t.Fatalf("%s became %s (%v)", written, second, err)
		}
	})
}

func FuzzAuditFilesAreReadWithoutPanic(f *testing.F) {
	line, _, err := chain{}.seal(entry{Action: "cutover"}, testTime)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(bytes.Repeat(line, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := VerifyAudit(bytes.NewReader(data))
		if whole := bytes.Count(data, []byte("\n")); lines > whole || err == nil && lines != whole {
			t.Errorf("%d lines of %d hold, %v", lines, whole, err)
		}
	})
}
