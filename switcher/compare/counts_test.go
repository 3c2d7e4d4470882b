package compare_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

func TestBucketsRiseByAQuarterOfADoubling(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: 0, 0: 0, time.Millisecond - 1: 0, time.Millisecond: 1, 1250 * time.Microsecond: 2, 2*time.Millisecond - 1: 4,
		2 * time.Millisecond: 5, 65_536*time.Millisecond - 1: compare.Buckets - 2, 65_536 * time.Millisecond: compare.Buckets - 1,
		math.MaxInt64: compare.Buckets - 1,
	} {
		if got := compare.BucketOf(d); got != want {
			t.Errorf("%s is in bucket %d, want %d", d, got, want)
		}
	}
	last := 0
	for d := time.Duration(1); d < time.Hour; d += d/64 + 1 {
		b := compare.BucketOf(d)
		if b < last || b > last+1 {
			t.Fatalf("%s is in bucket %d, after %d", d, b, last)
		}
		last = b
	}
}

func TestAQuantileIsWithinABucketOfTheTrueOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		var p compare.Pair
		j := compare.New(compare.Limits{}, 1, p, time.Unix(0, 0))
		scale := math.Exp(rng.Float64()*6) * float64(time.Millisecond)
		all := make([]time.Duration, 1000)
		for i := range all {
			all[i] = time.Duration(scale * math.Exp(rng.NormFloat64()))
			p.New.Latency[compare.BucketOf(all[i])]++
		}
		slices.Sort(all)
		j.Observe(time.Unix(1, 0), p)
		for _, f := range j.Verdict().Findings {
			if f.Metric != compare.Latency {
				continue
			}
			if got, want := f.Long.New.Took, all[949]; got < want*3/4 || got > want*5/4 {
				t.Errorf("the p95 is %s, want about %s", got, want)
			}
		}
	}
}

func TestACollectorReadsWhatManyHaveCounted(t *testing.T) {
	var c compare.Collector
	var counting sync.WaitGroup
	for range 8 {
		counting.Go(func() {
			for range 1000 {
				c.Answered(3*time.Millisecond, 35)
				c.Failed(compare.Groups + 4)
				c.Untimed()
				c.Connected()
				c.Refused()
				_ = c.Read()
			}
		})
	}
	counting.Wait()
	want := compare.Counts{Untimed: 8000, Bad: 8000, Connected: 8000, Refused: 8000}
	want.Latency[compare.BucketOf(3*time.Millisecond)] = 8000
	want.BadOf[4] = 8000
	want.TookOf[2][3] = 8000 // 2 to 4 ms, client 35 of 32 groups
	if got := c.Read(); got != want {
		t.Errorf("read %+v", got)
	}
}

func TestNoCollectorCountsNothing(t *testing.T) {
	var none *compare.Collector
	none.Answered(time.Second, 1)
	none.Failed(1)
	none.Untimed()
	none.Connected()
	none.Refused()
	if got := new(compare.Collector).Read(); got != (compare.Counts{}) {
		t.Errorf("read %+v", got)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	c := new(compare.Collector)
	if n := testing.AllocsPerRun(100, func() { c.Connected(); c.Answered(time.Second, 1); c.Failed(1) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkCounting(b *testing.B) {
	c := new(compare.Collector)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			c.Connected()
			c.Answered(20*time.Millisecond, 1)
		}
	})
}

func TestALimitOutOfRangeIsNamed(t *testing.T) {
	for want, l := range map[string]compare.Limits{
		"min_samples":       {MinSamples: 19},
		"short window":      {Short: time.Second},
		"long window":       {Short: 2 * time.Minute, Long: time.Minute},
		"risk":              {Risk: 0.5},
		"errors: ratio":     {Errors: compare.Share{Ratio: 1}},
		"connect: points":   {Connect: compare.Share{Points: 2}},
		"starvation: ratio": {Starvation: compare.Share{Ratio: math.NaN()}},
		"latency: quantile": {Latency: compare.Slowness{Quantile: 0.999}},
		"latency: ratio":    {Latency: compare.Slowness{Ratio: math.Inf(1)}},
		"latency: by":       {Latency: compare.Slowness{By: time.Hour}},
	} {
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, l := range []compare.Limits{{}, {Long: 30 * time.Second}, {Short: time.Hour}} {
		if err := l.Validate(); err != nil {
			t.Errorf("%+v: %v", l.OrDefaults(), err)
		}
	}
}

func TestAVerdictSurvivesJSON(t *testing.T) {
	bad := times(fine, 100)
	s := newSimulation(1)
	j := compare.New(compare.Limits{}, 1, s.pair, s.start)
	for i := range 300 {
		s.second(stage{weight: 0.5, rate: 50, old: fine, new: bad})
		j.Observe(s.start.Add(time.Duration(i)*time.Second), s.pair)
	}
	v := j.Verdict()
	for i := range v.Findings { // as it is written
		for _, span := range []*compare.Span{&v.Findings[i].Long, &v.Findings[i].Short} {
			span.Old.Took, span.New.Took = span.Old.Took.Truncate(time.Microsecond), span.New.Took.Truncate(time.Microsecond)
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back compare.Verdict
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, back) || !strings.Contains(string(data), `"state":"worse"`) || !strings.Contains(string(data), `"milliseconds"`) {
		t.Errorf("written %+v, read %+v", v, back)
	}
	if err := new(compare.State).UnmarshalText([]byte("good")); err == nil {
		t.Error("a state that is none was read")
	}
}
