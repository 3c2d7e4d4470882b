package proxy

import (
	"math"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// lookEvery is how far apart two looks at a stream are at least, for the rate
// between them to mean something.
const lookEvery = 500 * time.Millisecond

// pulse is when somebody last looked at a stream, and what had passed by then.
// The zero value: nobody has.
type pulse struct {
	age   time.Duration // of the stream
	bytes int64
	rate  int64 // up to then, in bytes per second
}

// look returns the bytes per second since the last look that is lookEvery ago or
// longer; at the first, since the stream began. Sooner it says the same again.
func (p *pulse) look(age time.Duration, bytes int64) (rate int64) {
	window := age - p.age
	if window <= 0 || window < lookEvery && p.age > 0 {
		return p.rate
	}
	rate = int64(float64(bytes-p.bytes) / window.Seconds())
	if window >= lookEvery {
		*p = pulse{age, bytes, rate}
	}
	return rate
}

// rate is how fast bytes move, both ways together.
func (e *entry) rate(now time.Time) (rate int64) {
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	return e.pulse.look(now.Sub(e.started), e.received.Load()+e.sent.Load())
}

// left is how long the body of a known length will take at its present rate;
// false: it is none, or it stands still.
func (e *entry) left(now time.Time) (d time.Duration, known bool) {
	left := e.length.Load()
	switch e.streamKind() {
	case switcher.StreamDownload:
		left -= e.sent.Load()
	case switcher.StreamUpload:
		left -= e.received.Load()
	default:
		return 0, false
	}
	rate := e.rate(now)
	if e.length.Load() <= 0 || left > 0 && rate <= 0 {
		return 0, false
	}
	seconds := float64(max(left, 0)) / float64(max(rate, 1))
	if seconds > math.MaxInt64/float64(time.Second)/2 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// whatIsLeft implements switcher.Hooks.Streams.
func (rt *runtime) whatIsLeft(service string, d switcher.Drain) []switcher.StreamCount {
	now := time.Now()
	counts := rt.counts(service, d.Color, now)
	pace, healthy := rt.pace(service), rt.wellWithout(service, d.Color)
	forecast(counts, d, func(due int) int { return pace.quota(due, healthy) }, now)
	return counts
}

// forecast says when the last stream of each kind will be gone: when their bodies
// will have passed, where that is known, and else when those are through that
// are evicted from the deadline of the kind on, quota per second, and the last
// of them has had its time.
func forecast(counts []switcher.StreamCount, d switcher.Drain, quota func(due int) int, now time.Time) {
	for i := range counts {
		c := &counts[i]
		deadline := d.Deadline(c.Kind)
		due := 0 // whose turn comes before theirs, or with it
		for _, other := range counts {
			if d.Deadline(other.Kind) <= deadline {
				due += other.Count - other.Ending
			}
		}
		begin := d.Started.Add(deadline)
		if begin.Before(now) {
			begin = now
		}
		n := quota(due)
		latest := begin.Add(time.Duration((due+n-1)/n)*time.Second + endPatience)
		if c.ETA.IsZero() || c.ETA.After(latest) {
			c.ETA = latest
		}
	}
}
