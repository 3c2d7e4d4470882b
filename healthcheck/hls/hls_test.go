package hls

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/internal/ask"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is an upstream made of files.
type site map[string]string

func (s site) Get(_ context.Context, _, target string, header http.Header, limit int64) (ask.Answer, error) {
	body, ok := s[target]
	switch {
	case body == "gone":
		return ask.Answer{}, errors.New("connection refused")
	case !ok:
		return ask.Answer{Status: 404}, nil
	}
	a := ask.Answer{Status: 200}
	var from, to int
	if _, err := fmt.Sscanf(header.Get("Range"), "bytes=%d-%d", &from, &to); err == nil && !strings.HasPrefix(body, "whole:") {
		a.Status = 206
		body = body[min(from, len(body)):min(to+1, len(body))]
	}
	body = strings.TrimPrefix(body, "whole:")
	a.Cut = int64(len(body)) > limit
	a.Body = []byte(body[:min(int64(len(body)), limit)])
	return a, nil
}

const master = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="sound.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1.64001e,mp4a.40.2",AUDIO="a"
v/360.m3u8?t=1
#EXT-X-STREAM-INF:BANDWIDTH=1800000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"
v/720.m3u8
`

var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// elsewhere are the URIs of a playlist as URLs below base.
func elsewhere(playlist, base string) string {
	lines := strings.Split(playlist, "\n")
	for i, line := range lines {
		if line != "" && line[0] != '#' {
			lines[i] = base + line
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), `URI="`, `URI="`+base)
}

// media is a playlist of n segments of 2 s from number first on, whose last ends
// at end.
func media(name string, first, n int, end time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", first)
	fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", end.Add(-time.Duration(n)*2*time.Second).Format(time.RFC3339Nano))
	for i := range n {
		fmt.Fprintf(&b, "#EXTINF:2.000,\n%s%d.ts\n", name, first+i)
	}
	return b.String()
}

// ts is the beginning of a transport stream.
var ts = strings.Repeat("G"+strings.Repeat("x", 187), 10)

// well is a stream in which nothing is wrong, at number first.
func well(first int, end time.Time) site {
	s := site{
		"/live/main.m3u8":      master,
		"/live/sound.m3u8":     media("sound", first, 5, end),
		"/live/v/360.m3u8?t=1": media("a", first, 5, end),
		"/live/v/720.m3u8":     media("b", first, 5, end),
	}
	for i := first; i < first+5; i++ {
		s[fmt.Sprintf("/live/sound%d.ts", i)] = ts
		s[fmt.Sprintf("/live/v/a%d.ts", i)] = ts
		s[fmt.Sprintf("/live/v/b%d.ts", i)] = ts
	}
	return s
}

func lookAt(t *testing.T, s site, now time.Time) Look {
	t.Helper()
	l := Looker{Path: "/live/main.m3u8", Upstreams: s}
	return l.Look(t.Context(), "10.0.0.1:80", now, true)
}

// judge judges a stream by looks at it, the oldest first.
func judge(looks []Look, limits Limits) []Finding {
	var r Trail
	for i := range looks {
		r.Add(&looks[i])
	}
	return r.Judge(&looks[len(looks)-1], limits)
}

// finds fails unless the findings are as said: each a part of a finding, with a
// mark: "!" it fails, "!!" it is final, "?" it is only odd.
func finds(t *testing.T, found []Finding, want ...string) {
	t.Helper()
	if len(found) != len(want) {
		t.Errorf("found %d, want %d: %+v", len(found), len(want), found)
		return
	}
	for i, f := range found {
		mark := "?"
		if f.Fail {
			mark = "!"
		}
		if f.Final {
			mark = "!!"
		}
		text := strings.TrimLeft(want[i], "!?")
		if mark != want[i][:len(want[i])-len(text)] || !strings.Contains(f.What, text) {
			t.Errorf("found %s%s\nwant %s", mark, f.What, want[i])
		}
	}
}

func TestAStreamIsSeenAsItIs(t *testing.T) {
	look := lookAt(t, well(100, began), began)
	if look.Err != "" || len(look.Tracks) != 3 {
		t.Fatalf("got %+v", look)
	}
	first, sound := look.Tracks[0], look.Tracks[2]
	if first.URI != "/live/v/360.m3u8" || first.Kind != "variant" || first.Resolution != "640x360" || !strings.Contains(first.Codecs, "avc1") || first.Target != 2*time.Second {
		t.Errorf("got %+v", first)
	}
	if sound.Kind != "audio" || sound.URI != "/live/sound.m3u8" || sound.Sequence != 100 || sound.Edge() != 104 || !sound.End().Equal(began) {
		t.Errorf("got %+v, to %d, %s", sound, sound.Edge(), sound.End())
	}
	if first.Segments[4].URI != "/live/v/a104.ts" {
		t.Errorf("got %+v", first.Segments)
	}
	finds(t, judge([]Look{look}, Limits{}))
}

func TestWhatIsWrongWithAStreamIsNamed(t *testing.T) {
	const at = "/live/v/720.m3u8"
	for _, c := range []struct {
		name  string
		spoil func(site)
		want  []string
	}{
		{"no stream", func(s site) { delete(s, "/live/main.m3u8") }, []string{"!/live/main.m3u8: answered 404"}},
		{"nobody there", func(s site) { s["/live/main.m3u8"] = "gone" }, []string{"!connection refused"}},
		{"a page instead", func(s site) { s["/live/main.m3u8"] = "<html>" }, []string{"!does not begin with #EXTM3U"}},
		{"no variant", func(s site) { s["/live/main.m3u8"] = "#EXTM3U\n" }, []string{"!it is no HLS playlist"}},
		{"tags without sense", func(s site) { s["/live/main.m3u8"] = "#EXTM3U\n#EXT-X-KEY:METHOD=NONE\nx.ts\n" }, []string{"!it is no HLS playlist"}},
		{"too much", func(s site) { s["/live/main.m3u8"] = "#EXTM3U\n" + strings.Repeat("#\n", maxPlaylist) }, []string{"!more than 1048576 bytes"}},
		{"too many variants", func(s site) {
			s["/live/main.m3u8"] = "#EXTM3U\n"
			for i := range 60 {
				s["/live/main.m3u8"] += fmt.Sprintf("#EXT-X-STREAM-INF:BANDWIDTH=1\n%d.m3u8\n", i)
			}
		}, []string{"!more than 50"}},
		{"a variant that does not answer", func(s site) { delete(s, at) }, []string{"!" + at + ": answered 404"}},
		{"a rendition that does not answer", func(s site) { delete(s, "/live/sound.m3u8") }, []string{"!/live/sound.m3u8: answered 404"}},
		{"a multivariant playlist as a variant", func(s site) { s[at] = master }, []string{"!multivariant playlist where"}},
		{"no target duration", func(s site) { s[at] = strings.ReplaceAll(s[at], "#EXT-X-TARGETDURATION:2\n", "") }, []string{"!no EXT-X-TARGETDURATION"}},
		{"a target duration of an hour", func(s site) { s[at] = strings.ReplaceAll(s[at], "DURATION:2\n", "DURATION:3600\n") }, []string{"!longer than 1m0s"}},
		{"a target duration out of range", func(s site) { s[at] = strings.ReplaceAll(s[at], "DURATION:2\n", "DURATION:99999999999\n") }, []string{"!no EXT-X-TARGETDURATION"}},
		{"a sequence out of range", func(s site) { s[at] = strings.ReplaceAll(s[at], "SEQUENCE:100\n", "SEQUENCE:18446744073709551615\n") }, []string{"!media sequence is out of range"}},
		{"a duration that is none", func(s site) { s[at] = strings.Replace(s[at], "EXTINF:2.000", "EXTINF:NaN", 1) }, []string{"!is no duration"}},
		{"a negative duration", func(s site) { s[at] = strings.Replace(s[at], "EXTINF:2.000", "EXTINF:-1", 1) }, []string{"!is no duration"}},
		{"a duration that is too long", func(s site) { s[at] = strings.Replace(s[at], "EXTINF:2.000", "EXTINF:2.6", 1) },
			[]string{"!segment /live/v/b100.ts lasts 2.6s, longer than the target duration of 2s"}},
		{"a duration that is rounded", func(s site) { s[at] = strings.Replace(s[at], "EXTINF:2.000", "EXTINF:2.4", 1) }, nil},
		{"two segments", func(s site) { s[at] = media("b", 100, 2, began); s["/live/v/b101.ts"] = ts }, []string{"!has 2 segments, needs 3"}},
		{"no segment", func(s site) { s[at] = media("b", 100, 0, began) }, []string{"!has 0 segments"}},
		{"an end", func(s site) { s[at] += "#EXT-X-ENDLIST\n" }, []string{"!EXT-X-ENDLIST"}},
		{"far behind", func(s site) { s[at] = media("b", 100, 5, began.Add(-31*time.Second)) }, []string{"!ends more than 30s ago"}},
		{"from the future", func(s site) { s[at] = media("b", 100, 5, began.Add(time.Minute)) }, []string{"?ends more than 2s from now"}},
		{"no dates", func(s site) { s[at] = strings.ReplaceAll(s[at], "#EXT-X-PROGRAM-DATE-TIME", "#X") }, nil},
		{"no first segment", func(s site) { delete(s, "/live/v/b100.ts") }, []string{"!first segment /live/v/b100.ts cannot be fetched: answered 404"}},
		{"no last segment", func(s site) { delete(s, "/live/v/b104.ts") }, []string{"!last segment /live/v/b104.ts cannot be fetched"}},
		{"a page as a segment", func(s site) { s["/live/v/b104.ts"] = "<html>" + ts }, []string{"!is no media"}},
		{"an empty segment", func(s site) { s["/live/v/b104.ts"] = "" }, []string{"!is no media"}},
		{"one sync byte", func(s site) { s["/live/v/b104.ts"] = "G" + strings.Repeat("x", 1000) }, []string{"!is no media"}},
		{"no ranges", func(s site) { s["/live/v/b104.ts"] = "whole:" + ts }, []string{"?came whole"}},
		{"fragmented MP4", func(s site) {
			s["/live/v/b104.ts"] = "\x00\x00\x00\x18styp" + ts
			s["/live/v/b100.ts"] = "\x00\x00\x00\x18moof"
		}, nil},
		{"packed audio as video", func(s site) { s["/live/v/b104.ts"] = "ID3" + ts }, []string{"!is no media"}},
		{"packed audio", func(s site) { s["/live/sound104.ts"] = "ID3" + ts; s["/live/sound100.ts"] = "\xff\xf1" + ts }, nil},
		{"encrypted", func(s site) {
			s[at] = strings.Replace(s[at], "#EXTINF", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF", 1)
			s["/live/v/b104.ts"], s["/live/v/b100.ts"] = "cipher", "cipher"
		}, nil},
		{"a variant elsewhere", func(s site) {
			s["/live/main.m3u8"] = strings.ReplaceAll(master, "v/720", "https://169.254.169.254/v/720")
		},
			[]string{"?https://169.254.169.254/v/720.m3u8: is on another server"}},
		{"segments elsewhere", func(s site) { s[at] = strings.ReplaceAll(s[at], "\nb1", "\n//evil.example/b1") }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := well(100, began)
			c.spoil(s)
			finds(t, judge([]Look{lookAt(t, s, began)}, Limits{}), c.want...)
		})
	}
}

func TestByteRangesAreAskedFor(t *testing.T) {
	s := site{
		"/live/main.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n" +
			"#EXTINF:2,\n#EXT-X-BYTERANGE:376@188\nall.ts\n#EXTINF:2,\n#EXT-X-BYTERANGE:376@564\nall.ts\n#EXTINF:2,\n#EXT-X-BYTERANGE:188@940\nall.ts\n",
		"/live/all.ts": "x" + ts[1:],
	}
	finds(t, judge([]Look{lookAt(t, s, began)}, Limits{}))
	s["/live/all.ts"] = "whole:" + s["/live/all.ts"]
	finds(t, judge([]Look{lookAt(t, s, began)}, Limits{}), "!does not serve ranges", "!does not serve ranges")
}

func TestFreshnessIsJudgedByHowAStreamMovesOn(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		edges []int // of each look
		want  string
	}{
		{"steady", 2 * time.Second, []int{100, 101, 102, 103}, ""},
		{"two at once", 500 * time.Millisecond, []int{100, 100, 100, 100, 100, 100, 100, 100, 102, 102}, "?had no new segment for more than 3s"},
		{"slow once", time.Second, []int{100, 100, 100, 100, 100, 101, 102}, "?had no new segment for more than 3s"},
		{"stalled", time.Second, []int{100, 100, 100, 100, 100, 100, 100, 100}, "!has had no new segment for more than 3s"},
		{"stalled and mended", time.Second, []int{100, 100, 100, 100, 100, 100, 100, 100, 101}, "!had no new segment for more than 6s"},
		{"not watched for long", time.Second, []int{100, 100}, ""},
		{"went back", time.Second, []int{100, 101, 99, 100}, "!went back: from segments 101 to 105, to 99 to 103"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var looks []Look
			for i, edge := range c.edges {
				now := began.Add(time.Duration(i) * c.every)
				s := site{"/live/main.m3u8": media("s", edge, 5, now)}
				l := Looker{Path: "/live/main.m3u8", Upstreams: s}
				looks = append(looks, l.Look(t.Context(), "a:1", now, false))
			}
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			finds(t, judge(looks, Limits{}), want...)
		})
	}
	if Watch((&Look{Tracks: []Track{{Playlist: Playlist{Target: 2 * time.Second}}, {Playlist: Playlist{Target: 6 * time.Second}}}}).Target()) != 18*time.Second {
		t.Error("a stream is to be watched for three target durations")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(master))
	f.Add([]byte(media("s", 100, 5, began)))
	f.Add([]byte("#EXTM3U\n#EXT-X-KEY:METHOD=NONE\nx.ts\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"x\",BYTERANGE=\"8\"\n#EXTINF:2,\nx\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx?q=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\n//10.0.0.1:80/live/x?q=2\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		look := lookAt(t, site{"/live/main.m3u8": string(body), "/live/x": string(body)}, began)
		judge([]Look{look, look}, Limits{})
		Compare(&look, &look, Limits{})
	})
}
