package compare_test

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// version is how one color behaves.
type version struct {
	errors, refused float64       // shares
	median          time.Duration // of a log-normal latency
	starving        float64       // share of a second's sessions that starve for the first time
	clients         int           // groups of clients that it serves; 0: all
}

// fine is a version without faults of note.
var fine = version{errors: 0.002, refused: 0.0005, median: 40 * time.Millisecond, starving: 0.0005}

// stage is a stretch of a ramp.
type stage struct {
	seconds  int
	weight   float64 // of the new color
	rate     float64 // requests per second, both colors
	old, new version
}

// simulation plays a ramp, second by second.
type simulation struct {
	rng   *rand.Rand
	pair  compare.Pair
	start time.Time
}

func newSimulation(seed uint64) *simulation {
	return &simulation{rng: rand.New(rand.NewPCG(seed, 7)), start: time.Unix(1_800_000_000, 0)}
}

// judged plays the stages under a judge, and returns the second of the first
// verdict against the new color; none: -1.
func (s *simulation) judged(l compare.Limits, stages ...stage) (int, compare.Finding) {
	second := 0
	j := compare.New(l, 1, s.pair, s.start)
	for _, at := range stages {
		for range at.seconds {
			second++
			s.second(at)
			j.Observe(s.start.Add(time.Duration(second)*time.Second), s.pair)
			if f, worse := j.Worse(); worse {
				return second, f
			}
		}
	}
	return -1, compare.Finding{}
}

// second lets one go by: traffic, and what ails both colors, vary with it.
func (s *simulation) second(at stage) {
	s.requests(&s.pair.New, at.new, s.poisson(at.rate*at.weight))
	s.requests(&s.pair.Old, at.old, s.poisson(at.rate*(1-at.weight)))
}

func (s *simulation) requests(c *compare.Counts, v version, n int) {
	for range n {
		if s.rng.Float64() < v.refused {
			c.Refused++
		}
		c.Connected++
		if s.rng.Float64() < v.errors {
			c.Bad++
			c.BadOf[s.client(v)]++
			continue
		}
		took := compare.BucketOf(time.Duration(float64(v.median) * math.Exp(s.rng.NormFloat64())))
		c.Latency[took]++
		c.TookOf[compare.OctaveOf(took)][s.client(v)]++
	}
	// As many sessions as requests in a second; who starved is replaced.
	c.Watching = uint64(n)
	for range n {
		if s.rng.Float64() < v.starving {
			c.Starved++
			c.Joined++
		}
	}
}

func (s *simulation) client(v version) int {
	if v.clients > 0 {
		return s.rng.IntN(v.clients)
	}
	return s.rng.IntN(compare.Groups)
}

func (s *simulation) poisson(mean float64) int {
	if mean > 30 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*s.rng.NormFloat64())))
	}
	limit, product, n := math.Exp(-mean), s.rng.Float64(), 0
	for product > limit {
		n, product = n+1, product*s.rng.Float64()
	}
	return n
}

// troubled is a version while something that both colors need fails.
func (v version) troubled(share float64) version {
	v.errors += share
	v.median += time.Duration(share * float64(time.Second))
	return v
}

// ramp is 10, 25 and 50 percent, with a trouble in the middle of each step that
// both colors have.
func ramp(seconds int, rate float64, old, after version) (stages []stage) {
	for i, weight := range []float64{0.1, 0.25, 0.5} {
		sick := 0.02 * float64(i+1)
		stages = append(stages,
			stage{seconds / 9, weight, rate, old, after},
			stage{seconds / 9, weight, rate * 2, old.troubled(sick), after.troubled(sick)},
			stage{seconds / 9, weight, rate, old, after})
	}
	return stages
}

// eager turns nothing away that the evidence says.
func eager(risk float64) compare.Limits {
	return compare.Limits{
		MinSamples: 20, Risk: risk,
		Errors:     compare.Share{Ratio: compare.Margin, Points: 1e-6},
		Connect:    compare.Share{Ratio: compare.Margin, Points: 1e-6},
		Starvation: compare.Share{Ratio: compare.Margin, Points: 1e-6},
		Latency:    compare.Slowness{Ratio: compare.Margin, By: time.Millisecond},
	}
}
