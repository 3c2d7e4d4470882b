package compare_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// times is a version that does k times worse, but for its latency.
func times(v version, k float64) version {
	v.errors, v.refused, v.starving = k*v.errors, k*v.refused, k*v.starving
	return v
}

// found counts the ramps that have a verdict against the new color.
func found(l compare.Limits, ramps int, stages func() []stage) (n int) {
	for i := range ramps {
		if at, _ := newSimulation(uint64(i)).judged(l, stages()...); at >= 0 {
			n++
		}
	}
	return n
}

func TestAColorThatIsNoWorseIsSeldomCalledWorseHoweverOftenOneLooks(t *testing.T) {
	const risk, ramps = 0.05, 200
	for name, after := range map[string]version{"the same": fine, "at the margin": times(fine, compare.Margin), "better": times(fine, 0.3)} {
		n := found(eager(risk), ramps, func() []stage { return ramp(450, 40, fine, after) })
		t.Logf("%s: %d of %d ramps", name, n, ramps)
		if n > risk*ramps {
			t.Errorf("%s: %d of %d ramps were called worse, at a risk of %g", name, n, ramps, risk)
		}
	}
}

func TestFaultsThatMatterAreFound(t *testing.T) {
	few := fine
	few.errors = 0.001
	with := func(change func(*version)) version {
		v := few
		change(&v)
		return v
	}
	for _, c := range []struct {
		metric compare.Metric
		rate   float64
		bad    version
	}{
		{compare.Errors, 80, with(func(v *version) { v.errors = 0.01 })},
		{compare.Connect, 80, with(func(v *version) { v.refused = 0.03 })},
		{compare.Latency, 80, with(func(v *version) { v.median *= 3 })},
		{compare.Starvation, 400, with(func(v *version) { v.starving = 0.05 })},
	} {
		const ramps = 40
		n := 0
		for i := range uint64(ramps) {
			at, f := newSimulation(i).judged(compare.Limits{}, stage{600, 0.1, c.rate, few, c.bad})
			if at >= 0 && f.Metric != c.metric {
				t.Errorf("%s: found by %s", c.metric, f.Metric)
			}
			if at >= 0 {
				n++
			}
		}
		if n < ramps*95/100 {
			t.Errorf("%s: found in %d of %d ramps", c.metric, n, ramps)
		}
	}
}

func TestAColorThatTurnsBadAfterALongGoodTimeIsFound(t *testing.T) {
	bad := fine
	bad.errors = 0.03
	at, f := newSimulation(1).judged(compare.Limits{}, stage{3600, 0.1, 50, fine, fine}, stage{600, 0.1, 50, fine, bad})
	if at < 3600 || at > 3900 || f.Metric != compare.Errors {
		t.Errorf("found at second %d: %+v", at, f)
	}
}

func TestWhatAilsBothColorsIsHeldAgainstNeither(t *testing.T) {
	ill := fine.troubled(0.5)
	if n := found(compare.Limits{}, 40, func() []stage {
		return []stage{{60, 0.1, 50, fine, fine}, {200, 0.5, 50, ill, ill}, {60, 0.5, 50, fine, fine}}
	}); n > 0 {
		t.Errorf("%d of 40 ramps were called worse", n)
	}
}

func TestTheWorseOneOfTwoIsFoundWhicheverItIs(t *testing.T) {
	bad := times(fine, 20)
	if n := found(compare.Limits{}, 20, func() []stage { return []stage{{600, 0.5, 60, fine, bad}} }); n != 20 {
		t.Errorf("a worse one was found in %d of 20 ramps", n)
	}
	if n := found(compare.Limits{}, 20, func() []stage { return []stage{{600, 0.5, 60, bad, fine}} }); n != 0 {
		t.Errorf("a better one was called worse in %d of 20 ramps", n)
	}
}

func TestABurstThatIsOverIsNoVerdict(t *testing.T) {
	bad := fine
	bad.errors = 0.6
	if n := found(compare.Limits{}, 40, func() []stage {
		return []stage{{120, 0.1, 50, fine, fine}, {3, 0.1, 50, fine, bad}, {300, 0.1, 50, fine, fine}}
	}); n > 0 {
		t.Errorf("%d of 40 ramps were called worse", n)
	}
}

func TestBelowTheLeastSamplesThereIsNoVerdict(t *testing.T) {
	dead := version{errors: 1, refused: 1}
	for _, weight := range []float64{0.01, 0.99} {
		s := newSimulation(3)
		j := compare.New(compare.Limits{MinSamples: 200}, 1, s.pair, s.start)
		for i := 1; i <= 1200; i++ {
			s.second(stage{weight: weight, rate: 60, old: fine, new: dead})
			j.Observe(s.start.Add(time.Duration(i)*time.Second), s.pair)
			v := j.Verdict()
			for _, f := range v.Findings {
				few := min(f.Long.Old.Samples, f.Long.New.Samples) < 200 || min(f.Short.Old.Samples, f.Short.New.Samples) < 40
				if few != (f.State == compare.TooFew) {
					t.Fatalf("after %d s: %s with %+v", i, f.State, f)
				}
			}
			_, worse := j.Worse()
			if worse != (v.State == compare.Worse) {
				t.Fatalf("after %d s Worse says %t, the verdict %s", i, worse, v.State)
			}
		}
	}
}

