package hls

import (
	"strings"
	"testing"
	"time"
)

func TestTheColorsAreCompared(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  int
		end    time.Time
		spoil  func(site)
		limits Limits
		want   []string
	}{
		{"aligned", 100, began, nil, Limits{}, nil},
		{"one ahead", 101, began.Add(2 * time.Second), nil, Limits{}, nil},
		{"other names", 102, began.Add(4 * time.Second), func(s site) { s["/live/v/720.m3u8"] = media("c", 102, 5, began.Add(4*time.Second)) }, Limits{},
			[]string{"!!/live/v/720.m3u8: segment 102 is /live/v/c102.ts, and /live/v/b102.ts in the active one"}},
		{"other names of which nobody minds", 102, began.Add(4 * time.Second), func(s site) { s["/live/v/720.m3u8"] = media("c", 102, 5, began.Add(4*time.Second)) }, Limits{Unaligned: true},
			[]string{"?segment 102 is"}},
		{"a rung less", 100, began, func(s site) {
			s["/live/main.m3u8"] = strings.Split(master, "#EXT-X-STREAM-INF:BANDWIDTH=18")[0]
		}, Limits{}, []string{"!it has no variant /live/v/720.m3u8, 1280x720"}},
		{"a rung more", 100, began, func(s site) {
			s["/live/main.m3u8"] += "#EXT-X-STREAM-INF:BANDWIDTH=4000000,RESOLUTION=1920x1080\nv/1080.m3u8\n"
		}, Limits{}, []string{"?it has a new variant /live/v/1080.m3u8, 1920x1080"}},
		{"another size", 100, began, func(s site) { s["/live/main.m3u8"] = strings.ReplaceAll(master, "1280x720", "960x540") }, Limits{},
			[]string{"!is 960x540 avc1.64001f,mp4a.40.2, and was 1280x720"}},
		{"other codecs", 100, began, func(s site) { s["/live/main.m3u8"] = strings.ReplaceAll(master, "avc1.64001f", "hvc1.1.6.L93") }, Limits{}, []string{"!is 1280x720 hvc1"}},
		{"another target duration", 100, began, func(s site) {
			s["/live/v/720.m3u8"] = strings.ReplaceAll(s["/live/v/720.m3u8"], "DURATION:2\n", "DURATION:4\n")
		}, Limits{}, []string{"?has a target duration of 4s, and had 2s"}},
		{"far apart", 95, began.Add(-10 * time.Second), nil, Limits{}, []string{"?freeze", "!ends more than 4s apart", "?freeze", "!ends more than 4s apart", "?freeze", "!ends more than 4s apart"}},
		{"as far apart as is allowed", 100, began.Add(-10 * time.Second), nil, Limits{Skew: 11 * time.Second}, nil},
		{"dead", 100, began, func(s site) { s["/live/main.m3u8"] = "gone" }, Limits{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := well(c.first, c.end)
			if c.spoil != nil {
				c.spoil(s)
			}
			next, now := lookAt(t, s, began), lookAt(t, well(100, began), began)
			finds(t, Compare(&next, &now, c.limits), c.want...)
		})
	}
	next, now := lookAt(t, well(100, began), began), Look{Err: "connection refused"}
	finds(t, Compare(&next, &now, Limits{}))
}

// one is a stream that is a media playlist alone.
func one(t *testing.T, playlist string) *Look {
	t.Helper()
	l := Looker{Path: "/live/main.m3u8", Upstreams: site{"/live/main.m3u8": playlist}}
	look := l.Look(t.Context(), "10.0.0.1:80", began, false)
	if look.Err != "" {
		t.Fatal(look.Err)
	}
	return &look
}

func undated(playlist string) string {
	return strings.ReplaceAll(playlist, "#EXT-X-PROGRAM-DATE-TIME", "#X")
}

func TestNumbersThatGoBackAreRefusedAndThoseThatAreOnlyAheadAreNot(t *testing.T) {
	const (
		back    = "players stop, or freeze for good, when numbers go back; let both packagers number by the same clock"
		late    = "!has only segments whose numbers the active one has left behind: " + back
		ahead   = "?players would freeze for a few seconds and skip what lies between, and a way back would stop them"
		catchUp = "?players would freeze until it has come that far"
	)
	for _, c := range []struct {
		name      string
		next, now string
		limits    Limits
		want      []string
	}{
		{"numbered by another clock", media("s", 90, 5, began), media("s", 100, 5, began), Limits{},
			[]string{"!!has segments 90 to 94, and the active one 100 to 104: " + back}},
		{"numbered from its start", media("s", 0, 5, began), media("s", 900_000_000, 5, began), Limits{}, []string{"!!" + back}},
		{"numbered in thousandths of a second", media("s", 0, 5, began), media("s", 5_000_000_000, 5, began), Limits{}, []string{"!!" + back}},
		{"without dates", undated(media("s", 90, 5, began)), undated(media("s", 100, 5, began)), Limits{}, []string{late}},
		{"late by the same clock", media("s", 90, 5, began.Add(-20*time.Second)), media("s", 100, 5, began), Limits{}, []string{late, "!ends more than 4s apart"}},
		{"of which nobody minds", media("s", 90, 5, began), media("s", 100, 5, began), Limits{Unaligned: true}, []string{"?" + back}},
		{"one number too far back", media("s", 94, 5, began), media("s", 100, 5, began), Limits{}, []string{"!!" + back}},
		{"adjacent", media("s", 95, 5, began), media("s", 100, 5, began), Limits{}, []string{catchUp}},
		{"looked at two segments earlier, of three", media("s", 95, 3, began.Add(-10*time.Second)), media("s", 100, 3, began), Limits{Skew: 11 * time.Second}, []string{catchUp}},
		{"of three, and too far back", media("s", 94, 3, began), media("s", 100, 3, began), Limits{}, []string{"!!" + back}},
		{"ahead", media("s", 200, 5, began), media("s", 100, 5, began), Limits{}, []string{ahead}},
		{"ahead of one that stands still", media("s", 200, 5, began), media("s", 100, 5, began.Add(-200*time.Second)), Limits{Skew: 5 * time.Minute}, []string{ahead}},
	} {
		t.Run(c.name, func(t *testing.T) {
			finds(t, Compare(one(t, c.next), one(t, c.now), c.limits), c.want...)
		})
	}
}

