package hls

import (
	"fmt"
	"math"
	"time"
)

// Finding is something that is wrong with a stream, or odd.
type Finding struct {
	// Fail says that it is wrong: players would stall or fail. Otherwise it is
	// only worth a word.
	Fail bool
	// Final says that waiting will not make it good.
	Final bool
	// What in a sentence without a subject that the caller knows.
	What string
}

// Limits are what is still well.
type Limits struct {
	// Lag is how far the end of the last segment may be behind now, by its
	// program date, 1s to 24h. Default: 30s.
	Lag time.Duration
	// Skew is how far the two colors' ends may be apart, 100ms to 1h, and if that
	// is longer than half a segment, the same segment of both. Default: two target
	// durations, and half a segment.
	Skew time.Duration
	// Unaligned lets the colors have other segments under the same numbers, and
	// other ladders: because sessions stay on their color, or something splices.
	Unaligned bool
}

// DefaultLag is Limits.Lag where that is 0.
const DefaultLag = 30 * time.Second

// leastWindow is how many segments a live playlist has at least (RFC 8216
// §6.2.2: three target durations).
const leastWindow = 3

// Watch is how long a stream is watched before it can be judged: three target
// durations.
func Watch(l *Look) time.Duration { return 3 * l.Target() }

// Judge says what is wrong with a stream at one upstream, by looks at it, the
// oldest first. Freshness can only be judged of what was watched: in 1.5 target
// durations a playlist must have moved on, or it is worth a word; in 3 it must.
func Judge(looks []Look, limits Limits) (found []Finding) {
	if len(looks) == 0 {
		return []Finding{{Fail: true, What: "has not been looked at"}}
	}
	last := &looks[len(looks)-1]
	if last.Err != "" {
		return []Finding{{Fail: true, What: last.Err}}
	}
	if where, all := last.away(); all {
		return []Finding{{Fail: true, What: "names only playlists on other servers, which are not looked at, as " + where +
			": if that is the name of this service, say so with host, else watch what the upstreams have themselves"}}
	}
	for i := range last.Tracks {
		t := &last.Tracks[i]
		say := func(f Finding) {
			f.What = t.URI + ": " + f.What
			found = append(found, f)
		}
		switch {
		case t.Err != "":
			say(Finding{Fail: true, What: t.Err})
			continue
		case t.Away:
			say(Finding{What: "is on another server, which is not looked at"})
			continue
		}
		for _, f := range append(shape(t), t.Samples...) {
			say(f)
		}
		for _, f := range lag(t, last.At, limits) {
			say(f)
		}
		for _, f := range fresh(t.URI, looks) {
			say(f)
		}
	}
	return found
}

// shape judges a playlist by itself.
func shape(t *Track) (found []Finding) {
	if t.Ended {
		found = append(found, Finding{Fail: true, What: "has ended (EXT-X-ENDLIST)"})
	}
	if n := len(t.Segments); n < leastWindow {
		found = append(found, Finding{Fail: true, What: fmt.Sprintf("has %d segments, needs %d", n, leastWindow)})
	}
	for _, s := range t.Segments {
		// Rounded to the nearest second (RFC 8216 §4.3.3.1).
		if math.Round(s.Duration.Seconds()) > t.Target.Seconds() {
			found = append(found, Finding{Fail: true, What: fmt.Sprintf("segment %s lasts %s, longer than the target duration of %s", s.URI, s.Duration, t.Target)})
			break
		}
	}
	return found
}

func lag(t *Track, now time.Time, limits Limits) []Finding {
	end := t.End()
	if end.IsZero() {
		return nil
	}
	most := limits.Lag
	if most == 0 {
		most = DefaultLag
	}
	switch behind := now.Sub(end).Round(100 * time.Millisecond); {
	case behind > most:
		return []Finding{{Fail: true, What: fmt.Sprintf("ends %s ago by its program date, at most %s is well", behind, most)}}
	case behind < -t.Target:
		return []Finding{{What: fmt.Sprintf("ends %s from now by its program date: do the clocks agree?", -behind)}}
	}
	return nil
}

// fresh judges how a track moved on from look to look.
func fresh(uri string, looks []Look) (found []Finding) {
	var before *Track
	var moved time.Time // when it was first seen as it is
	var longest, target time.Duration
	for i := range looks {
		t := looks[i].track(uri)
		if t == nil || t.Err != "" {
			continue
		}
		target = t.Target
		if before == nil {
			before, moved = t, looks[i].At
			continue
		}
		if t.Sequence < before.Sequence || t.Edge() < before.Edge() {
			return []Finding{{Fail: true, What: fmt.Sprintf("went back: from segments %d to %d, to %d to %d", before.Sequence, before.Edge(), t.Sequence, t.Edge())}}
		}
		longest = max(longest, looks[i].At.Sub(moved))
		if t.Edge() > before.Edge() {
			moved = looks[i].At
		}
		before = t
	}
	switch {
	case longest > 3*target:
		return []Finding{{Fail: true, What: fmt.Sprintf("has had no new segment for %s, with a target duration of %s", longest.Round(100*time.Millisecond), target)}}
	case longest > 3*target/2:
		return []Finding{{What: fmt.Sprintf("had no new segment for %s, with a target duration of %s", longest.Round(100*time.Millisecond), target)}}
	}
	return nil
}

func (l *Look) track(uri string) *Track {
	for i := range l.Tracks {
		if l.Tracks[i].URI == uri {
			return &l.Tracks[i]
		}
	}
	return nil
}
