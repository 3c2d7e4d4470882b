package compare

import (
	"slices"
	"time"
)

// leastBatch is how many exchanges of each color make a batch; a batch that stays
// smaller is closed when it is as old as the short window.
const leastBatch = 10

// Judge compares two colors from a beginning on. It is not safe for concurrent
// use. Make one with New.
type Judge struct {
	limits      Limits
	level       float64 // the risk of each metric
	now         time.Time
	last        Pair
	begun       time.Time
	started     time.Time // when the latest start of the evidence was
	tracks      map[Metric]*track
	long, short window
}

// New returns a Judge of what is counted from now on. parts is how many Judges
// share the risk of one ramp, at least 1.
func New(l Limits, parts int, counts Pair, now time.Time) *Judge {
	l = l.OrDefaults()
	compared := l.Compared()
	j := &Judge{
		limits: l, now: now, begun: now, started: now, tracks: make(map[Metric]*track, len(compared)),
		level: l.Risk / float64(max(1, parts)*max(1, len(compared))),
		long:  window{span: l.Long}, short: window{span: l.Short},
	}
	for _, m := range compared {
		t := &track{evidence: evidence{keep: l.memory()}}
		t.evidence.start()
		j.tracks[m] = t
	}
	j.rebase(counts)
	return j
}

// Limits returns those in force, with their defaults.
func (j *Judge) Limits() Limits { return j.limits }

// Observe takes in what has been counted until now. It is to be called each
// second or so. If a counter has shrunk, what came between is not known, and
// nothing is concluded from it.
func (j *Judge) Observe(now time.Time, counts Pair) {
	j.now = now
	if !counts.Old.follows(&j.last.Old) || !counts.New.follows(&j.last.New) {
		j.rebase(counts)
		return
	}
	if now.Sub(j.started) >= j.limits.Short {
		j.started = now
		for _, t := range j.tracks {
			t.evidence.start()
		}
	}
	for m, t := range j.tracks {
		b := t.pending(m, &counts)
		if min(b.newAll, b.oldAll) < leastBatch && now.Sub(t.since) < j.limits.Short {
			continue
		}
		t.evidence.add(b)
		j.begin(t, &counts)
	}
	j.last = counts
	j.long.mark(now, &counts)
	j.short.mark(now, &counts)
}

// Step says that the weights of the colors have changed. What either did before
// was at another time, for the most part, so the long window begins anew.
func (j *Judge) Step(now time.Time, counts Pair) {
	j.Observe(now, counts)
	j.long.marks = nil
	j.long.mark(now, &counts)
	for _, t := range j.tracks { // what is in a batch so far was divided otherwise
		j.begin(t, &counts)
	}
}

// rebase begins windows and batches anew; evidence stays.
func (j *Judge) rebase(counts Pair) {
	j.last = counts
	for _, w := range []*window{&j.long, &j.short} {
		w.marks = nil
		w.mark(j.now, &counts)
	}
	for _, t := range j.tracks {
		j.begin(t, &counts)
	}
}

// begin opens a track's next batch. What counts as slow in it is settled by what
// came before it, or else it would be no fair game.
func (j *Judge) begin(t *track, counts *Pair) {
	t.taken, t.since = *counts, j.now
	before := counts.Old.since(&j.long.from(j.now).counts.Old)
	n := before.timed()
	if n < uint64(j.limits.MinSamples) { // all that there is, also of before the ramp
		before = counts.Old
		n = before.timed()
	}
	t.slow = Buckets - 1
	if n > 0 {
		_, t.slow = before.quantile(j.limits.Latency.Quantile, n)
	}
}

// track is the evidence of one metric, and where its batch began.
type track struct {
	evidence evidence
	taken    Pair
	since    time.Time
	slow     int // the last bucket whose answers are not slow
}

// pending is the batch so far.
func (t *track) pending(m Metric, counts *Pair) batch {
	d := counts.since(&t.taken)
	var b batch
	b.newBad, b.newAll = d.New.failures(m, t.slow)
	b.oldBad, b.oldAll = d.Old.failures(m, t.slow)
	return b
}

