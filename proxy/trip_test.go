package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// forwarderFunc is a Forwarder without a network.
type forwarderFunc func(w http.ResponseWriter, r *http.Request, x *Exchange) error

func (f forwarderFunc) Forward(w http.ResponseWriter, r *http.Request, x *Exchange) error {
	return f(w, r, x)
}

// newTestEdge is the service "app" on a stage with the given upstreams.
func newTestEdge(t testing.TB, config *Service, forward forwarderFunc, addresses ...string) (*edge, *switcher.Switcher) {
	t.Helper()
	sw, service := stage(t, addresses...)
	mustTB(t, config.prepare())
	rt := new(runtime)
	rt.metrics = newMetrics(rt)
	e := &edge{
		name: "app", config: config, service: service, runtime: rt, budget: new(budget), leak: rt.leak("app"), forwarder: forward,
		outcomes: sync.OnceValue(func() *outcomes { return rt.metrics.of("app") }),
	}
	return e, sw
}

// serve gives a request to the handler of e, and returns the status.
func (e *edge) serve(r *http.Request) (status int, w *httptest.ResponseRecorder, err error) {
	w = httptest.NewRecorder()
	err = (&Handler{edge: e}).ServeHTTP(w, r, nil)
	if refused, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		return refused.StatusCode, w, err
	}
	return w.Code, w, err
}

// failing answers each attempt with the error for its address, and is 200 where
// there is none. It notes whom it was sent to.
func failing(tried *[]string, fails map[string]*AttemptError) forwarderFunc {
	return func(w http.ResponseWriter, _ *http.Request, x *Exchange) error {
		*tried = append(*tried, x.Upstream)
		if failed := fails[x.Upstream]; failed != nil {
			return failed
		}
		x.Status = http.StatusOK
		w.WriteHeader(http.StatusOK)
		return nil
	}
}

func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	must(t, m.Write(&out))
	return out.GetCounter().GetValue()
}

var (
	errDial    = errors.New("connection refused")
	dialFailed = &AttemptError{Err: errDial, Stage: StageDial}
)

func TestWhatMayBeTriedAgainIs(t *testing.T) {
	body := func(method string) *http.Request { return httptest.NewRequest(method, "/", strings.NewReader("body")) }
	plain := func(method string) *http.Request { return httptest.NewRequest(method, "/", nil) }
	sent := &AttemptError{Err: errors.New("EOF"), Stage: StageSent}
	for _, c := range []struct {
		name   string
		r      *http.Request
		failed *AttemptError
		status int
		tries  int
	}{
		{"GET, no connection", plain("GET"), dialFailed, 200, 2},
		{"POST, no connection", body("POST"), dialFailed, 200, 2},
		{"POST, no connection, but a part of the body was read", body("POST"), &AttemptError{Err: errDial, Stage: StageDial, BodyRead: true}, 502, 1},
		{"GET, no connection in time", plain("GET"), &AttemptError{Err: errDial, Stage: StageDial, Timeout: true}, 200, 2},
		{"GET, no answer", plain("GET"), sent, 200, 2},
		{"HEAD, no answer", plain("HEAD"), sent, 200, 2},
		{"OPTIONS, no answer", plain("OPTIONS"), sent, 200, 2},
		{"GET with a body, no answer", body("GET"), sent, 200, 2},
		{"PUT, no answer", body("PUT"), sent, 200, 2},
		{"DELETE, no answer", plain("DELETE"), sent, 200, 2},
		{"POST, no answer", body("POST"), sent, 502, 1},
		{"POST without a body, no answer", plain("POST"), sent, 502, 1},
		{"GET, no answer in time", plain("GET"), &AttemptError{Err: errors.New("timeout"), Stage: StageSent, Timeout: true}, 504, 1},
		{"POST, no answer in time", body("POST"), &AttemptError{Err: errors.New("timeout"), Stage: StageSent, Timeout: true}, 504, 1},
	} {
		var tried []string
		first := true
		e, _ := newTestEdge(t, &Service{Balance: "round_robin"}, func(w http.ResponseWriter, r *http.Request, x *Exchange) error {
			fails := map[string]*AttemptError{}
			if first {
				fails[x.Upstream] = c.failed
			}
			first = false
			return failing(&tried, fails)(w, r, x)
		}, "a:1", "b:1", "c:1")
		status, _, _ := e.serve(c.r)
		equal(t, c.name+": status", status, c.status)
		equal(t, c.name+": attempts", len(tried), c.tries)
		if len(tried) == 2 && tried[0] == tried[1] {
			t.Errorf("%s: tried again at the same upstream", c.name)
		}
		equal(t, c.name+": retries counted", value(t, e.outcomes().retries), float64(c.tries-1))
		equal(t, c.name+": left in-flight", e.service.Inflight(switcher.Blue), 0)
	}
}

