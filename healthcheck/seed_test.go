package healthcheck

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestASeedCarriesVerdictAndHistoryOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := []Check{{"ready", passing, steady}}
		seed := last(t, runFor(5*time.Second, nil, checks...))
		time.Sleep(time.Minute)
		first := runFor(time.Second, &seed, checks...)[0]
		if !first.Healthy || !first.Since.Equal(seed.Since) || first.Reason != "" {
			t.Errorf("the seed said %+v, then came %+v", seed, first)
		}
		got, want := first.Checks[0], seed.Checks[0]
		if !got.Since.Equal(want.Since) || got.Passes != want.Passes+1 || !slices.Equal(got.Last[1:], want.Last) {
			t.Errorf("the seed said %+v, then came %+v", want, got)
		}
		if later := runFor(time.Second, &seed, Check{"ready", passing, steady}); len(later) != 1 {
			t.Errorf("%d probes in the first second after a seed, want normal probing", len(later))
		}
	})
}

func TestASeedCarriesAHoldDownOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := Report{Check: "ready", Known: true, HeldUntil: time.Now().Add(9 * time.Second), LastFall: time.Now(), Flaps: 2}
		for _, s := range runFor(20*time.Second, &Status{Known: true, Checks: []Report{held}}, Check{"ready", passing, steady}) {
			report := s.Checks[0]
			if now := report.Last[0].At; s.Healthy == now.Before(held.HeldUntil) || report.Flaps != 2 || !report.LastFall.Equal(held.LastFall) {
				t.Errorf("at %v healthy is %v, held until %v: %+v", now, s.Healthy, held.HeldUntil, report)
			}
		}
	})
}

func TestAHoldDownThatAReloadShortensIsShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := Report{Check: "ready", Known: true, HeldUntil: time.Now().Add(time.Hour), LastFall: time.Now(), Flaps: 2}
		settings := steady
		settings.HoldMin, settings.HoldMax = time.Second, 4*time.Second
		for _, s := range runFor(10*time.Second, &Status{Known: true, Checks: []Report{held}}, Check{"ready", passing, settings}) {
			if report := s.Checks[0]; s.Healthy == report.Last[0].At.Before(held.LastFall.Add(4*time.Second)) {
				t.Errorf("at %v healthy is %v: %+v", report.Last[0].At, s.Healthy, report)
			}
		}
	})
}

func TestACheckAddedByAReloadDropsAHealthyUpstreamOnlyByItsVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := Status{Healthy: true, Known: true, Checks: []Report{{Check: "ready", Healthy: true, Known: true}}}
		statuses := runFor(time.Second, &seed, Check{"ready", passing, steady}, Check{"new", failing, steady})
		for _, s := range statuses {
			if added := s.Checks[1]; s.Healthy == added.Known {
				t.Errorf("healthy is %v while the new check's verdict is known: %v", s.Healthy, added.Known)
			}
		}
		if last(t, statuses).Healthy {
			t.Error("the new check's verdict was not heeded")
		}
	})
}

func TestASeedOfOtherChecksDoesNotMakeACheckHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := Status{Known: true, Checks: []Report{{Check: "old", Healthy: true, Known: true}}}
		if first := runFor(time.Second, &seed, Check{"ready", passing, steady})[0]; first.Healthy || first.Checks[0].Healthy {
			t.Errorf("healthy by another check's verdict: %+v", first)
		}
	})
}
