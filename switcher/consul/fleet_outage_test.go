package consul

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// isolated is three edges of which the first can be cut off.
func isolated(t *testing.T) (*stage, []*edge, *consultest.Proxy) {
	t.Helper()
	server := consultest.Shared(t)
	s := newStage(t, server)
	proxy, address := proxied(t, server)
	edges := []*edge{s.edge(address, "edge-1"), s.edge(server.Address, "edge-2"), s.edge(server.Address, "edge-3")}
	s.agrees(blue, 1, edges...)
	return s, edges, proxy
}

// cut waits until the edge knows that it is cut off.
func (e *edge) cut(p *consultest.Proxy) {
	e.Helper()
	p.Cut()
	e.until(e.name+" to notice", func() bool { return e.fleet.Stats().Error != "" })
}

func (e *edge) local(r Result) EdgeStatus {
	e.Helper()
	var got EdgeStatus
	e.until(e.name+" to say "+string(r)+" of itself", func() bool { got, _ = e.fleet.Local("app"); return got.Result == r })
	return got
}

func TestARollbackWithoutConsulIsPublishedWhenItIsBack(t *testing.T) {
	t.Parallel()
	s, edges, proxy := isolated(t)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	edges[0].cut(proxy)
	edges[0].rollback()
	if edges[0].active() != blue {
		t.Error("the rollback needed Consul")
	}
	wantWords(t, edges[0].local(Unpublished).Reason, "moved to blue", "epoch 2")
	if st := s.shared(); st.Epoch != 2 {
		t.Errorf("state %s", st)
	}
	proxy.Resume()
	s.agrees(blue, 3, edges...)
	if st := s.shared(); st.Kind != SharedRollback || st.Edge != "edge-1" || st.Reason != "errors rise" {
		t.Errorf("state %+v", st)
	}
}

func TestAMoveWithoutConsulOutlivesARestart(t *testing.T) {
	t.Parallel()
	s, edges, proxy := isolated(t)
	edges[0].cut(proxy)
	edges[0].cutover(green)
	edges[0].local(Unpublished)
	edges[0].stop()
	edges[0].start()
	edges[0].local(Unpublished)
	edges[0].serves(green)
	proxy.Resume()
	s.agrees(green, 2, edges...)
}

// diverge has the fleet go to green and back while the first edge, cut off, goes
// to green by itself.
func diverged(t *testing.T) (*stage, []*edge, *consultest.Proxy) {
	t.Helper()
	s, edges, proxy := isolated(t)
	edges[0].cut(proxy)
	edges[0].cutover(green)
	edges[0].local(Unpublished)
	s.trigger("green")
	s.agrees(green, 2, edges[1:]...)
	s.trigger("blue")
	s.agrees(blue, 3, edges[1:]...)
	proxy.Resume()
	wantWords(t, edges[0].stands(Diverged).Reason, "this edge is on green", "the fleet on blue", "epoch 3")
	return s, edges, proxy
}

func TestAnEdgeThatMovedMeanwhileStaysAndSaysThatItDiverged(t *testing.T) {
	t.Parallel()
	s, edges, _ := diverged(t)
	if edges[0].active() != green {
		t.Error("it moved by itself")
	}
	edges[0].stop() // and it knows that still after a restart
	edges[0].start()
	edges[0].local(Diverged)
	edges[0].serves(green)
	edges[0].rollback() // an operator's word
	s.agrees(blue, 3, edges...)
	edges[0].cutover(green)
	s.agrees(green, 4, edges...)
}

func TestATriggerEndsADivergence(t *testing.T) {
	t.Parallel()
	s, edges, _ := diverged(t)
	s.trigger("green for all")
	s.until("agreement", func() bool {
		for _, e := range edges {
			if st := s.shared(); e.active() != green || st.Active != green || e.epoch() != st.Epoch {
				return false
			}
		}
		return true
	})
}

func TestATriggerEndsADivergenceAlsoWhereNobodyElseIs(t *testing.T) {
	t.Parallel()
	s, edges, _ := diverged(t)
	edges[1].stop()
	edges[2].stop()
	s.trigger("green for all")
	s.agrees(green, 4, edges[0])
	edges[1].start()
	s.agrees(green, 4, edges[:2]...)
}