func TestARequestIsTriedNoMoreOftenThanAllowed(t *testing.T) {
	all := map[string]*AttemptError{"a:1": dialFailed, "b:1": dialFailed, "c:1": dialFailed, "d:1": dialFailed}
	number := func(n int) *int { return &n }
	for _, c := range []struct {
		name      string
		retry     *Retry
		upstreams []string
		tries     int
		retries   float64
	}{
		{"by default", nil, []string{"a:1", "b:1", "c:1", "d:1"}, 3, 2},
		{"with no retries", &Retry{Attempts: number(0)}, []string{"a:1", "b:1"}, 1, 0},
		{"with more retries than upstreams", &Retry{Attempts: number(10)}, []string{"a:1", "b:1"}, 2, 1},
		{"with one upstream", nil, []string{"a:1"}, 1, 0},
		{"with an empty budget", &Retry{BudgetPercent: number(0), BudgetMin: number(0)}, []string{"a:1", "b:1"}, 1, 0},
		{"with a budget of one", &Retry{BudgetPercent: number(100), BudgetMin: number(0)}, []string{"a:1", "b:1", "c:1"}, 2, 1},
	} {
		var tried []string
		e, _ := newTestEdge(t, &Service{Retry: c.retry}, failing(&tried, all), c.upstreams...)
		status, _, err := e.serve(httptest.NewRequest("GET", "/", nil))
		equal(t, c.name+": status", status, 502)
		if !errors.Is(err, errDial) {
			t.Errorf("%s: the error hides its cause: %v", c.name, err)
		}
		equal(t, c.name+": attempts", len(tried), c.tries)
		equal(t, c.name+": retries", value(t, e.outcomes().retries), c.retries)
		equal(t, c.name+": counted as not answered", value(t, e.outcomes().by[0][0]().requests), 1)
		equal(t, c.name+": left in-flight", e.service.Inflight(switcher.Blue)+int64(e.runtime.ledger.count()), 0)
	}
}

func TestARetryThatHasNowhereToGoCostsNoBudget(t *testing.T) {
	zero := 0
	one := 100
	var tried []string
	e, _ := newTestEdge(t, &Service{Retry: &Retry{BudgetMin: &zero, BudgetPercent: &one}}, failing(&tried, map[string]*AttemptError{"a:1": dialFailed}), "a:1")
	for range 10 {
		_, _, _ = e.serve(httptest.NewRequest("GET", "/", nil))
	}
	equal(t, "left in the budget", spendAll(e.budget, 0), 10)
}

func TestAnUpstreamThatRefusesConnectionsIsPassedOverUnlessItIsTheLast(t *testing.T) {
	var tried []string
	fails := map[string]*AttemptError{"a:1": dialFailed}
	e, _ := newTestEdge(t, &Service{Balance: "round_robin"}, failing(&tried, fails), "a:1", "b:1")
	for range 20 {
		status, _, _ := e.serve(httptest.NewRequest("GET", "/", nil))
		equal(t, "status", status, 200)
	}
	equal(t, "attempts at the one that refuses", strings.Count(strings.Join(tried, " "), "a:1"), 1)
	fails["b:1"] = dialFailed
	tried = nil
	for range 5 {
		status, _, _ := e.serve(httptest.NewRequest("GET", "/", nil))
		equal(t, "status when both refuse", status, 502)
	}
	if !strings.Contains(strings.Join(tried, " "), "a:1") {
		t.Error("the ejected one is not tried when no other is left")
	}
}

func TestConnectErrorsInARowMeansInARow(t *testing.T) {
	three := 3
	for name, c := range map[string]struct {
		between *AttemptError
		ejected bool
	}{
		"an answer between":              {nil, false},
		"a connection without an answer": {&AttemptError{Err: errors.New("EOF"), Stage: StageSent}, false},
		"a client that leaves":           {&AttemptError{Err: context.Canceled, Stage: StageCanceled}, true},
	} {
		outcomes := []*AttemptError{dialFailed, dialFailed, c.between, dialFailed}
		e, sw := newTestEdge(t, &Service{Retry: &Retry{EjectAfter: &three}}, func(_ http.ResponseWriter, _ *http.Request, x *Exchange) error {
			next := outcomes[0]
			outcomes = outcomes[1:]
			if next == nil {
				return nil
			}
			return next
		}, "a:1")
		for range 4 {
			_, _, _ = e.serve(httptest.NewRequest("POST", "/", strings.NewReader("x")))
		}
		v, err := sw.View(t.Context(), "app")
		must(t, err)
		equal(t, name+": ejected", !v.Blue.Upstreams[0].EjectedUntil.IsZero(), c.ejected)
	}
}

