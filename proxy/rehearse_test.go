package proxy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestANewProcessLooksTwiceAtUpstreamsThatFailAtFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict, healthy time.Duration // when they come; 0: never
		took             time.Duration
		found            int
	}{
		"healthy at once":       {time.Second, time.Second, time.Second, 1},
		"healthy a little late": {time.Second, 3 * time.Second, 3 * time.Second, 1},
		"ill":                   {time.Second, 0, secondLook, 0},
		"ill after a while":     {20 * time.Second, 0, 20 * time.Second, 0},
		"without a verdict":     {0, 0, rehearsal, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sw, s := stage(t)
				blue := s.Table().Pools.Blue.Endpoints()[0]
				sw.SetHealth(blue, switcher.Health{})
				set := func(after time.Duration, h switcher.Health) {
					if after > 0 {
						time.AfterFunc(after, func() { sw.SetHealth(blue, h) })
					}
				}
				if tt.healthy != tt.verdict {
					set(tt.verdict, switcher.Health{Known: true})
				}
				set(tt.healthy, switcher.Health{Known: true, Healthy: true})
				began := time.Now()
				rt := &runtime{switcher: sw, stateDir: "/state"}
				r := rt.rehearse(&App{edges: map[string]*edge{"app": {name: "app", service: s}}})
				if took := time.Since(began); took < tt.took || took > tt.took+rehearsalStep {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				app := r.Healthy["app"]
				equal(t, "healthy upstreams of blue", app.Of(switcher.Blue), tt.found)
				equal(t, "state directory", r.StateDir, "/state")
			})
		})
	}
}
