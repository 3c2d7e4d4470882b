package livestream

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck/hls"
	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/internal/player"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestAStreamIsWatchedForThreeTargetDurationsBeforeEachStep(t *testing.T) {
	e := newEncoders()
	g := &Gate{Paths: []string{"/live/main.m3u8"}, Upstreams: e}
	first := g.Check(t.Context(), input("one", e.now))
	switchertest.Says(t, first, switcher.Wait, "/live/main.m3u8 at green1:80 is watched for 6s, since 12:00:00")
	v, took := untilTold(t, g, e, "one", time.Minute)
	switchertest.Says(t, v, switcher.Pass, "/live/main.m3u8 at 2 upstreams, 2 playlists, fresh for 6s")
	if took < 6*time.Second || took > 7*time.Second {
		t.Errorf("took %s", took)
	}
	if e.asked > 3*15+6 {
		t.Errorf("%d playlists were fetched in 6 s, from 3 upstreams", e.asked)
	}
	p := input("one", e.now)
	p.Step = 2
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Wait, "is watched")
}

func TestAStreamThatStandsStillIsWaitedForUntilItIsFreshAgain(t *testing.T) {
	e := newEncoders()
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	still := func() { e.lag["green2:80"] += 200 * time.Millisecond }
	var v switcher.Verdict
	for range 100 { // 20 s in which one of two encoders hangs
		v = g.Check(t.Context(), input("one", e.now))
		e.set(func() { e.now = e.now.Add(200 * time.Millisecond); still() })
	}
	switchertest.Says(t, v, switcher.Wait, "/main.m3u8 at green2:80: /main.m3u8: has had no new segment for", "target duration of 2s")
	e.set(func() { e.lag["blue1:80"] = e.lag["green2:80"] }) // so that it is not behind by its numbers
	v, took := untilTold(t, g, e, "one", time.Minute)
	switchertest.Says(t, v, switcher.Pass)
	if took < 5*time.Second {
		t.Errorf("it was fresh again after %s", took)
	}
}

func TestOtherNamesUnderTheSameNumbersAreRefusedAtOnce(t *testing.T) {
	e := newEncoders()
	e.names["green2:80"] = "other"
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), switcher.Refuse, "/main.m3u8 at green2:80: /main.m3u8: segment 99994 is /other99994.ts, and /99994.ts in the active one")
	switchertest.Says(t, g.Check(t.Context(), input("", e.now)), switcher.Refuse, "green2:80")
	g = &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e, Limits: hls.Limits{Unaligned: true}}
	v, _ := untilTold(t, g, e, "two", time.Minute)
	switchertest.Says(t, v, switcher.Pass, "; but /main.m3u8 at green2:80")
}

func TestWhatNoWaitingMakesGoodIsSaidFirst(t *testing.T) {
	e := newEncoders()
	e.names["green2:80"], e.dead["green1:80"] = "other", true
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), switcher.Refuse, "/main.m3u8 at green2:80: /main.m3u8: segment 99994", "(and 1 more)")
}

func TestAColorOnAirWithoutAStreamIsNoObstacle(t *testing.T) {
	e := newEncoders()
	e.dead["blue1:80"] = true
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	v, _ := untilTold(t, g, e, "one", time.Minute)
	switchertest.Says(t, v, switcher.Pass)
}

func TestAStreamThatIsNotThereYetIsWaitedFor(t *testing.T) {
	e := newEncoders()
	e.dead["green1:80"] = true
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	v, _ := untilTold(t, g, e, "one", 20*time.Second)
	switchertest.Says(t, v, switcher.Wait, "/main.m3u8 at green1:80: /main.m3u8: answered 503")
	e.set(func() { e.dead["green1:80"] = false })
	v, _ = untilTold(t, g, e, "one", time.Minute)
	switchertest.Says(t, v, switcher.Pass)
	p := input("one", e.now)
	p.Upstreams.Green = nil
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Wait, "green has no healthy upstream to watch")
}

// leaving are upstreams whose caller leaves while it asks them.
type leaving struct {
	*encoders
	leave func()
	at    string // what is asked for then: the end of a path
}

