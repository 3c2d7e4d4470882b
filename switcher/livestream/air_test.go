package livestream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

// from is an input with so many upstreams on air.
func from(n int, now time.Time) switcher.GateInput {
	p := input("one", now)
	p.Upstreams.Blue = nil
	for i := range n {
		p.Upstreams.Blue = append(p.Upstreams.Blue, healthy(fmt.Sprintf("blue%d:80", i+1))...)
	}
	return p
}

func TestWhereOneUpstreamOnAirIsSilentAnotherIsComparedWith(t *testing.T) {
	for _, c := range []struct{ all, silent, rounds int }{{4, 1, 1}, {4, 3, 2}, {8, 7, 4}} {
		t.Run(fmt.Sprintf("%d of %d", c.silent, c.all), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEncoders()
				for i := range c.silent {
					e.silent[fmt.Sprintf("blue%d:80", i+1)] = true
				}
				e.names["green1:80"], e.names["green2:80"] = "other", "other"
				g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
				for round := range c.rounds {
					before := time.Now()
					v := g.Check(t.Context(), from(c.all, e.now))
					if took := time.Since(before); took > 6*time.Second {
						t.Errorf("a round took %s", took)
					}
					if round == c.rounds-1 {
						switchertest.Says(t, v, switcher.Refuse, "in the active one")
					} else {
						switchertest.Says(t, v, switcher.Wait, "/main.m3u8 cannot be compared: none of", "blue1:80: /main.m3u8: no answer in time")
					}
					e.pass(3 * time.Second)
				}
			})
		})
	}
}

func TestAVariantThatIsDeadAtOneUpstreamOnAirIsComparedAtAnother(t *testing.T) {
	e := newEncoders()
	p := from(2, e.now)
	e.ladder(p)
	e.status["blue1:80/b.m3u8"] = 503
	e.names["green1:80"] = "other"
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Refuse, "green1:80", "(and 1 more)")
	e.status["blue2:80/b.m3u8"] = 503 // what can be compared still is
	p.ID = "two"
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Refuse, "/main.m3u8 at green1:80: /a.m3u8: segment")
}

func TestAColorOnAirThatIsBrokenIsWaitedForAndLeftAllTheSame(t *testing.T) {
	e := newEncoders()
	e.status["blue1:80/main.m3u8"], e.status["blue2:80/main.m3u8"] = 500, 404
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	planned := from(2, e.now)
	planned.ID = ""
	switchertest.Says(t, g.Check(t.Context(), planned), switcher.Wait, "/main.m3u8 cannot be compared")
	v, took, reasons := untilToldOf(t, g, e, from(2, e.now), time.Minute)
	switchertest.Says(t, v, switcher.Pass, "; but /main.m3u8 is compared with nothing, as none of 2 healthy upstreams of blue shows it whole (blue1:80: /main.m3u8: answered 500)")
	if took < 6*time.Second || took > 7*time.Second || len(reasons) != 1 {
		t.Errorf("after %s, and for %q", took, reasons)
	}
}

func TestAColorOnAirThatBreaksMidwayIsWaitedForAnew(t *testing.T) {
	e := newEncoders()
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	untilToldOf(t, g, e, from(2, e.now), 5*time.Second)
	e.dead["blue1:80"], e.dead["blue2:80"] = true, true
	v, took, _ := untilToldOf(t, g, e, from(2, e.now), time.Minute)
	switchertest.Says(t, v, switcher.Pass, "compared with nothing")
	if took < 6*time.Second || took > 7*time.Second {
		t.Errorf("after %s", took)
	}
	e.dead["blue2:80"] = false
	e.names["blue2:80"] = "other"
	e.pass(time.Second)
	switchertest.Says(t, g.Check(t.Context(), from(2, e.now)), switcher.Refuse, "in the active one")
}

func TestAStreamThatNobodyOnAirHasIsNoObstacle(t *testing.T) {
	e := newEncoders()
	e.status["blue1:80/main.m3u8"], e.status["blue2:80/main.m3u8"] = 404, 404
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	for n, says := range []string{"as blue has no healthy upstream", "as none of 1 healthy upstreams of blue has it (404)", "as none of 2 healthy upstreams of blue has it (404)"} {
		p := from(n, e.now)
		p.ID = ""
		switchertest.Says(t, g.Check(t.Context(), p), switcher.Pass, "; but /main.m3u8 is compared with nothing, "+says)
	}
}
