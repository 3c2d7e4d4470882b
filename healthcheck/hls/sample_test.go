package hls

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/ask"
)

// asked counts what a site is asked for.
type asked struct {
	site
	times map[string]int
}

func (a asked) Get(ctx context.Context, address, target string, header http.Header, limit int64) (ask.Answer, error) {
	a.times[strings.TrimSpace(target+" "+header.Get("Range"))]++
	return a.site.Get(ctx, address, target, header, limit)
}

const (
	initial  = "\x00\x00\x00\x18ftypiso6"
	fragment = "\x00\x00\x00\x18moof"
)

// mp4 is a stream of fragmented MP4 whose tracks share what they begin with.
func mp4(tag string) asked {
	s := well(100, began)
	for name, body := range s {
		switch {
		case strings.HasSuffix(name, ".ts"):
			s[name] = fragment
		case !strings.HasSuffix(name, "main.m3u8"):
			s[name] = strings.Replace(body, "#EXTINF", tag+"\n#EXTINF", 1)
		}
	}
	s["/live/init.mp4"] = initial
	return asked{s, map[string]int{}}
}

func (a asked) look(t *testing.T) []Finding {
	t.Helper()
	l := Looker{Path: "/live/main.m3u8", Upstreams: a}
	return judge([]Look{l.Look(t.Context(), "10.0.0.1:80", began, true)}, Limits{})
}

func TestWhatSegmentsBeginWithMustBeThere(t *testing.T) {
	const (
		tag  = `#EXT-X-MAP:URI="/live/init.mp4"`
		gone = "its initialization segment /live/init.mp4 cannot be fetched: answered 404: players cannot begin"
		page = "its initialization segment /live/init.mp4 is no media"
	)
	for _, c := range []struct {
		name  string
		tag   string
		spoil func(site)
		want  []string
	}{
		{"there", tag, nil, nil},
		{"gone", tag, func(s site) { delete(s, "/live/init.mp4") }, []string{"!" + gone, "!" + gone, "!" + gone}},
		{"a page", tag, func(s site) { s["/live/init.mp4"] = "<html></html>" }, []string{"!" + page, "!" + page, "!" + page}},
		{"a fragment", tag, func(s site) { s["/live/init.mp4"] = fragment }, []string{"!" + page, "!" + page, "!" + page}},
		{"whole", tag, func(s site) { s["/live/init.mp4"] = "whole:" + initial }, nil},
		{"tables of a transport stream", tag, func(s site) { s["/live/init.mp4"] = ts }, nil},
		{"a range", tag + `,BYTERANGE="12@100"`, func(s site) { s["/live/init.mp4"] = strings.Repeat("x", 100) + initial }, nil},
		{"a range from the beginning", tag + `,BYTERANGE="12"`, nil, nil},
		{"a range that is something else", tag + `,BYTERANGE="12@100"`, func(s site) { s["/live/init.mp4"] = initial + strings.Repeat("x", 200) }, []string{"!" + page, "!" + page, "!" + page}},
		{"encrypted", `#EXT-X-KEY:METHOD=AES-128,URI="k"` + "\n" + tag, func(s site) { s["/live/init.mp4"] = "cipher" }, nil},
		{"elsewhere", `#EXT-X-MAP:URI="https://cdn.example/init.mp4"`, func(s site) { delete(s, "/live/init.mp4"); delete(s, "/init.mp4") }, nil},
		{"without a URI", "#EXT-X-MAP:", nil, []string{"!an EXT-X-MAP has no URI", "!an EXT-X-MAP has no URI", "!an EXT-X-MAP has no URI"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := mp4(c.tag)
			if c.spoil != nil {
				c.spoil(a.site)
			}
			finds(t, a.look(t), c.want...)
		})
	}
}

func TestEachInitializationSegmentIsFetchedOnceALookAndNotTooManyOfATrack(t *testing.T) {
	a := mp4(`#EXT-X-MAP:URI="/live/init.mp4"`)
	finds(t, a.look(t))
	if n := a.times["/live/init.mp4 bytes=0-1023"]; n != 1 {
		t.Errorf("it was fetched %d times: %v", n, a.times)
	}
	a = mp4("")
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-TARGETDURATION:2\n")
	for i := range 9 {
		fmt.Fprintf(&b, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init%d.mp4\"\n#EXTINF:2,\nb%d.ts\n", i, i)
		a.site[fmt.Sprintf("/live/v/b%d.ts", i)] = fragment
	}
	a.site["/live/v/720.m3u8"] = b.String()
	finds(t, a.look(t), "!init8.mp4 cannot", "!init7.mp4 cannot", "!init6.mp4 cannot", "!init5.mp4 cannot")
}