// ranged is a playlist of segments that are ranges of one file.
func ranged(first string, ranges ...string) string {
	s := "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:" + first + "\n"
	for _, r := range ranges {
		s += "#EXTINF:2,\n#EXT-X-BYTERANGE:" + r + "\nall.ts\n"
	}
	return s
}

// eachDated is a playlist of media with a date for each segment.
func eachDated(playlist string) string {
	_, rest, _ := strings.Cut(playlist, "#EXT-X-PROGRAM-DATE-TIME:")
	at, _, _ := strings.Cut(rest, "\n")
	first, _ := time.Parse(time.RFC3339Nano, at)
	parts := strings.Split(playlist, "#EXTINF")
	for i := range parts[1:] {
		parts[i+1] = "#EXT-X-PROGRAM-DATE-TIME:" + first.Add(time.Duration(i)*2*time.Second).Format(time.RFC3339Nano) + "\n#EXTINF" + parts[i+1]
	}
	return strings.Join(parts, "")
}

func TestTheSameNameUnderTheSameNumberIsNotYetTheSameSegment(t *testing.T) {
	longer := func(length string) string {
		return strings.ReplaceAll(undated(media("s", 100, 5, began)), "EXTINF:2.000", "EXTINF:"+length)
	}
	aligned, plain := media("s", 100, 5, began), longer("2.000")
	for _, c := range []struct {
		name      string
		next, now string
		limits    Limits
		want      []string
	}{
		{"numbers off by one", media("s", 101, 5, began), aligned, Limits{},
			[]string{"!!segment 101 begins 2s before that of the active one by their program dates, at most 1s is well: viewers would miss a part, or see it twice; let both packagers number by the same clock"}},
		{"numbers off by one the other way", media("s", 99, 5, began), aligned, Limits{}, []string{"!!segment 100 begins 2s after that"}},
		{"numbers off by one, of short segments", strings.ReplaceAll(media("s", 101, 5, began), "TARGETDURATION:2\n", "TARGETDURATION:6\n"),
			strings.ReplaceAll(aligned, "TARGETDURATION:2\n", "TARGETDURATION:6\n"), Limits{}, []string{"!!segment 101 begins 2s before"}},
		{"numbers off by one of which nobody minds", media("s", 101, 5, began), aligned, Limits{Unaligned: true}, []string{"?segment 101 begins"}},
		{"clocks that are allowed to be apart", media("s", 101, 5, began), aligned, Limits{Skew: 3 * time.Second}, nil},
		{"clocks a little apart", media("s", 100, 5, began.Add(900*time.Millisecond)), aligned, Limits{Skew: 100 * time.Millisecond}, []string{"!ends more than 100ms apart"}},
		{"clocks a little apart, by default", media("s", 100, 5, began.Add(-900*time.Millisecond)), aligned, Limits{}, nil},
		{"a long window of rounded lengths", media("s", 1100, 5, began), // 1100 × 1 ms before the end of the other
			strings.Replace(media("s", 0, 1105, began), "#EXT-X-PROGRAM-DATE-TIME:", "#EXT-X-PROGRAM-DATE-TIME:"+began.Add(-2211100*time.Millisecond).Format(time.RFC3339Nano)+"\n#X", 1), Limits{}, nil},
		{"a long window with a date for each", media("s", 1100, 5, began), eachDated(media("s", 0, 1105, began.Add(-2*time.Second))), Limits{}, []string{"!!segment 1100 begins 2s after"}},
		{"dates in one of them", undated(media("s", 101, 5, began)), aligned, Limits{}, nil},
		{"another length", plain, longer("0.900"), Limits{}, []string{"!!segment 100 lasts 2s, and 900ms in the active one: viewers would miss a part, or see it twice; let both packagers cut at the same frames"}},
		{"another length of which nobody minds", plain, longer("0.900"), Limits{Unaligned: true}, []string{"?segment 100 lasts"}},
		{"lengths of two encoders", longer("2.002"), longer("1.500"), Limits{}, nil},
		{"the same ranges", ranged("7", "376@0", "376@376", "188@752"), ranged("7", "376@0", "376@376", "188@752"), Limits{}, nil},
		{"the same ranges, told otherwise", ranged("7", "376@0", "376", "188"), ranged("7", "376@0", "376@376", "188@752"), Limits{}, nil},
		{"ranges of other lengths", ranged("7", "376@0", "376", "188"), ranged("7", "188@0", "376", "188"), Limits{},
			[]string{"!!segment 7 is 376 bytes from 0 on of /live/all.ts, and 188 from 0 on in the active one: players would get pieces of others"}},
		{"ranges from elsewhere on", ranged("7", "376@188"), ranged("7", "376@0"), Limits{}, []string{"!!segment 7 is 376 bytes from 188 on"}},
		{"ranges in one of them", ranged("7", "376@188"), strings.ReplaceAll(ranged("7", "376@188"), "#EXT-X-BYTERANGE:376@188\n", ""), Limits{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			finds(t, Compare(one(t, c.next), one(t, c.now), c.limits), c.want...)
		})
	}
}
