package hls

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// watched adds a look each second at playlists that are made by the second, and
// returns what is found after the last.
func watched(t *testing.T, r *Trail, seconds int, playlist func(second int) string) []Finding {
	t.Helper()
	var look Look
	for i := range seconds {
		l := Looker{Path: "/live.m3u8", Upstreams: site{"/live.m3u8": playlist(i)}}
		look = l.Look(t.Context(), "a:1", began.Add(time.Duration(i)*time.Second), false)
		r.Add(&look)
	}
	return r.Judge(&look, Limits{})
}

func numbered(edge int) string {
	return strings.ReplaceAll(media("s", edge, 5, began), "#EXT-X-PROGRAM", "#X")
}

func TestAStreamThatStandsStillFailsAndOneThatStoodStillIsWorthAWord(t *testing.T) {
	for seconds, want := range map[int][]string{
		5:  nil,                                          // 2 s, 4 s: it moves on
		8:  nil,                                          // it moved at 4 s, and was so seen for 3 s
		9:  {"!has had no new segment for more than 3s"}, // of 2 s each
		10: {"?had no new segment for more than 3s"},     // it moves again, at 9 s
		14: {"?had no new segment for more than 3s"},     // as before
		17: nil,                                          // that is 7 s ago
		30: {"!has had no new segment for more than 3s"}, // it stands still from 16 s on
		31: {"!had no new segment for more than 6s, and must go on"},
		36: {"!had no new segment for more than 6s, and must go on"},
		38: nil,
	} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			finds(t, watched(t, new(Trail), seconds, func(s int) string {
				switch {
				case s < 5:
					return numbered(s / 2)
				case s < 9:
					return numbered(2)
				case s < 16:
					return numbered(s / 2)
				case s < 30:
					return numbered(8)
				}
				return numbered(s / 2)
			}), want...)
		})
	}
}

func TestPartsOfASegmentAreNoStall(t *testing.T) {
	// Low-Latency HLS: each second a part, a whole segment each four seconds.
	finds(t, watched(t, new(Trail), 40, func(s int) string {
		text := strings.ReplaceAll(numbered(s/4), "DURATION:2\n", "DURATION:4\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0\n#EXT-X-PART-INF:PART-TARGET=1.0\n")
		for part := range s % 4 {
			text += fmt.Sprintf("#EXT-X-PART:DURATION=1.0,URI=\"s%d.%d.ts\"\n", s/4+5, part)
		}
		return text + fmt.Sprintf("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s%d.%d.ts\"\n", s/4+5, s%4)
	}))
}

func TestOfAStreamThatHasEndedOnlyThatIsSaid(t *testing.T) {
	finds(t, watched(t, new(Trail), 20, func(int) string { return numbered(1) + "#EXT-X-ENDLIST\n" }), "!has ended")
}

func TestAStreamThatGoesBackAgainAndAgainIsSaidToOnce(t *testing.T) {
	for _, seconds := range []int{10, 20, 30} { // behind a balancer, with two encoders
		finds(t, watched(t, new(Trail), seconds, func(s int) string { return numbered(100 + s/3 + 50*(s%2)) }),
			"!went back: from segments 150 to 154, to 100 to 104")
	}
}

func TestALongNameDoesNotHideWhatIsSaid(t *testing.T) {
	long := "/" + strings.Repeat("x", 10_000) + ".m3u8"
	finds(t, judge([]Look{{Tracks: []Track{{URI: long, Err: "answered 404"}}}}, Limits{}), "!x.m3u8: answered 404")
	for _, f := range judge([]Look{{Tracks: []Track{{URI: long, Err: "answered 404"}}}}, Limits{}) {
		if len(f.What) > 2*maxName {
			t.Errorf("%d bytes: %s", len(f.What), f.What)
		}
	}
}

func TestEachTrackIsWatchedFromItsFirstLookOn(t *testing.T) {
	var r Trail
	at := func(second int) time.Time { return began.Add(time.Duration(second) * time.Second) }
	track := func(uri, err string) Track {
		return Track{URI: uri, Err: err, Playlist: Playlist{Target: 2 * time.Second}}
	}
	is := func(since int, want bool) {
		t.Helper()
		from, least, watching := r.Watching()
		if watching != want || want && (!from.Equal(at(since)) || least != 6*time.Second) {
			t.Errorf("watching %t since %s for %s", watching, from, least)
		}
	}
	is(0, false)
	for s := range 8 {
		r.Add(&Look{At: at(s), Tracks: []Track{track("a", ""), track("b", "answered 404")}})
		is(0, s < 6)
	}
	for s := 8; s < 15; s++ {
		r.Add(&Look{At: at(s), Tracks: []Track{track("a", ""), track("b", "")}})
		is(8, s < 14)
	}
	r.Add(&Look{At: at(15), Tracks: []Track{track("a", "")}})
	r.Add(&Look{At: at(16), Tracks: []Track{track("a", ""), track("b", "")}})
	is(16, true)
	r.Add(&Look{At: at(17), Err: "no answer in time"})
	is(0, false)
	r.Add(&Look{At: at(18), Tracks: []Track{track("a", "")}})
	r.Add(&Look{At: at(18), Tracks: []Track{track("a", "")}})
	is(18, true)
	r.Add(&Look{At: at(28), Tracks: []Track{track("a", "")}}) // a target duration counts
	r.Add(&Look{At: at(38), Tracks: []Track{track("a", "")}})
	is(18, true)
	r.Add(&Look{At: at(48), Tracks: []Track{track("a", "")}})
	is(0, false)
}
