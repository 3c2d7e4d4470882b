package compare

import (
	"math/bits"
	"time"
)

// Counts is what one color has done since it was first counted. All but Watching
// only grow.
type Counts struct {
	// Latency counts good answers by the time they took: see BucketOf.
	Latency [Buckets]uint64
	// Untimed counts good answers whose time says nothing.
	Untimed uint64
	// Bad counts answers that are errors.
	Bad uint64
	// Connected and Refused count attempts that reached an upstream, and that
	// found no connection.
	Connected, Refused uint64
	// Watching is how many sessions are alive now and have not starved; Joined
	// counts those that ever were, Starved those that did, each once.
	Watching, Joined, Starved uint64
	// BadOf and TookOf count answers that are errors, and timed ones by the octave
	// of their time, by groups of clients. They may begin again at 0 after 2³²−1.
	BadOf  [Groups]uint32
	TookOf [octaves + 2][Groups]uint32
}

// Groups is how many groups clients are in, by a hash: enough to tell one client
// from many.
const Groups = 32

// Pair is the counts of both colors at one time.
type Pair struct {
	Old Counts // of the color that loses traffic
	New Counts // of the one that gains it
}

// Buckets is how many buckets of time there are: one below 1 ms, four to each
// doubling up to 65.536 s, and one above.
const Buckets = 2 + 4*octaves

const octaves = 16

// BucketOf returns the bucket that d falls into.
func BucketOf(d time.Duration) int {
	if d < time.Millisecond {
		return 0
	}
	quarters := uint64(d / (time.Millisecond / 4)) // 4 and more
	octave := bits.Len64(quarters) - 3
	if octave >= octaves {
		return Buckets - 1
	}
	return 1 + 4*octave + int(quarters>>octave&3)
}

// octaveOf returns the doubling that bucket i belongs to: 0 is below 1 ms.
func octaveOf(i int) int { return (i + 3) / 4 }

// bound returns where bucket i ends; the last one has no end, and gives its
// beginning.
func bound(i int) time.Duration {
	if i >= Buckets-1 {
		i = Buckets - 2
	}
	octave, quarter := i/4, i%4
	return time.Duration(4+quarter) * (time.Millisecond / 4) << octave
}

// groups is how many groups of clients had a failure of a metric; those of
// latency only about, by the octave.
func (c *Counts) groups(m Metric, slow int) (n int) {
	for g := range Groups {
		failed := m == Errors && c.BadOf[g] > 0
		for o := octaveOf(slow + 1); m == Latency && o < len(c.TookOf) && !failed; o++ {
			failed = c.TookOf[o][g] > 0
		}
		if failed {
			n++
		}
	}
	return n
}

// timed is how many good answers there are whose time is known.
func (c *Counts) timed() (n uint64) {
	for _, in := range c.Latency {
		n += in
	}
	return n
}

// since returns what came after before. Watching is then how many sessions could
// have starved meanwhile.
func (c *Counts) since(before *Counts) (d Counts) {
	for i := range c.Latency {
		d.Latency[i] = c.Latency[i] - before.Latency[i]
	}
	d.Untimed, d.Bad = c.Untimed-before.Untimed, c.Bad-before.Bad
	d.Connected, d.Refused = c.Connected-before.Connected, c.Refused-before.Refused
	d.Joined, d.Starved = c.Joined-before.Joined, c.Starved-before.Starved
	d.Watching = max(before.Watching+d.Joined, d.Starved)
	for g := range Groups {
		d.BadOf[g] = c.BadOf[g] - before.BadOf[g]
		for o := range d.TookOf {
			d.TookOf[o][g] = c.TookOf[o][g] - before.TookOf[o][g]
		}
	}
	return d
}

func (p *Pair) since(before *Pair) Pair {
	return Pair{Old: p.Old.since(&before.Old), New: p.New.since(&before.New)}
}

// follows reports whether c can have come after before: a counter that has
// shrunk is another one.
func (c *Counts) follows(before *Counts) bool {
	for i := range c.Latency {
		if c.Latency[i] < before.Latency[i] {
			return false
		}
	}
	return c.Untimed >= before.Untimed && c.Bad >= before.Bad && c.Connected >= before.Connected && c.Refused >= before.Refused &&
		c.Joined >= before.Joined && c.Starved >= before.Starved
}

// quantile returns the time that the share q of n good answers was faster than,
// as if they were spread evenly in their bucket, and that bucket.
func (c *Counts) quantile(q float64, n uint64) (time.Duration, int) {
	rank, below := q*float64(n), 0.0
	for i, in := range c.Latency {
		if below+float64(in) < rank || in == 0 {
			below += float64(in)
			continue
		}
		low := time.Duration(0)
		if i > 0 {
			low = bound(i - 1)
		}
		return low + time.Duration((rank-below)/float64(in)*float64(bound(i)-low)), i
	}
	return 0, 0
}

// above counts the good answers in buckets after i.
func (c *Counts) above(i int) (n uint64) {
	for _, in := range c.Latency[i+1:] {
		n += in
	}
	return n
}