func TestANewerEpochEndsADivergence(t *testing.T) {
	t.Parallel()
	s, edges, proxy := diverged(t)
	edges[0].cut(proxy)
	edges[1].cutover(green)
	s.agrees(green, 4, edges[1:]...)
	edges[1].cutover(blue)
	s.agrees(blue, 5, edges[1:]...)
	proxy.Resume()
	s.agrees(blue, 5, edges...)
}

func TestARestartOfConsulChangesNothing(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t, consultest.Options{Persistent: true})
	s := newStage(t, server)
	edges := []*edge{s.edge(server.Address, "edge-1"), s.edge(server.Address, "edge-2")}
	s.agrees(blue, 1, edges...)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	server.Kill(t)
	edges[0].until("the edge to notice", func() bool { return edges[0].fleet.Stats().Error != "" })
	edges[0].rollback()
	edges[0].local(Unpublished)
	began := time.Now()
	server.Restart(t)
	up := time.Now()
	s.agrees(blue, 3, edges...)
	t.Logf("agreed %s after Consul was up, %s after it was started", time.Since(up), time.Since(began))
	if moves := second2(edges[1].History(t.Context(), "app")); len(moves) != 2 {
		t.Errorf("moves %+v", moves)
	}
}

func TestAWipedConsulMovesNothingAndIsRestored(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t, consultest.Options{})
	s := newStage(t, server)
	edges := []*edge{s.edge(server.Address, "edge-1"), s.edge(server.Address, "edge-2")}
	s.agrees(blue, 1, edges...)
	for range 100 { // so that indexes are above what the wiped one begins with
		s.put("elsewhere", time.Now().String())
	}
	s.trigger("green")
	s.agrees(green, 2, edges...)
	last := s.trigger("blue")
	s.agrees(blue, 3, edges...)
	server.Restart(t) // in memory: it comes back empty
	s.agrees(blue, 3, edges...)
	index := s.trigger("green")
	if index >= last {
		t.Fatalf("the wiped Consul is at %d, not below %d", index, last)
	}
	for _, e := range edges {
		wantWords(t, e.reports(index, Stale).Reason, "wiped or restored")
		if e.active() != blue {
			t.Error("a value of a wiped Consul moved it")
		}
	}
	s.trigger("green and now really")
	s.agrees(green, 4, edges...)
}

func TestAStateThatIsDeletedOrGoesBackInTimeIsRestored(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	s.must(second(s.kv.Delete(s.key("app", stateLeaf), nil)))
	s.agrees(green, 2, edges...)
	old := SharedState{Format: 1, Epoch: 1, Active: blue, Kind: SharedInitial, Edge: "edge-9", At: time.Now()}
	s.put(s.key("app", stateLeaf), string(old.encode()))
	s.agrees(green, 3, edges...)
	noticed := func(r Result) (n int) {
		for _, e := range edges {
			n += e.notices.count(r)
		}
		return n
	}
	if gone, stale := noticed(Deleted), noticed(Stale); gone == 0 || gone > 3 || stale == 0 || stale > 3 {
		t.Errorf("the deletion was noticed %d times, the old state %d times", gone, stale)
	}
	for _, e := range edges {
		if moves := second2(e.History(t.Context(), "app")); len(moves) != 1 {
			t.Errorf("%s moved: %+v", e.name, moves)
		}
	}
}

