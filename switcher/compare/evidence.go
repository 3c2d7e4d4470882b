package compare

import "math"

// strengths are how many times Margin the new color's odds may be: evidence is
// gathered for each, as nobody knows how bad a bad version is.
var strengths = [...]float64{1.5, 3, 8, 30}

// maxStep bounds what one batch may say, as a logarithm: failures come in bursts.
// What is cut off makes the mean only smaller.
const maxStep = 3

// plenty keeps evidence from growing beyond what can be reckoned with.
const plenty = 1e100

// evidence against the new color: the mean, over strengths and over the times at
// which it may have become bad, of likelihood ratios. While the new color is no
// worse, the chance that value ever reaches 1/p is at most p. Starts that are too
// long ago are forgotten, which makes it only less: what was bad then is no reason
// to go back now.
type evidence struct {
	keep   int // how many starts, at least 1
	starts int
	ratios [][len(strengths)]float64 // of the latest starts, oldest first, each with its weight
}

// start adds a time at which the color may have become bad. The weights of all
// starts, 1/2, 1/6, 1/12 …, add up to one.
func (e *evidence) start() {
	e.starts++
	if len(e.ratios) >= max(1, e.keep) {
		e.ratios = append(e.ratios[:0], e.ratios[1:]...)
	}
	var of [len(strengths)]float64
	for i := range of {
		of[i] = 1 / float64(e.starts*(e.starts+1))
	}
	e.ratios = append(e.ratios, of)
}

// add takes in a batch: failures of so many exchanges, of each color.
func (e *evidence) add(b batch) {
	failures := float64(b.newBad + b.oldBad)
	if b.newAll == 0 || b.oldAll == 0 || failures == 0 {
		return
	}
	q := float64(b.newAll) * Margin
	q /= q + float64(b.oldAll)
	for i, s := range strengths {
		ratio := math.Exp(min(maxStep, step(s, q, float64(b.newBad), failures)))
		for n := range e.ratios {
			e.ratios[n][i] = min(e.ratios[n][i]*ratio, plenty)
		}
	}
}

// step is the logarithm of the likelihood ratio of one batch.
func step(s, q, newBad, failures float64) float64 {
	return newBad*math.Log(s) - failures*math.Log1p(q*(s-1))
}

// value is the evidence so far. Starts to come have their weights still.
func (e *evidence) value() float64 {
	sum := 0.0
	for _, of := range e.ratios {
		for _, ratio := range of {
			sum += ratio
		}
	}
	return sum/float64(len(strengths)) + 1/float64(e.starts+1)
}

// batch is the 2×2 table of some exchanges.
type batch struct {
	newBad, newAll, oldBad, oldAll uint64
}
