package compare

import (
	"math"
	"math/rand/v2"
	"testing"
)

// logChoose is the logarithm of n over k.
func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// mean is that of one batch's factor when failures come with the given odds
// ratio, over Fisher's noncentral hypergeometric distribution: exactly, by adding
// up all tables.
func mean(newAll, oldAll, failures int, ratio, strength float64) float64 {
	q := float64(newAll) * Margin / (float64(newAll)*Margin + float64(oldAll))
	total, sum := 0.0, 0.0
	for k := max(0, failures-oldAll); k <= min(failures, newAll); k++ {
		p := math.Exp(logChoose(newAll, k) + logChoose(oldAll, failures-k) + float64(k)*math.Log(ratio))
		total += p
		sum += p * math.Exp(step(strength, q, float64(k), float64(failures)))
	}
	return sum / total
}

func TestABatchIsAFairGameAtBestInEveryTable(t *testing.T) {
	sizes := []int{1, 2, 3, 5, 10, 20, 60}
	for _, n := range sizes {
		for _, m := range sizes {
			for failures := 1; failures <= n+m; failures++ {
				for _, ratio := range []float64{0.01, 0.5, 1, 1.1, Margin} {
					for _, s := range strengths {
						if e := mean(n, m, failures, ratio, s); e > 1+1e-9 {
							t.Fatalf("%d new, %d old, %d failures, odds ratio %g, strength %g: the mean is %g", n, m, failures, ratio, s, e)
						}
					}
				}
			}
		}
	}
}

func TestAWorseColorIsAGameThatEvidenceWins(t *testing.T) {
	if e := mean(100, 900, 20, 4, 3); e < 2 {
		t.Errorf("the mean is %g", e)
	}
}

// With no window that turns a verdict away, at the least favorable odds, with
// shares and weights that change, and a look after each batch.
func TestEvidenceThatIsLookedAtThousandsOfTimesKeepsItsBound(t *testing.T) {
	const level, games = 0.05, 600
	rng := rand.New(rand.NewPCG(1, 2))
	crossed := 0
	for range games {
		var e evidence
		for look := range 1500 {
			if look%60 == 0 {
				e.start()
			}
			odds := 0.05 * (1 + math.Sin(float64(look)/90))
			b := batch{newAll: 10 + rng.Uint64N(10), oldAll: 10 + rng.Uint64N(40)}
			b.newBad = failures(rng, b.newAll, Margin*odds)
			b.oldBad = failures(rng, b.oldAll, odds)
			e.add(b)
			if e.value() >= 1/level {
				crossed++
				break
			}
		}
	}
	t.Logf("%d of %d games crossed, at level %g", crossed, games, level)
	if crossed > level*games {
		t.Errorf("%d of %d games crossed, at level %g", crossed, games, level)
	}
}

func failures(rng *rand.Rand, n uint64, odds float64) (bad uint64) {
	for range n {
		if rng.Float64() < odds/(1+odds) {
			bad++
		}
	}
	return bad
}

func TestTheWeightsOfAllStartsAddUpToOne(t *testing.T) {
	e := evidence{keep: 10_000}
	for range 10_000 {
		e.start()
		if v := e.value(); math.Abs(v-1) > 1e-9 {
			t.Fatalf("after %d starts the evidence of nothing is %g", e.starts, v)
		}
	}
}

func TestEvidenceOfStartsThatAreForgottenIsForgotten(t *testing.T) {
	e := evidence{keep: 3}
	e.start()
	e.add(batch{newBad: 50, newAll: 100, oldAll: 100})
	for n := range 3 {
		if v := e.value(); v < 2 {
			t.Errorf("after %d more starts the evidence is %g", n, v)
		}
		e.start()
	}
	if v := e.value(); v > 1 {
		t.Errorf("when the start is forgotten the evidence is %g", v)
	}
}

func TestOneBatchNeverDecidesAndEvidenceStaysANumber(t *testing.T) {
	var e evidence
	e.start()
	worst := batch{newBad: 1_000_000, newAll: 1_000_000, oldAll: 1_000_000}
	e.add(worst)
	if v := e.value(); v > math.Exp(maxStep) {
		t.Errorf("one batch made it %g", v)
	}
	for range 10_000 {
		e.add(worst)
	}
	if v := e.value(); math.IsInf(v, 0) || math.IsNaN(v) || v < 1e90 {
		t.Errorf("the evidence is %g", v)
	}
}
