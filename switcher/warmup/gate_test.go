package warmup

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cold is upstreams that answer as a test says.
type cold struct {
	mu     sync.Mutex
	asked  map[string]int                                  // guarded by mu
	answer func(address string, n int) (ask.Answer, error) // guarded by mu
}

func (c *cold) Get(_ context.Context, address, target string, _ http.Header, _ int64) (ask.Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = make(map[string]int)
	}
	c.asked[address]++
	if c.answer == nil {
		return ask.Answer{Status: 200}, nil
	}
	return c.answer(address, c.asked[address])
}

func (c *cold) requests() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.asked {
		n += k
	}
	return n
}

var began = time.Unix(1e9, 0)

func input(id string, addresses ...string) switcher.GateInput {
	p := switcher.GateInput{Service: "app", ID: id, From: switcher.Blue, To: switcher.Green}
	for _, a := range addresses {
		p.Upstreams.Green = append(p.Upstreams.Green, switcher.UpstreamState{Upstream: switcher.Upstream{Address: a}, Healthy: true, Since: began})
	}
	p.Upstreams.Blue = append(p.Upstreams.Blue, switcher.UpstreamState{Upstream: switcher.Upstream{Address: "blue:1"}, Healthy: true})
	return p
}

func TestEachUpstreamOfTheTargetIsWarmedOnce(t *testing.T) {
	c := new(cold)
	g := &Gate{Path: "/warm", Requests: 5, Upstreams: c}
	for range 3 { // each step asks
		switchertest.Says(t, g.Check(t.Context(), input("one", "a:1", "b:1")), switcher.Pass, "2 upstreams answered 5 × GET /warm")
	}
	if c.asked["a:1"] != 5 || c.asked["b:1"] != 5 || len(c.asked) != 2 {
		t.Errorf("asked %v", c.asked)
	}
	switchertest.Says(t, g.Check(t.Context(), input("two", "a:1", "b:1")), switcher.Pass)
	if c.asked["a:1"] != 10 {
		t.Errorf("in the next move asked %v", c.asked)
	}
}

func TestAPlanSendsNothing(t *testing.T) {
	c := new(cold)
	g := &Gate{Path: "/warm", Upstreams: c}
	switchertest.Says(t, g.Check(t.Context(), input("", "a:1")), switcher.Pass, "begins with 10 × GET /warm to each of 1 upstreams", "a plan sends none")
	if c.requests() != 0 {
		t.Errorf("asked %v", c.asked)
	}
}

func TestAnUpstreamThatJoinsOrRestartsIsWarmed(t *testing.T) {
	c := new(cold)
	g := &Gate{Path: "/", Requests: 3, Upstreams: c}
	switchertest.Says(t, g.Check(t.Context(), input("one", "a:1", "b:1")), switcher.Pass)
	p := input("one", "a:1", "b:1", "new:1")
	p.Upstreams.Green[1].Since = began.Add(time.Minute)
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Pass)
	if c.asked["a:1"] != 3 || c.asked["b:1"] != 6 || c.asked["new:1"] != 3 {
		t.Errorf("asked %v", c.asked)
	}
}

func TestABadAnswerIsNamedAndBeginsTheRowAnew(t *testing.T) {
	c := &cold{answer: func(address string, n int) (ask.Answer, error) {
		switch {
		case address == "b:1" && n == 3:
			return ask.Answer{Status: 503}, nil
		case address == "b:1" && n == 4:
			return ask.Answer{}, errors.New("connection refused")
		}
		return ask.Answer{Status: 204}, nil
	}}
	g := &Gate{Path: "/warm", Requests: 5, Upstreams: c}
	p := input("one", "a:1", "b:1")
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Wait, "1 of 2 upstreams are not warm: b:1 GET /warm answered 503", "want 5")
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Wait, "b:1 GET /warm: connection refused")
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Pass)
	if c.asked["a:1"] != 5 || c.asked["b:1"] != 9 {
		t.Errorf("asked %v", c.asked)
	}
}

func TestAnswersThatTakeTooLongDoNotCount(t *testing.T) {
	c := &cold{answer: func(address string, n int) (ask.Answer, error) {
		a := ask.Answer{Status: 200, Took: time.Millisecond}
		if address == "slow:1" || n < 4 {
			a.Took = time.Second
		}
		return a, nil
	}}
	g := &Gate{Path: "/warm", Requests: 5, Within: 100 * time.Millisecond, Upstreams: c}
	switchertest.Says(t, g.Check(t.Context(), input("one", "a:1")), switcher.Pass)
	if c.asked["a:1"] != 8 {
		t.Errorf("asked %v: three slow answers and five in time", c.asked)
	}
	switchertest.Says(t, g.Check(t.Context(), input("two", "slow:1")), switcher.Wait, "slow:1 GET /warm took longer than 100ms")
	if c.asked["slow:1"] != 10 {
		t.Errorf("asked %v: two rows in one round", c.asked)
	}
}

func TestARoundThatEndsGoesOnInTheNext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := new(cold)
	c.answer = func(_ string, n int) (ask.Answer, error) {
		if n == 4 {
			cancel()
			return ask.Answer{}, errors.New("no answer in time")
		}
		return ask.Answer{Status: 200}, nil
	}
	g := &Gate{Path: "/warm", Requests: 5, Upstreams: c}
	switchertest.Says(t, g.Check(ctx, input("one", "a:1")), switcher.Wait, "a:1 has answered 3 of 5 × GET /warm so far")
	switchertest.Says(t, g.Check(t.Context(), input("one", "a:1")), switcher.Pass)
	if c.asked["a:1"] != 6 {
		t.Errorf("asked %v", c.asked)
	}
}

func TestNothingHealthyIsWaitedForAndTheUnhealthyIsNotWarmed(t *testing.T) {
	c := new(cold)
	g := &Gate{Path: "/warm", Upstreams: c}
	p := input("one", "a:1")
	p.Upstreams.Green[0].Healthy = false
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Wait, "green has no healthy upstream")
	if c.requests() != 0 {
		t.Errorf("asked %v", c.asked)
	}
}

func TestManyUpstreamsAreWarmedOverRealConnections(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	var addresses []string
	for range 20 {
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			got[r.Host+r.URL.Path]++
		}))
		t.Cleanup(s.Close)
		addresses = append(addresses, s.Listener.Addr().String())
	}
	u := new(ask.Upstreams)
	t.Cleanup(u.CloseIdle)
	g := &Gate{Path: "/warm", Requests: 20, Upstreams: u}
	switchertest.Says(t, g.Check(t.Context(), input("one", addresses...)), switcher.Pass, "20 upstreams answered 20")
	for _, a := range addresses {
		if got[a+"/warm"] != 20 {
			t.Errorf("%s was asked %d times", a, got[a+"/warm"])
		}
	}
}
