package hls

import (
	"fmt"
	"strings"
	"time"
)

// Compare says what would trouble the players of one stream if they went on
// with another, as both are now: players keep the multivariant playlist that
// they began with, and ask for the next number of the tracks it names. The two looks
// need not be of one moment.
func Compare(next, now *Look, limits Limits) (found []Finding) {
	if next.Err != "" || now.Err != "" {
		return nil // Judge says so of next; and a stream that is dead has no players
	}
	for i := range now.Tracks {
		before := &now.Tracks[i]
		after := next.track(before.URI)
		if after == nil {
			found = append(found, Finding{Fail: !limits.Unaligned, What: fmt.Sprintf("it has no %s %s, which players have", before.Kind, describe(before))})
			continue
		}
		if before.Err != "" || after.Err != "" || before.Away || after.Away {
			continue
		}
		for _, f := range compareTracks(after, before, limits) {
			f.What = after.URI + ": " + f.What
			found = append(found, f)
		}
	}
	for i := range next.Tracks {
		if t := &next.Tracks[i]; now.track(t.URI) == nil {
			found = append(found, Finding{What: fmt.Sprintf("it has a new %s %s: a way back would take it from players", t.Kind, describe(t))})
		}
	}
	return found
}

func describe(t *Track) string {
	return strings.Join(strings.Fields(t.URI+" "+t.Resolution), ", ")
}

func compareTracks(next, now *Track, limits Limits) (found []Finding) {
	if next.Resolution != now.Resolution || next.Codecs != now.Codecs {
		found = append(found, Finding{Fail: !limits.Unaligned, What: fmt.Sprintf("is %s %s, and was %s %s", next.Resolution, next.Codecs, now.Resolution, now.Codecs)})
	}
	if next.Target != now.Target {
		found = append(found, Finding{What: fmt.Sprintf("has a target duration of %s, and had %s", next.Target, now.Target)})
	}
	f := apart(next, now)
	if f.What == "" {
		f = aligned(next, now, limits)
	}
	if f.What != "" {
		f.Fail, f.Final = f.Fail && !limits.Unaligned, f.Final && !limits.Unaligned
		found = append(found, f)
	}
	most := limits.Skew
	if most == 0 {
		most = 2 * max(next.Target, now.Target)
	}
	if a, b := next.End(), now.End(); !a.IsZero() && !b.IsZero() {
		if a.Sub(b).Abs() > most {
			found = append(found, Finding{Fail: true, What: fmt.Sprintf("ends more than %s apart from the active one by their program dates", most)})
		}
	}
	return found
}

// aligned compares the segments that both have under the same number.
func aligned(next, now *Track, limits Limits) Finding {
	dated, lasting := max(mean(next, now)/2, limits.Skew), max(next.Target, now.Target)/2
	for n := max(next.Sequence, now.Sequence); int64(n) <= min(next.Edge(), now.Edge()); n++ {
		if other := differs(&next.Segments[n-next.Sequence], &now.Segments[n-now.Sequence], dated, lasting); other != "" {
			return Finding{Fail: true, Final: true, What: fmt.Sprintf("segment %d %s", n, other)}
		}
	}
	return Finding{}
}

// differs says why a segment of the next color is another one than the active
// color's. Two encoders of one source cut it a little differently, and their clocks
// are not quite the same: that much dates and durations may be apart. As durations
// are rounded, a date is the less exact the longer before it the last one was told.
func differs(next, now *Segment, dated, lasting time.Duration) string {
	dated += time.Duration(max(next.since-now.since, now.since-next.since)) * time.Millisecond
	switch {
	case next.URI != now.URI:
		return fmt.Sprintf("is %s, and %s in the active one: players would fail for good; align the packagers, keep sessions on their color, or splice", next.URI, now.URI)
	case next.limit > 0 && now.limit > 0 && (next.offset != now.offset || next.limit != now.limit):
		return fmt.Sprintf("is %d bytes from %d on of %s, and %d from %d on in the active one: players would get pieces of others; "+
			"give segments files of their own, keep sessions on their color, or splice", next.limit, next.offset, next.URI, now.limit, now.offset)
	case (next.Duration - now.Duration).Abs() > lasting:
		return fmt.Sprintf("lasts %s, and %s in the active one: viewers would miss a part, or see it twice; "+
			"let both packagers cut at the same frames, keep sessions on their color, or splice", rounded(next.Duration), rounded(now.Duration))
	case next.Date.IsZero() || now.Date.IsZero():
		return ""
	}
	by, side := next.Date.Sub(now.Date), "after"
	if by < 0 {
		by, side = -by, "before"
	}
	if by <= dated {
		return ""
	}
	return fmt.Sprintf("begins %s %s that of the active one by their program dates, at most %s is well: viewers would miss a part, or see it twice; "+
		"let both packagers number by the same clock, or, where only the dates are wrong, raise max_skew", rounded(by), side, rounded(dated))
}

// apart judges tracks that have no number in common, which two looks explain if they
// are of different moments, and windows short. One that is ahead is what players
// know from a network that was gone for a while, and what they are to be saved by
// where the active one stands still. One that is behind takes numbers back, which
// no playlist may (RFC 8216 §6.2.2), and some players end there.
func apart(next, now *Track) Finding {
	if len(next.Segments) == 0 || len(now.Segments) == 0 || next.Edge() >= int64(now.Sequence) && now.Edge() >= int64(next.Sequence) {
		return Finding{}
	}
	have := fmt.Sprintf("has segments %d to %d, and the active one %d to %d: ", next.Sequence, next.Edge(), now.Sequence, now.Edge())
	behind := now.Edge() - next.Edge()
	switch {
	case behind < 0:
		return Finding{What: have + "players would freeze for a few seconds and skip what lies between, and a way back would stop them; let both packagers number by the same clock"}
	case behind <= max(int64(len(now.Segments)), leastWindow+explained):
		return Finding{What: have + "players would freeze until it has come that far"}
	}
	const why = "players stop, or freeze for good, when numbers go back; let both packagers number by the same clock, keep sessions on their color, or splice"
	if late(next, now, behind) { // said without numbers, which change from look to look
		return Finding{Fail: true, What: "has only segments whose numbers the active one has left behind: " + why}
	}
	return Finding{Fail: true, Final: true, What: have + why}
}

// explained is by how many segments two looks can differ that are not of the same
// moment.
const explained = 2

// manySegments are more than a stream is ever late by.
const manySegments = 1_000_000

// late says whether a track that is some segments behind another is as much behind
// it in time, or may be: then it is numbered alike, and can still come that far.
func late(next, now *Track, segments int64) bool {
	a, b := next.End(), now.End()
	return a.IsZero() || b.IsZero() || b.Sub(a) > time.Duration(min(segments, manySegments))*mean(next, now)/2
}

// mean is how long a segment of two tracks is.
func mean(a, b *Track) (d time.Duration) {
	for _, t := range []*Track{a, b} {
		for i := range t.Segments {
			d += t.Segments[i].Duration
		}
	}
	return d / time.Duration(max(len(a.Segments)+len(b.Segments), 1))
}

func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