func (l leaving) Get(ctx context.Context, address, target string, h http.Header, most int64) (ask.Answer, error) {
	if strings.HasSuffix(target, l.at) {
		l.leave()
		return ask.Answer{}, ctx.Err()
	}
	return l.encoders.Get(ctx, address, target, h, most)
}

func TestWhatIsSeenWhileARoundIsCalledOffIsNotHeldAgainstAStream(t *testing.T) {
	for _, at := range []string{".m3u8", ".ts"} {
		e := newEncoders()
		g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
		callOff := func(id string) {
			t.Helper()
			ctx, leave := context.WithCancel(t.Context())
			g.Upstreams = leaving{e, leave, at}
			switchertest.Says(t, g.Check(ctx, input(id, e.now)), switcher.Wait, "called off")
			g.Upstreams = e
		}
		if at == ".m3u8" {
			callOff("") // a plan
			callOff("one")
		}
		switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), switcher.Wait, "is watched for 6s")
		for range 30 {
			e.set(func() { e.now = e.now.Add(200 * time.Millisecond) })
			if e.now.Sub(began) < 6*time.Second {
				switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), switcher.Wait, "is watched")
			}
		}
		e.set(func() { e.now = e.now.Add(time.Second) })
		callOff("one")
		switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), switcher.Pass, "fresh for 6s")
	}
}

func TestAPlanLooksOnce(t *testing.T) {
	e := newEncoders()
	g := &Gate{Paths: []string{"/main.m3u8", "/second.m3u8"}, Upstreams: e}
	switchertest.Says(t, g.Check(t.Context(), input("", e.now)), switcher.Pass, "/main.m3u8, /second.m3u8 at 2 upstreams, 4 playlists, looks well; a cutover watches for 6s")
	if e.asked != 6 {
		t.Errorf("%d playlists were fetched", e.asked)
	}
	e.dead["green2:80"] = true
	switchertest.Says(t, g.Check(t.Context(), input("", e.now)), switcher.Wait, "/main.m3u8 at green2:80", "(and 1 more)")
}

func TestWhatFFmpegMakesPassesAndTwoEncodersAreToldApart(t *testing.T) {
	stream := player.Stream{Format: player.HLSTS}
	dirs := player.Start(t, stream, stream, player.Stream{Format: player.HLSMP4})
	var at []string
	for _, dir := range dirs {
		s := httptest.NewServer(http.FileServer(http.Dir(dir)))
		t.Cleanup(s.Close)
		at = append(at, s.Listener.Addr().String())
	}
	u := new(ask.Upstreams)
	t.Cleanup(u.CloseIdle)
	pools := func(blue, green string) switcher.GateInput {
		p := switcher.GateInput{Service: "app", ID: blue + green, From: switcher.Blue, To: switcher.Green, Step: 1, Now: time.Now()}
		p.Upstreams.Blue = []switcher.UpstreamState{{Upstream: switcher.Upstream{Address: blue}, Healthy: true}}
		p.Upstreams.Green = []switcher.UpstreamState{{Upstream: switcher.Upstream{Address: green}, Healthy: true}}
		return p
	}
	g := &Gate{Paths: []string{"/" + stream.Index()}, Upstreams: u}
	// Two encoders that name their segments alike: Greenroom cannot tell, and
	// the numbers agree.
	deadline := time.After(time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	in := pools(at[0], at[1])
	for {
		in.Now = time.Now()
		v := g.Check(t.Context(), in)
		if v.Decision == switcher.Pass {
			t.Log(v.Reason)
			break
		}
		if v.Decision == switcher.Refuse {
			t.Fatal(v.Reason)
		}
		select {
		case <-deadline:
			t.Fatal(v.Reason)
		case <-tick.C:
		}
	}
	// Fragmented MP4 has other names under the same numbers.
	switchertest.Says(t, g.Check(t.Context(), pools(at[0], at[2])), switcher.Refuse, ".m4s, and /0_0.ts in the active one")
	planned := pools(at[2], at[2])
	planned.ID = ""
	switchertest.Says(t, g.Check(t.Context(), planned), switcher.Pass, "looks well")
}