func TestNoDataIsNoVerdict(t *testing.T) {
	s := newSimulation(1)
	silent := stage{seconds: 3600}
	if at, _ := s.judged(compare.Limits{}, silent); at >= 0 {
		t.Errorf("a verdict at second %d", at)
	}
	alone := stage{seconds: 3600, weight: 1, rate: 50, new: version{errors: 1, refused: 1}}
	if at, _ := s.judged(compare.Limits{}, alone); at >= 0 {
		t.Errorf("without the other color: a verdict at second %d", at)
	}
	j := compare.New(compare.Limits{}, 1, compare.Pair{}, s.start)
	for i := range 600 {
		j.Observe(s.start.Add(time.Duration(i)*time.Second), compare.Pair{})
	}
	for _, f := range j.Verdict().Findings {
		if f.State != compare.TooFew || f.P != 1 {
			t.Errorf("of nothing it says %+v", f)
		}
	}
}

func TestWhatWasCountedBeforeAndCountersThatBeginAnewSayNothing(t *testing.T) {
	var before compare.Pair
	before.New.Bad, before.Old.Connected = 1_000_000, 1_000_000
	at := time.Unix(0, 0)
	j := compare.New(compare.Limits{}, 1, before, at)
	check := func(what string, p compare.Pair) {
		t.Helper()
		for range 100 {
			at = at.Add(time.Second)
			j.Observe(at, p)
		}
		for _, f := range j.Verdict().Findings {
			if f.State != compare.TooFew || f.Long.New.Samples != 0 || f.Long.Old.Samples != 0 {
				t.Errorf("%s: %+v", what, f)
			}
		}
	}
	check("before", before)
	check("anew", compare.Pair{New: compare.Counts{Bad: 5000}})
	check("anew", compare.Pair{})
}

func TestTheRiskIsSharedByMetricsAndJudges(t *testing.T) {
	l := compare.Limits{Risk: 0.04, Connect: compare.Share{Off: true}, Starvation: compare.Share{Off: true}}
	v := compare.New(l, 4, compare.Pair{}, time.Unix(0, 0)).Verdict()
	if len(v.Findings) != 2 || v.Findings[0].Level != 0.005 {
		t.Errorf("findings %+v", v.Findings)
	}
}

func TestAFindingTellsItsNumbersInASentence(t *testing.T) {
	bad := fine
	bad.errors, bad.median = 0.3, time.Second
	_, f := newSimulation(1).judged(compare.Limits{}, stage{600, 0.2, 50, fine, bad})
	s := f.Sentence("blue", "green")
	for _, part := range []string{"errors: green ", "% of ", " requests, blue ", ", in 1", "; by chance in one of ", " such ramps at most"} {
		if !strings.Contains(s, part) {
			t.Errorf("%q is not in %q", part, s)
		}
	}
	_, f = newSimulation(1).judged(compare.Limits{Errors: compare.Share{Off: true}}, stage{600, 0.2, 50, fine, bad})
	if s := f.Sentence("blue", "green"); !strings.HasPrefix(s, "latency p95: green ") || !strings.Contains(s, " answers, blue ") {
		t.Errorf("it says %q", s)
	}
}

func TestADifferenceTooSmallToMatterIsNoVerdict(t *testing.T) {
	took := func(d time.Duration) version { return version{median: d} }
	for name, c := range map[string]struct {
		metric     compare.Metric
		old, after version
	}{
		"few more errors":          {compare.Errors, version{errors: 0.0005}, version{errors: 0.004}},
		"not quite twice as many":  {compare.Errors, version{errors: 0.04}, version{errors: 0.07}},
		"a fast one twice as slow": {compare.Latency, took(4 * time.Millisecond), took(9 * time.Millisecond)},
		"a slow one a bit slower":  {compare.Latency, took(time.Second), took(1300 * time.Millisecond)},
	} {
		s := newSimulation(1)
		j := compare.New(compare.Limits{MinSamples: 20_000}, 1, s.pair, s.start)
		certain := false
		for i := 1; i <= 300; i++ {
			s.second(stage{weight: 0.5, rate: 1500, old: c.old, new: c.after})
			j.Observe(s.start.Add(time.Duration(i)*time.Second), s.pair)
			if f, worse := j.Worse(); worse {
				t.Fatalf("%s: worse after %d s: %+v", name, i, f)
			}
			for _, f := range j.Verdict().Findings {
				certain = certain || f.Metric == c.metric && f.P <= f.Level
			}
		}
		if !certain {
			t.Errorf("%s: there was no evidence to begin with", name)
		}
	}
}

func TestWhatIsOverIsNoVerdictThoughTheLongWindowStillHasIt(t *testing.T) {
	bad := fine
	bad.errors = 0.5
	s := newSimulation(1)
	j := compare.New(compare.Limits{MinSamples: 1500}, 1, s.pair, s.start)
	for i := 1; i <= 240; i++ {
		at := stage{weight: 0.1, rate: 30, old: fine, new: bad} // too few for a verdict
		if i > 55 {
			at = stage{weight: 0.5, rate: 40, old: fine, new: version{median: fine.median}}
		}
		s.second(at)
		j.Observe(s.start.Add(time.Duration(i)*time.Second), s.pair)
		if f, worse := j.Worse(); worse {
			t.Fatalf("worse after %d s: %+v", i, f)
		}
	}
	f := j.Verdict().Findings[0]
	if f.State != compare.NoWorse || f.P > f.Level || f.Long.New.Share < 0.01 || f.Short.New.Failures != 0 {
		t.Errorf("the finding is %+v", f)
	}
}
