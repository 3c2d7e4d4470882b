package hls

import (
	"fmt"
	"math"
	"strings"
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

// maxName is how much of a URI is in a finding, in bytes.
const maxName = 80

// Watch is how long a stream is watched before it can be judged: three target
// durations.
func Watch(target time.Duration) time.Duration { return 3 * target }

// Judge says what is wrong with a stream at one upstream, by the latest look at it
// and by how it moved on before. Freshness can only be judged of what was watched: a playlist
// that has not moved on for 1.5 target durations fails until it does, and one that
// had not for 3 until it has been well for 3. Less is worth a word.
func (r *Trail) Judge(last *Look, limits Limits) (found []Finding) {
	if last.Err != "" {
		return []Finding{{Fail: true, What: last.Err}}
	}
	if where, all := last.away(); all {
		return []Finding{{Fail: true, What: "names only playlists on other servers, which are not looked at, as " + where +
			": if that is the name of this service, say so with host, else watch what the upstreams have themselves"}}
	}
	for i := range last.Tracks {
		t := &last.Tracks[i]
		say := func(list ...Finding) {
			for _, f := range list {
				f.What = short(t.URI) + ": " + f.What
				found = append(found, f)
			}
		}
		switch {
		case t.Err != "":
			say(Finding{Fail: true, What: t.Err})
			continue
		case t.Away:
			say(Finding{What: "is on another server, which is not looked at"})
			continue
		}
		say(shape(t)...)
		say(t.Samples...)
		say(lag(t, last.At, limits)...)
		if c := r.courses[name(t)]; c != nil && !t.Ended { // of what has ended, shape says so
			say(c.fresh()...)
		}
	}
	return found
}

// short keeps a URI from filling what is said of it.
func short(uri string) string {
	if len(uri) <= maxName {
		return uri
	}
	return "…" + strings.ToValidUTF8(uri[len(uri)-maxName:], "")
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
			found = append(found, Finding{Fail: true, What: fmt.Sprintf("segment %s lasts %s, longer than the target duration of %s", short(s.URI), s.Duration, t.Target)})
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
	// How much more changes from look to look.
	switch behind := now.Sub(end); {
	case behind > most:
		return []Finding{{Fail: true, What: fmt.Sprintf("ends more than %s ago by its program date", most)}}
	case behind < -t.Target:
		return []Finding{{What: fmt.Sprintf("ends more than %s from now by its program date: do the clocks agree?", t.Target)}}
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
