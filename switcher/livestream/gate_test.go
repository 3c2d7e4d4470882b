package livestream

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/healthcheck/hls"
	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/internal/player"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// encoders are upstreams whose streams move on with a clock of the test.
type encoders struct {
	mu    sync.Mutex
	now   time.Time                // guarded by mu
	lag   map[string]time.Duration // of an address; guarded by mu
	names map[string]string        // of an address's segments; guarded by mu
	dead  map[string]bool          // guarded by mu
	asked int                      // playlists; guarded by mu
}

func newEncoders() *encoders {
	return &encoders{now: began, lag: map[string]time.Duration{}, names: map[string]string{}, dead: map[string]bool{}}
}

func (e *encoders) Get(_ context.Context, address, target string, _ http.Header, _ int64) (ask.Answer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead[address] {
		return ask.Answer{Status: 503}, nil
	}
	if strings.HasSuffix(target, ".ts") {
		return ask.Answer{Status: 206, Body: []byte(strings.Repeat("G"+strings.Repeat("x", 187), 5))}, nil
	}
	e.asked++
	// Of 2 s, 6 in the window: number 0 began at the epoch of the test.
	edge := int(e.now.Add(-e.lag[address]).Sub(began)/(2*time.Second)) + 100
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", edge-6)
	for i := edge - 6; i < edge; i++ {
		fmt.Fprintf(&b, "#EXTINF:2,\n%s%d.ts\n", e.names[address], i)
	}
	return ask.Answer{Status: 200, Body: []byte(b.String())}, nil
}

func (e *encoders) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func input(id string, now time.Time) switcher.GateInput {
	p := switcher.GateInput{Service: "app", ID: id, From: switcher.Blue, To: switcher.Green, Step: 1, Now: now}
	for _, a := range []string{"green1:80", "green2:80"} {
		p.Upstreams.Green = append(p.Upstreams.Green, switcher.UpstreamState{Upstream: switcher.Upstream{Address: a}, Healthy: true})
	}
	p.Upstreams.Blue = []switcher.UpstreamState{{Upstream: switcher.Upstream{Address: "blue1:80"}, Healthy: true}}
	return p
}

// untilTold asks the gate each 200 ms of the test's clock, as the Switcher does, until
// it no longer waits or the time is up.
func untilTold(t *testing.T, g *Gate, e *encoders, id string, most time.Duration) (switcher.Verdict, time.Duration) {
	t.Helper()
	from := e.now
	for {
		v := g.Check(t.Context(), input(id, e.now))
		took := e.now.Sub(from)
		if v.Decision != switcher.Wait || took >= most {
			return v, took
		}
		e.set(func() { e.now = e.now.Add(200 * time.Millisecond) })
	}
}

func TestAStreamIsWatchedForThreeTargetDurationsBeforeEachStep(t *testing.T) {
	e := newEncoders()
	g := &Gate{Paths: []string{"/live/main.m3u8"}, Upstreams: e}
	first := g.Check(t.Context(), input("one", e.now))
	switchertest.Says(t, first, switcher.Wait, "/live/main.m3u8 at green1:80 is watched for 6s, until 12:00:06")
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
	switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), switcher.Refuse, "/main.m3u8 at green2:80: /main.m3u8: segment 94 is /other94.ts, and /94.ts in the active one")
	switchertest.Says(t, g.Check(t.Context(), input("", e.now)), switcher.Refuse, "green2:80")
	g = &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e, Limits: hls.Limits{Unaligned: true}}
	v, _ := untilTold(t, g, e, "two", time.Minute)
	switchertest.Says(t, v, switcher.Pass, "; but /main.m3u8 at green2:80")
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