// TestAnACLThatNarrowsChangesNothing takes an edge's permissions away one by one.
func TestAnACLThatNarrowsChangesNothing(t *testing.T) {
	server := consultest.Start(t, consultest.Options{ACL: true})
	s := newStage(t, server)
	all := `key_prefix "` + s.prefix + `/" { policy = "write" }`
	server.Policy(t, "edge", all)
	t.Setenv("FLEET_TOKEN", server.NewToken(t, "edge"))
	e := s.edge(server.Address, "edge-1", func(e *edge) { e.tokenEnv = "FLEET_TOKEN" })
	s.agrees(blue, 1, e)
	for _, rules := range []string{
		`key_prefix "other" { policy = "write" }`,
		`key "` + s.key("app", statusLeaf+"/edge-1") + `" { policy = "write" }`,
		`key_prefix "` + s.prefix + `/" { policy = "read" } key "` + s.key("app", stateLeaf) + `" { policy = "deny" }`,
		`key_prefix "` + s.prefix + `/" { policy = "read" }`,
	} {
		server.Policy(t, "edge", rules)
		moved := e.active().Other()
		e.cutover(moved)
		e.local(Unpublished)
		e.serves(moved)
		server.Policy(t, "edge", all)
		st := s.shared()
		s.agrees(moved, st.Epoch+1, e)
		if n := e.notices.count(Deleted); n != 0 {
			t.Errorf("with %s: what may not be read counts as deleted %d times", rules, n)
		}
		if text := e.fleet.Stats().WriteError; text != "" {
			t.Errorf("after recovery: %s", text)
		}
	}
}

// TestNonsenseInsteadOfConsulChangesNothing answers with all that is not Consul.
func TestNonsenseInsteadOfConsulChangesNothing(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	var nonsense atomic.Value
	nonsense.Store("")
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := nonsense.Load().(string)
		if body == "" {
			pass(w, r, server.Address)
			return
		}
		status := http.StatusOK
		switch {
		case strings.HasPrefix(body, "429"):
			status = http.StatusTooManyRequests
		case strings.HasPrefix(body, "500"):
			status = http.StatusInternalServerError
		default:
			w.Header().Set("X-Consul-Index", "99999999")
			w.Header().Set("X-Consul-KnownLeader", "true")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(front.Close)
	e := s.edge(strings.TrimPrefix(front.URL, "http://"), "edge-1")
	s.agrees(blue, 1, e)
	for i, body := range []string{
		"<html>", "{}", "[1]", `[{"Key": 7}]`, `[{"Key":"` + s.key("app", desiredLeaf) + `","Value":"%%%"}]`, "429 slow down", "500 no cluster leader", "null garbage", "[",
	} {
		nonsense.Store(body)
		s.put(s.prefix+"/wake", body) // what blocks ends
		e.until("it to notice "+body, func() bool { return e.fleet.Stats().Error != "" })
		e.until("it to account for "+body, func() bool { return e.notices.count(Unreadable) == i+1 })
		if e.active() != blue {
			t.Fatalf("%q moved it", body)
		}
		nonsense.Store("")
		index := s.trigger("blue " + strings.Repeat("again ", i))
		e.reports(index, Applied)
	}
	if moves := second2(e.History(t.Context(), "app")); len(moves) != 0 {
		t.Errorf("it moved: %+v", moves)
	}
}

func pass(w http.ResponseWriter, r *http.Request, address string) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.RequestURI = "http", address, ""
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func TestAFrozenConsulDelaysNoRollback(t *testing.T) {
	t.Parallel()
	server := consultest.Start(t, consultest.Options{Persistent: true})
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	s.trigger("green")
	s.agrees(green, 2, e)
	server.Freeze(t)
	e.rollback() // returns while the server is frozen: it waits for nothing of it
	if e.active() != blue {
		t.Errorf("%s serves", e.active())
	}
	e.local(Unpublished)
	server.Thaw(t)
	s.agrees(blue, 3, e)
}

func TestAClusterThatLosesItsLeaderKeepsItsWord(t *testing.T) {
	t.Parallel()
	servers := consultest.Cluster(t, 3)
	leader, others := consultest.Leader(t, servers)
	s := newStage(t, others[0])
	edges := []*edge{s.edge(others[0].Address, "edge-1"), s.edge(others[1].Address, "edge-2")}
	s.agrees(blue, 1, edges...)
	leader.Kill(t)
	edges[0].cutover(green)
	s.agrees(green, 2, edges...)
	if moves := second2(edges[1].History(t.Context(), "app")); len(moves) != 1 || moves[0].Kind != switcher.KindCutover {
		t.Errorf("moves %+v", moves)
	}
}