func TestAnExchangeThatEndedBeforeAResponseSaysWhy(t *testing.T) {
	canceled := func(cause error) *AttemptError { return &AttemptError{Err: cause, Stage: StageCanceled} }
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		cause  error
		status int
	}{
		{"the client went away", gone, context.Canceled, 499},
		{"cut by a drain", t.Context(), errEvicted, 503},
		{"cut at the end", t.Context(), errExit, 503},
		{"a body that broke off", t.Context(), errors.New("unexpected EOF"), 400},
		{"a body that is too large", t.Context(), caddyhttp.Error(http.StatusRequestEntityTooLarge, errors.New("too large")), 413},
	} {
		e, _ := newTestEdge(t, new(Service), failing(new([]string), map[string]*AttemptError{"a:1": canceled(c.cause)}), "a:1")
		status, w, _ := e.serve(httptest.NewRequestWithContext(c.ctx, "POST", "/", strings.NewReader("x")))
		equal(t, c.name, status, c.status)
		equal(t, c.name+": Retry-After", w.Header().Get("Retry-After") != "", c.status == 503)
	}
}

func TestAResponseThatIsCutIsCutForTheClientToo(t *testing.T) {
	e, _ := newTestEdge(t, new(Service), func(w http.ResponseWriter, _ *http.Request, x *Exchange) error {
		x.Status = 200
		return ErrAborted
	})
	defer func() {
		equal(t, "panic", recover(), any(http.ErrAbortHandler))
		equal(t, "left in-flight", e.service.Inflight(switcher.Blue), 0)
		equal(t, "counted", value(t, e.outcomes().by[0][2]().requests), 1)
	}()
	_, _, _ = e.serve(httptest.NewRequest("GET", "/", nil))
}

func TestATunnelCountsUntilItEnds(t *testing.T) {
	var finish func()
	e, _ := newTestEdge(t, new(Service), func(_ http.ResponseWriter, _ *http.Request, x *Exchange) error {
		finish = x.Detach()
		return nil
	})
	_, _, err := e.serve(httptest.NewRequest("GET", "/", nil))
	must(t, err)
	equal(t, "in-flight", e.service.Inflight(switcher.Blue), 1)
	equal(t, "in the ledger", e.runtime.ledger.count(), 1)
	finish()
	equal(t, "in-flight after", e.service.Inflight(switcher.Blue)+int64(e.runtime.ledger.count()), 0)
}

func TestTheColorHeaderIsOffByDefaultAndNamesNoColorThatDidNotAnswer(t *testing.T) {
	fails := map[string]*AttemptError{}
	e, _ := newTestEdge(t, new(Service), failing(new([]string), fails), "a:1")
	_, w, _ := e.serve(httptest.NewRequest("GET", "/", nil))
	equal(t, "header fields by default", len(w.Header()), 0)
	e.config.ColorHeader = "X-Color"
	_, w, _ = e.serve(httptest.NewRequest("GET", "/", nil))
	equal(t, "X-Color", w.Header().Get("X-Color"), "blue")
	fails["a:1"] = dialFailed
	_, w, _ = e.serve(httptest.NewRequest("GET", "/", nil))
	equal(t, "X-Color of a 502", w.Header().Get("X-Color"), "")
}

func TestARequestWaitsForTheFirstProbesAndNotLonger(t *testing.T) {
	e, sw := newTestEdge(t, new(Service), failing(new([]string), nil))
	fresh := switcher.Pools{Blue: []switcher.Upstream{{Address: "new:1"}}}
	endpoints, err := sw.SetPools(t.Context(), "app", fresh)
	must(t, err)
	answered := make(chan int)
	ask := func(ctx context.Context) {
		status, _, _ := e.serve(httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		answered <- status
	}
	go ask(t.Context())
	sw.SetHealth(endpoints[0], switcher.Health{Healthy: true, Known: true})
	equal(t, "healthy", receive(t, answered), 200)
	sw.SetHealth(endpoints[0], switcher.Health{Known: true, Reason: "it hangs"})
	go ask(t.Context())
	equal(t, "unhealthy", receive(t, answered), 503)

	_, err = sw.SetPools(t.Context(), "app", switcher.Pools{Blue: []switcher.Upstream{{Address: "newer:1"}}})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go ask(ctx)
	cancel()
	equal(t, "gone", receive(t, answered), 499)
	_, err = sw.SetPools(t.Context(), "app", switcher.Pools{})
	must(t, err)
	_, settled, _ := newTrip(e, httptest.NewRequest("GET", "/", nil)).choose()
	equal(t, "an empty pool is a settled fact", settled, true)
}
