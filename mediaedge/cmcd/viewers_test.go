package cmcd_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
)

func TestAViewerStarvesOnceAndForTheColorThatItWasSeenOnBefore(t *testing.T) {
	m := cmcd.New(cmcd.Options{Window: time.Minute})
	blue, green := cmcd.Scope{Name: "app", Color: "blue"}, cmcd.Scope{Name: "app", Color: "green"}
	now := time.Unix(1000, 0)
	report := func(scope cmcd.Scope, session string, starved bool) {
		m.Observe(scope, cmcd.Report{Session: session, Starved: starved}, now)
	}
	check := func(what string, scope cmcd.Scope, want cmcd.Viewers) {
		t.Helper()
		if got := m.Viewers(scope, now); got != want {
			t.Errorf("%s: %s has %+v, want %+v", what, scope.Color, got, want)
		}
	}
	check("before any report", blue, cmcd.Viewers{})
	for i := range 100 {
		report(blue, fmt.Sprint(i), true) // what was before is not known
	}
	check("after one report", blue, cmcd.Viewers{})
	for i := range 100 {
		report(blue, fmt.Sprint(i), i < 10)
		report(blue, fmt.Sprint(i), i < 10)
	}
	check("after three", blue, cmcd.Viewers{Joined: 100, Starved: 10, Watching: 90})
	for i := range 50 {
		report(green, fmt.Sprint(i), true) // of blue
	}
	check("after fifty have moved", blue, cmcd.Viewers{Joined: 100, Starved: 10, Watching: 50})
	check("after their first report", green, cmcd.Viewers{})
	for i := range 50 {
		report(green, fmt.Sprint(i), i < 20)
	}
	check("after their second", green, cmcd.Viewers{Joined: 50, Starved: 20, Watching: 30})
	now = now.Add(2 * time.Minute)
	check("after they are gone", green, cmcd.Viewers{Joined: 50, Starved: 20})
	check("after they are gone", blue, cmcd.Viewers{Joined: 100, Starved: 10})
	check("of no report", cmcd.Scope{Name: "other"}, cmcd.Viewers{})
}
