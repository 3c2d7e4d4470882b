package livestream

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

// public are encoders whose multivariant playlist names the only variant by a URL.
type public struct{ *encoders }

func (p public) Get(ctx context.Context, address, target string, header http.Header, limit int64) (ask.Answer, error) {
	if target == "/main.m3u8" {
		return ask.Answer{Status: 200, Body: []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://live.example/720.m3u8\n")}, nil
	}
	return p.encoders.Get(ctx, address, target, header, limit)
}

func TestAStreamNamedByTheHostOfTheServiceIsWatchedAndAnotherIsNoStream(t *testing.T) {
	e := newEncoders()
	g := &Gate{Paths: []string{"/main.m3u8"}, Host: "live.example", Upstreams: public{e}}
	v, took := untilTold(t, g, e, "one", time.Minute)
	switchertest.Says(t, v, switcher.Pass)
	if took < 6*time.Second {
		t.Errorf("it was watched for %s", took)
	}
	e = newEncoders()
	g = &Gate{Paths: []string{"/main.m3u8"}, Upstreams: public{e}}
	v, _ = untilTold(t, g, e, "one", 20*time.Second)
	switchertest.Says(t, v, switcher.Wait, "/main.m3u8 at green1:80: names only playlists on other servers, which are not looked at, as https://live.example/720.m3u8", "host")
	if e.asked != 0 {
		t.Errorf("%d playlists were asked for", e.asked)
	}
}

func TestAColorWhoseNumbersGoBackGetsNoViewers(t *testing.T) {
	e := newEncoders()
	e.lag["green1:80"] = 20 * time.Second // nothing says that it is not only late
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	v, _ := untilTold(t, g, e, "one", 20*time.Second)
	switchertest.Says(t, v, switcher.Wait, "/main.m3u8 at green1:80: /main.m3u8: has only segments whose numbers the active one has left behind", "let both packagers number by the same clock")

	g = &Gate{Paths: []string{"/main.m3u8"}, Upstreams: dated{e}}
	switchertest.Says(t, g.Check(t.Context(), input("two", e.now)), switcher.Refuse, "/main.m3u8 at green1:80: /main.m3u8: has segments ", "let both packagers number by the same clock")
}

// dated are encoders whose windows all end now, however they are numbered.
type dated struct{ *encoders }

func (d dated) Get(ctx context.Context, address, target string, header http.Header, limit int64) (ask.Answer, error) {
	a, err := d.encoders.Get(ctx, address, target, header, limit)
	at := "#EXT-X-PROGRAM-DATE-TIME:" + d.now.Add(-12*time.Second).Format(time.RFC3339) + "\n#EXTINF"
	a.Body = []byte(strings.Replace(string(a.Body), "#EXTINF", at, 1))
	return a, err
}
