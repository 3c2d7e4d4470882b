package player

import "testing"

func TestARunIsComparedWithItsControlRun(t *testing.T) {
	good := Result{Started: true, Seconds: 30, Played: 30, Ended: true}
	but := func(change func(*Result)) Result {
		r := good
		change(&r)
		return r
	}
	stalled := but(func(r *Result) { r.Stalls, r.StalledSeconds = 2, 1 })
	tests := []struct {
		name         string
		run, control Result
		worse        bool
	}{
		{"both are good", good, good, false},
		{"both stall", stalled, stalled, false},
		{"it stalls less", good, stalled, false},
		{"it stalls", stalled, good, true},
		{"it does not start", Result{}, good, true},
		{"it does not end", but(func(r *Result) { r.Ended = false }), good, true},
		{"it jumps", but(func(r *Result) { r.Jumps = 1 }), good, true},
		{"its player gives up", but(func(r *Result) { r.Fatal = 1 }), good, true},
		{"a request fails", but(func(r *Result) { r.Failed = []string{"404 /x"} }), good, true},
		{"neither starts", Result{}, Result{}, true},
		{"both stand still", but(func(r *Result) { r.StalledSeconds = 31 }), but(func(r *Result) { r.StalledSeconds = 31 }), true},
		{"both players give up", but(func(r *Result) { r.Fatal = 1 }), but(func(r *Result) { r.Fatal = 1 }), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := Compare(test.run, test.control); (err != nil) != test.worse {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestARunThatIsSlowerThanRealTimeIsNotSmooth(t *testing.T) {
	r := Result{Started: true, Seconds: 30, Played: 29.5}
	if !r.Smooth() {
		t.Errorf("not smooth: %s", r)
	}
	if r.Played = 20; r.Smooth() {
		t.Errorf("smooth: %s", r)
	}
}
