package hls

import (
	"fmt"
	"hash/maphash"
	"time"
)

// Trail is how the tracks of one stream at one upstream have moved on, look by
// look. It keeps a few numbers for each track, and nothing whose length an
// upstream chooses. The zero value has seen nothing.
type Trail struct {
	courses map[uint64]*course // of the tracks that the latest look could read
}

// course is how one track has moved on in looks that could read it, without one
// between them that could not.
type course struct {
	since, seen time.Time     // of the first look and of the latest
	watched     time.Duration // of the time between them
	moved       time.Time     // when it was first seen as it is
	target      time.Duration
	sequence    uint64
	edge        int64
	stalls      []stall
	back        string // how it went back
	backAt      time.Time
}

// stall is a time without a new segment that has ended.
type stall struct {
	until time.Time
	last  time.Duration
}

// seed of the names that tracks have in a Trail.
var seed = maphash.MakeSeed()

func name(t *Track) uint64 { return maphash.String(seed, t.URI) }

// Add notes a look that is later than those before; one of the same time takes
// the place of that one. A track that it cannot read begins anew.
func (r *Trail) Add(l *Look) {
	before := r.courses
	r.courses = make(map[uint64]*course, len(l.Tracks))
	if l.Err != "" {
		return
	}
	for i := range l.Tracks {
		t := &l.Tracks[i]
		if t.Err != "" || t.Away {
			continue
		}
		c := before[name(t)]
		if c == nil {
			c = &course{since: l.At, seen: l.At, moved: l.At, sequence: t.Sequence, edge: t.Edge()}
		}
		c.add(t, l.At)
		r.courses[name(t)] = c
	}
}

// add counts a target duration between two looks at most: in a longer time much
// can happen that nobody sees. A stall has lasted from the first look at a
// segment to the latest that saw none after it.
func (c *course) add(t *Track, at time.Time) {
	c.watched += min(at.Sub(c.seen), t.Target)
	switch {
	case t.Sequence < c.sequence || t.Edge() < c.edge:
		if c.back == "" { // what comes back again and again is said once
			c.back = fmt.Sprintf("went back: from segments %d to %d, to %d to %d", c.sequence, c.edge, t.Sequence, t.Edge())
		}
		c.moved, c.backAt = at, at
	case t.Edge() > c.edge:
		if last := c.seen.Sub(c.moved); last > slow(t.Target) {
			c.stalls = append(c.stalls, stall{at, last})
		}
		c.moved = at
	}
	c.seen, c.target, c.sequence, c.edge = at, t.Target, t.Sequence, t.Edge()
	oldest := at.Add(-Watch(t.Target))
	for len(c.stalls) > 0 && c.stalls[0].until.Before(oldest) {
		c.stalls = c.stalls[1:]
	}
	if c.backAt.Before(oldest) {
		c.back = ""
	}
}

// Watching reports that a track has not been watched for as long as it must be
// yet, since when it is, and for how long it must be.
func (r *Trail) Watching() (since time.Time, least time.Duration, watching bool) {
	for _, c := range r.courses {
		if c.watched >= Watch(c.target) {
			continue
		}
		if !watching || c.since.After(since) || c.since.Equal(since) && Watch(c.target) > least {
			since, least = c.since, Watch(c.target)
		}
		watching = true
	}
	return since, least, watching
}

// slow is how long a track may have no new segment (RFC 8216 §6.2.1).
func slow(target time.Duration) time.Duration { return 3 * target / 2 }

// fresh judges how a track moved on. Its texts stay the same while it stands
// still.
func (c *course) fresh() []Finding {
	if c.back != "" {
		return []Finding{{Fail: true, What: c.back}}
	}
	if c.seen.Sub(c.moved) > slow(c.target) {
		return []Finding{{Fail: true, What: fmt.Sprintf("has had no new segment for more than %s, with a target duration of %s", slow(c.target), c.target)}}
	}
	var longest time.Duration
	for _, s := range c.stalls {
		longest = max(longest, s.last)
	}
	switch {
	case longest > Watch(c.target):
		return []Finding{{Fail: true, What: fmt.Sprintf("had no new segment for more than %s, and must go on for as long, with a target duration of %s", Watch(c.target), c.target)}}
	case longest > slow(c.target):
		return []Finding{{What: fmt.Sprintf("had no new segment for more than %s, with a target duration of %s", slow(c.target), c.target)}}
	}
	return nil
}
