package hls

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatIsNamedByTheHostOfTheServiceIsItsOwn(t *testing.T) {
	for _, c := range []struct{ host, address, base string }{
		{"live.example", "10.0.0.1:80", "https://live.example/live/"},
		{"live.example", "10.0.0.1:80", "http://LIVE.example:80/live/"},
		{"live.example", "10.0.0.1:80", "//live.example/live/"},
		{"live.example:443", "10.0.0.1:80", "https://live.example/live/"},
		{"live.example:8443", "10.0.0.1:80", "https://live.example:8443/live/"},
		{"", "10.0.0.1:8080", "http://10.0.0.1:8080/live/"},
		{"", "[::1]:8080", "http://[::1]:8080/live/"},
		{"", "unix//run/app.sock", "http://localhost/live/"},
	} {
		t.Run(c.base, func(t *testing.T) {
			s := well(100, began)
			s["/live/main.m3u8"] = elsewhere(s["/live/main.m3u8"], c.base)
			s["/live/v/720.m3u8"] = elsewhere(s["/live/v/720.m3u8"], c.base+"v/")
			delete(s, "/live/v/b104.ts")
			l := Looker{Path: "/live/main.m3u8", Host: c.host, Upstreams: s}
			look := l.Look(t.Context(), c.address, began, true)
			finds(t, judge([]Look{look}, Limits{}), "!/live/v/720.m3u8: its last segment /live/v/b104.ts cannot be fetched")
			now := lookAt(t, well(100, began), began)
			finds(t, Compare(&look, &now, Limits{}))
		})
	}
}

func TestAStreamOfWhichNothingIsLookedAtIsNotWell(t *testing.T) {
	for _, base := range []string{"https://cdn.example/live/", "https://live.example:8443/live/", "https://me@live.example/live/", "ftp://live.example/live/", "https://live.example.evil.example/live/"} {
		s := well(100, began)
		s["/live/main.m3u8"] = elsewhere(s["/live/main.m3u8"], base)
		l := Looker{Path: "/live/main.m3u8", Host: "live.example", Upstreams: s}
		look := l.Look(t.Context(), "10.0.0.1:80", began, true)
		if look.Err != "" {
			t.Errorf("%s: %s", base, look.Err)
		}
		finds(t, judge([]Look{look}, Limits{}), "!names only playlists on other servers, which are not looked at, as "+strings.ReplaceAll(base, "me@", "")+
			"v/360.m3u8: if that is the name of this service, say so with host")
		finds(t, Compare(&look, &look, Limits{}))
	}
}

func TestAPathThatBeginsLikeAHostStaysAPath(t *testing.T) {
	const base = "//evil.example/v/"
	s := site{
		"/live/main.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://10.0.0.1:80" + base + "720.m3u8\n",
		base + "720.m3u8": media("b", 100, 5, began),
		base + "b100.ts":  ts,
	}
	finds(t, judge([]Look{lookAt(t, s, began)}, Limits{}), "!its last segment //evil.example/v/b104.ts cannot be fetched")
}

// rungs is a stream whose variants have one path and other queries.
func rungs(now time.Time, queries ...string) site {
	s := site{"/live/main.m3u8": "#EXTM3U\n"}
	for i, q := range queries {
		s["/live/main.m3u8"] += fmt.Sprintf("#EXT-X-STREAM-INF:BANDWIDTH=%d\np.m3u8?%s\n", i+1, q)
		name := "s" + strings.NewReplacer("=", "", "&", "").Replace(q[:min(len(q), 6)])
		s["/live/p.m3u8?"+q] = media(name, 100, 5, now)
		s["/live/"+name+"100.ts"], s["/live/"+name+"104.ts"] = ts, ts
	}
	return s
}

func TestTracksOfOnePathAreToldApartByTheirQueries(t *testing.T) {
	token := func(n int) string { return fmt.Sprintf("&token=%032d", n) }
	for _, c := range []struct {
		name      string
		next, now []string // queries
		tracks    string   // of next
		want      []string
	}{
		{"by a parameter", []string{"q=1080", "q=0720"}, []string{"q=1080", "q=0720"}, "p.m3u8?q=1080 p.m3u8?q=0720", nil},
		{"in another order", []string{"q=0720", "q=1080"}, []string{"q=1080", "q=0720"}, "p.m3u8?q=0720 p.m3u8?q=1080", nil},
		{"beside tokens", []string{"q=1080" + token(1), "q=0720" + token(2)}, []string{"q=1080" + token(3), "q=0720" + token(4)}, "p.m3u8?q=1080 p.m3u8?q=0720", nil},
		{"beside what all have", []string{"q=1080&a=1", "q=0720&a=1"}, []string{"q=1080&a=2", "q=0720&a=2"}, "p.m3u8?q=1080 p.m3u8?q=0720", nil},
		{"by their place", []string{"a=1&b=" + token(1), "a=1&b=" + token(2)}, []string{"a=1&b=" + token(3), "a=1&b=" + token(4)}, "p.m3u8#1 p.m3u8#2", nil},
		{"twice the same", []string{"q=1080", "q=0720", "q=1080"}, []string{"q=1080", "q=0720"}, "p.m3u8?q=1080 p.m3u8?q=0720", nil},
		{"by what is no parameter", []string{"a;1", "a;2"}, []string{"a;1", "a;2"}, "p.m3u8#1 p.m3u8#2", nil},
		{"alone with its path", []string{"token=1"}, []string{"token=2"}, "p.m3u8", nil},
		{"a rung that is gone", []string{"q=1080", "q=0720"}, []string{"q=1080", "q=0720", "q=0360"}, "p.m3u8?q=1080 p.m3u8?q=0720",
			[]string{"!it has no variant /live/p.m3u8?q=0360"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, now := lookAt(t, rungs(began, c.next...), began), lookAt(t, rungs(began, c.now...), began)
			var tracks []string
			for i := range next.Tracks {
				tracks = append(tracks, strings.TrimPrefix(next.Tracks[i].URI, "/live/"))
			}
			if got := strings.Join(tracks, " "); got != c.tracks {
				t.Errorf("got %s, want %s", got, c.tracks)
			}
			finds(t, judge([]Look{next}, Limits{}))
			finds(t, Compare(&next, &now, Limits{}), c.want...)
		})
	}
}

func TestEachTrackOfOnePathIsJudged(t *testing.T) {
	var looks []Look
	for i := range 9 {
		now := began.Add(time.Duration(i) * time.Second)
		s := rungs(now, "q=1080", fmt.Sprintf("q=0720&token=%032d", i))
		s["/live/p.m3u8?q=1080"] = media("sq1080", 100+i/2, 5, now)
		l := Looker{Path: "/live/main.m3u8", Upstreams: s}
		looks = append(looks, l.Look(t.Context(), "10.0.0.1:80", now, false))
	}
	finds(t, judge(looks, Limits{}), "!/live/p.m3u8?q=0720: has had no new segment for")
}
