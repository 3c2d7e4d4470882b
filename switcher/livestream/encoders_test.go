package livestream

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// encoders are upstreams whose streams move on with a clock of the test.
type encoders struct {
	mu      sync.Mutex
	now     time.Time                // guarded by mu
	lag     map[string]time.Duration // of an address; guarded by mu
	names   map[string]string        // of an address's segments; guarded by mu
	dead    map[string]bool          // guarded by mu
	silent  map[string]bool          // addresses that never answer; guarded by mu
	files   map[string]string        // what there is instead of a stream, by address and target; guarded by mu
	status  map[string]int           // other than 200, by address and target; guarded by mu
	stopped map[string]time.Time     // since when there is nothing new, by address and target; guarded by mu
	asked   int                      // playlists; guarded by mu
	window  int                      // segments in a playlist
}

func newEncoders() *encoders {
	return &encoders{
		now: began, window: 6, lag: map[string]time.Duration{}, names: map[string]string{}, dead: map[string]bool{},
		silent: map[string]bool{}, files: map[string]string{}, status: map[string]int{}, stopped: map[string]time.Time{},
	}
}

func (e *encoders) Get(ctx context.Context, address, target string, _ http.Header, _ int64) (ask.Answer, error) {
	e.mu.Lock()
	silent := e.silent[address]
	e.mu.Unlock()
	if silent {
		<-ctx.Done()
		return ask.Answer{}, fmt.Errorf("no answer in time")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead[address] {
		return ask.Answer{Status: 503}, nil
	}
	if strings.HasSuffix(target, ".ts") {
		return ask.Answer{Status: 206, Body: []byte(strings.Repeat("G"+strings.Repeat("x", 187), 5))}, nil
	}
	e.asked++
	if status := e.status[address+target]; status != 0 {
		return ask.Answer{Status: status}, nil
	}
	if file, ok := e.files[address+target]; ok {
		return ask.Answer{Status: 200, Body: []byte(file)}, nil
	}
	return ask.Answer{Status: 200, Body: []byte(e.playlist(address, target))}, nil
}

// playlist is of segments of 2 s. Number 100000 begins at the epoch of the test.
func (e *encoders) playlist(address, target string) string {
	now := e.now
	if stopped, ok := e.stopped[address+target]; ok {
		now = stopped
	}
	edge := int(now.Add(-e.lag[address]).Sub(began)/(2*time.Second)) + 100_000
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", edge-e.window)
	for i := edge - e.window; i < edge; i++ {
		fmt.Fprintf(&b, "#EXTINF:2,\n%s%d.ts\n", e.names[address], i)
	}
	return b.String()
}

func (e *encoders) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *encoders) pass(d time.Duration) { e.set(func() { e.now = e.now.Add(d) }) }

// ladder has all upstreams serve two variants, a.m3u8 and b.m3u8.
func (e *encoders) ladder(p switcher.GateInput) {
	for _, u := range append(p.Upstreams.Green, p.Upstreams.Blue...) {
		e.files[u.Address+"/main.m3u8"] = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb.m3u8\n"
	}
}

func healthy(addresses ...string) (list []switcher.UpstreamState) {
	for _, a := range addresses {
		list = append(list, switcher.UpstreamState{Upstream: switcher.Upstream{Address: a}, Healthy: true})
	}
	return list
}

func input(id string, now time.Time) switcher.GateInput {
	p := switcher.GateInput{Service: "app", ID: id, From: switcher.Blue, To: switcher.Green, Step: 1, Now: now}
	p.Upstreams.Green, p.Upstreams.Blue = healthy("green1:80", "green2:80"), healthy("blue1:80")
	return p
}

// untilTold asks the gate each 200 ms of the test's clock, as the Switcher does, until
// it no longer waits or the time is up.
func untilTold(t *testing.T, g *Gate, e *encoders, id string, most time.Duration) (switcher.Verdict, time.Duration) {
	t.Helper()
	v, took, _ := untilToldOf(t, g, e, input(id, e.now), most)
	return v, took
}

// untilToldOf is untilTold of any input. It returns the reasons for waiting, too: a
// new one is an event.
func untilToldOf(t *testing.T, g *Gate, e *encoders, p switcher.GateInput, most time.Duration) (switcher.Verdict, time.Duration, []string) {
	t.Helper()
	from := e.now
	var reasons []string
	for {
		p.Now = e.now
		v := g.Check(t.Context(), p)
		took := e.now.Sub(from)
		if v.Decision == switcher.Wait && (len(reasons) == 0 || reasons[len(reasons)-1] != v.Reason) {
			reasons = append(reasons, v.Reason)
		}
		if v.Decision != switcher.Wait || took >= most {
			return v, took, reasons
		}
		e.pass(200 * time.Millisecond)
	}
}