// failures of a metric, and of how many.
func (c *Counts) failures(m Metric, slow int) (bad, all uint64) {
	switch m {
	case Errors:
		return c.Bad, c.Bad + c.timed() + c.Untimed
	case Connect:
		return c.Refused, c.Refused + c.Connected
	case Starvation:
		return c.Starved, c.Watching
	}
	return c.above(slow), c.timed()
}

// window knows what had been counted when it began: exactly, or up to a
// thirtieth of its length before.
type window struct {
	span  time.Duration
	marks []mark // oldest first, never empty; the first is where it begins
}

type mark struct {
	at     time.Time
	counts Pair
}

func (w *window) mark(now time.Time, counts *Pair) {
	if n := len(w.marks); n > 0 && now.Sub(w.marks[n-1].at) < w.span/30 {
		return
	}
	past := 0 // marks that a later one serves better than
	for past+1 < len(w.marks) && !w.marks[past+1].at.After(now.Add(-w.span)) {
		past++
	}
	w.marks = append(slices.Delete(w.marks, 0, past), mark{now, *counts})
}

// from returns where the window that ends now begins.
func (w *window) from(now time.Time) *mark {
	at := &w.marks[0]
	for i := range w.marks {
		if w.marks[i].at.After(now.Add(-w.span)) {
			break
		}
		at = &w.marks[i]
	}
	return at
}

// Verdict says what is known of all metrics that are compared.
func (j *Judge) Verdict() Verdict {
	v := Verdict{State: TooFew}
	for _, m := range Metrics {
		t := j.tracks[m]
		if t == nil {
			continue
		}
		f := j.find(m, t)
		v.Findings = append(v.Findings, f)
		v.State = max(v.State, f.State)
	}
	return v
}

// Worse returns the first finding by which the new color is worse.
func (j *Judge) Worse() (Finding, bool) {
	for _, m := range Metrics {
		if t := j.tracks[m]; t != nil && t.evidence.value()*j.level >= 1 {
			if f := j.find(m, t); f.State == Worse {
				return f, true
			}
		}
	}
	return Finding{}, false
}

func (j *Judge) find(m Metric, t *track) Finding {
	f := Finding{Metric: m, P: min(1, 1/t.evidence.value()), Level: j.level}
	if m == Latency {
		f.Quantile = j.limits.Latency.Quantile
	}
	// A version that has just been started is slow for a while: that is no verdict.
	enough := m != Latency || j.now.Sub(j.begun) >= j.limits.Short
	worse, few := f.P <= j.level, false
	for _, w := range []struct {
		of   *window
		into *Span
	}{{&j.long, &f.Long}, {&j.short, &f.Short}} {
		from := w.of.from(j.now)
		d := j.last.since(&from.counts)
		*w.into = Span{Seconds: j.now.Sub(from.at).Seconds(), Old: d.Old.side(m, f.Quantile), New: d.New.side(m, f.Quantile)}
		least := j.limits.least(w.of.span)
		enough = enough && w.into.Old.Samples >= least && w.into.New.Samples >= least
		worse = worse && j.limits.exceeded(m, w.into.Old, w.into.New)
		if w.of == &j.long && (m == Errors || m == Latency) {
			f.Clients, f.Wanted = d.New.groups(m, t.slow), j.limits.Clients
			few = f.Clients < f.Wanted
		}
	}
	switch {
	case enough && worse && !few:
		f.State = Worse
	case enough:
		f.Few = worse
		f.State = NoWorse
	}
	return f
}

// side is what one color did in a window.
func (c *Counts) side(m Metric, quantile float64) Side {
	bad, all := c.failures(m, Buckets-1)
	s := Side{Samples: all, Failures: bad}
	switch {
	case all == 0:
	case m == Latency:
		s.Took, _ = c.quantile(quantile, all)
	default:
		s.Share = float64(bad) / float64(all)
	}
	return s
}

// exceeded reports whether the new color is worse by as much as matters.
func (l *Limits) exceeded(m Metric, before, after Side) bool {
	if s := l.share(m); s != nil {
		return after.Share >= s.Ratio*before.Share && after.Share-before.Share >= s.Points
	}
	return float64(after.Took) >= l.Latency.Ratio*float64(before.Took) && after.Took-before.Took >= l.Latency.By
}
