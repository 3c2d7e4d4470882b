package compare_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// worse counts the ramps, of so many, in which the new color is called worse.
func worse(of int, l compare.Limits, stages ...stage) (found int, last compare.Finding) {
	for seed := range uint64(of) {
		if at, f := newSimulation(seed).judged(l, stages...); at >= 0 {
			found, last = found+1, f
		}
	}
	return found, last
}

func TestAVersionThatIsSlowAtFirstIsNoVerdict(t *testing.T) {
	cold := fine
	cold.median *= 4
	for _, rate := range []float64{100, 500, 2000} {
		if n, f := worse(10, compare.Limits{}, stage{8, 0.1, rate, fine, cold}, stage{300, 0.1, rate, fine, fine}); n > 0 {
			t.Errorf("at %g requests per second %d of 10 ramps: %+v", rate, n, f)
		}
	}
	if n, _ := worse(10, compare.Limits{}, stage{300, 0.1, 100, fine, cold}); n < 10 {
		t.Errorf("one that stays slow is found in %d of 10 ramps", n)
	}
}

func TestFewClientsThatFailWithAllTheySendAreNoVerdict(t *testing.T) {
	ill, slow := fine, fine
	ill.errors, ill.clients = 0.3, 2
	slow.median, slow.clients = 2*time.Second, 2
	for name, after := range map[string]version{"errors": ill, "latency": slow} {
		if n, f := worse(5, compare.Limits{}, stage{300, 0.1, 300, fine, after}); n > 0 {
			t.Errorf("%s: %d of 5 ramps: %+v", name, n, f)
		}
		if n, _ := worse(5, compare.Limits{Clients: 2}, stage{300, 0.1, 300, fine, after}); n < 5 {
			t.Errorf("%s: where two are enough, it is found in %d of 5 ramps", name, n)
		}
		after.clients = 4
		if n, _ := worse(5, compare.Limits{}, stage{300, 0.1, 300, fine, after}); n < 5 {
			t.Errorf("%s: four clients are found in %d of 5 ramps", name, n)
		}
	}
}

func TestAFindingSaysThatTooFewClientsSpeakForIt(t *testing.T) {
	ill := fine
	ill.errors, ill.clients = 0.3, 1
	s := newSimulation(1)
	j := compare.New(compare.Limits{}, 1, s.pair, s.start)
	for i := 1; i <= 120; i++ {
		s.second(stage{weight: 0.1, rate: 300, old: fine, new: ill})
		j.Observe(s.start.Add(time.Duration(i)*time.Second), s.pair)
	}
	f := j.Verdict().Findings[0]
	if f.State != compare.NoWorse || !f.Few || f.Clients != 1 || !strings.HasSuffix(f.Brief("blue", "green"), "too few clients say so (1 of 3)") {
		t.Errorf("it says %q: %+v", f.Brief("blue", "green"), f)
	}
}

func TestWhatWasBadLongAgoIsNoEvidenceAnyMore(t *testing.T) {
	bad, good := fine, version{errors: 0.002, median: fine.median}
	bad.errors = 0.1
	l := compare.Limits{MinSamples: 100, Latency: compare.Slowness{Off: true}}
	late := 0
	for seed := range uint64(40) {
		// 100 s with too few samples for a verdict, then a long time like the other.
		at, _ := newSimulation(seed).judged(l, stage{100, 0.1, 5, good, bad}, stage{2400, 0.1, 10, good, good})
		if at > 700 {
			late++
		}
	}
	if late > 0 {
		t.Errorf("%d of 40 ramps are undone ten minutes after what was bad", late)
	}
}

func TestATroubleOfBothAtOneWeightHidesNoFaultAtTheNext(t *testing.T) {
	ill := fine
	ill.errors = 0.02
	s := newSimulation(3)
	j := compare.New(compare.Limits{}, 1, s.pair, s.start)
	second := 0
	run := func(seconds int, at stage) (found int) {
		for range seconds {
			second++
			s.second(at)
			j.Observe(s.start.Add(time.Duration(second)*time.Second), s.pair)
			if _, worse := j.Worse(); worse {
				return second
			}
		}
		return -1
	}
	if at := run(240, stage{weight: 0.1, rate: 200, old: fine.troubled(0.05), new: fine.troubled(0.05)}); at >= 0 {
		t.Fatalf("a trouble of both is a verdict after %d s", at)
	}
	j.Step(s.start.Add(time.Duration(second)*time.Second), s.pair)
	if at := run(120, stage{weight: 0.5, rate: 200, old: fine, new: ill}); at < 0 {
		t.Errorf("a fault at the next weight is not found in two minutes: %+v", j.Verdict().Findings[0])
	}
}
