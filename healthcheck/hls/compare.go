package hls

import (
	"fmt"
	"strings"
	"time"
)

// Compare says what would trouble the players of one stream if they went on
// with another, as both are now: players keep the multivariant playlist that
// they began with, and ask for the next number of the tracks it names.
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
	if f := aligned(next, now); f.What != "" {
		f.Fail, f.Final = f.Fail && !limits.Unaligned, f.Final && !limits.Unaligned
		found = append(found, f)
	}
	most := limits.Skew
	if most == 0 {
		most = 2 * max(next.Target, now.Target)
	}
	if a, b := next.End(), now.End(); !a.IsZero() && !b.IsZero() {
		if apart := a.Sub(b).Abs(); apart > most {
			found = append(found, Finding{Fail: true, What: fmt.Sprintf("ends %s apart from the active one by their program dates, at most %s is well", apart.Round(100*time.Millisecond), most)})
		}
	}
	return found
}

// aligned compares the segments that both have under the same number.
func aligned(next, now *Track) Finding {
	if len(next.Segments) == 0 || len(now.Segments) == 0 {
		return Finding{}
	}
	first := max(next.Sequence, now.Sequence)
	for n := first; int64(n) <= min(next.Edge(), now.Edge()); n++ {
		a, b := next.Segments[n-next.Sequence].URI, now.Segments[n-now.Sequence].URI
		if a != b {
			return Finding{Fail: true, Final: true, What: fmt.Sprintf(
				"segment %d is %s, and %s in the active one: players would fail for good; align the packagers, keep sessions on their color, or splice", n, a, b)}
		}
	}
	if next.Edge() < int64(now.Sequence) || now.Edge() < int64(next.Sequence) {
		return Finding{What: fmt.Sprintf("has segments %d to %d, and the active one %d to %d: players would freeze for a few seconds",
			next.Sequence, next.Edge(), now.Sequence, now.Edge())}
	}
	return Finding{}
}
