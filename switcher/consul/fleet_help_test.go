package consul

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

const (
	blue  = switcher.Blue
	green = switcher.Green
)

// stage is a prefix of its own on a Consul, with edges that share it.
type stage struct {
	testing.TB
	kv       *api.KV
	prefix   string
	services []string
}

func newStage(t testing.TB, server *consultest.Server, services ...string) *stage {
	t.Helper()
	if len(services) == 0 {
		services = []string{"app"}
	}
	return &stage{TB: t, kv: server.API.KV(), prefix: uniqueName(), services: services}
}

// edge is one edge: a Switcher with healthy pools, and its place in the fleet.
type edge struct {
	*stage
	*switcher.Switcher
	name     string
	dir      string
	address  string
	store    *switchertest.MemoryStore
	gates    []switcher.Gate
	ramp     switcher.Ramp
	judged   *judged // compares the colors of a ramp by this; nil: it does not
	tune     func(*FleetConfig)
	tokenEnv string
	calm     bool // at the pace of a real edge

	client  *Client
	fleet   *Fleet
	notices *notices
	ends    map[string]switcher.PerColor[[]*switcher.Endpoint]
	stop    func() // ends it, as the process would
	part    func() // ends its part in the fleet only
}

// notices collects what a fleet accounts for.
type notices struct {
	mu   sync.Mutex
	list []Notice // guarded by mu
}

func (n *notices) add(one Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, one)
}

func (n *notices) count(results ...Result) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.list {
		for _, r := range results {
			if one.Result == r {
				count++
			}
		}
	}
	return count
}

// edge starts one more edge.
func (s *stage) edge(address, name string, change ...func(*edge)) *edge {
	s.Helper()
	e := &edge{stage: s, name: name, address: address, dir: s.TempDir(), store: &switchertest.MemoryStore{}}
	for _, c := range change {
		c(e)
	}
	e.start()
	s.Cleanup(func() { e.stop() })
	return e
}

// start runs the edge's process anew, on the same disk.
func (e *edge) start() {
	e.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var hooks switcher.Hooks
	var limits *compare.Limits
	if e.judged != nil {
		hooks.Samples, limits = e.judged.samples, new(compare.Limits)
	}
	e.Switcher = switcher.New(e.store, hooks, nil)
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	e.must(e.Restore(ctx))
	configs := make(map[string]switcher.Config)
	for _, name := range e.services {
		configs[name] = switcher.Config{Gates: e.gates, Ramp: e.ramp, Compare: limits}
	}
	e.must(e.Configure(ctx, configs))
	e.ends = make(map[string]switcher.PerColor[[]*switcher.Endpoint])
	for _, name := range e.services {
		all, err := e.SetPools(ctx, name, switcher.Pools{Blue: hosts(name, blue), Green: hosts(name, green)})
		e.must(err)
		e.ends[name] = switcher.PerColor[[]*switcher.Endpoint]{Blue: all[:2], Green: all[2:]}
		e.health(name, blue, true)
		e.health(name, green, true)
	}
	e.stop = sync.OnceFunc(func() { e.part(); cancel(); running.Wait() })
	e.attend()
}

// attend takes the edge's place in the fleet.
func (e *edge) attend() {
	e.Helper()
	client, err := NewClient(Config{Address: e.address, TokenEnv: e.tokenEnv}, nil)
	e.must(err)
	if !e.calm {
		quick(client)
	}
	e.client, e.notices = client, &notices{}
	config := FleetConfig{Prefix: e.prefix, Edge: e.name, Dir: e.dir, Retry: switcher.Duration(100 * time.Millisecond), Noticed: e.notices.add}
	if e.tune != nil {
		e.tune(&config)
	}
	e.fleet, err = NewFleet(client, config)
	e.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	sw := e.Switcher
	go func() { ended <- e.fleet.Run(ctx, sw) }()
	e.part = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			e.Errorf("Run returned %v", err)
		}
		client.Close()
	})
}

func hosts(service string, c switcher.Color) (list []switcher.Upstream) {
	for i := range 2 {
		list = append(list, switcher.Upstream{Address: fmt.Sprintf("%s-%s-%d:80", service, c, i+1)})
	}
	return list
}

func (e *edge) health(service string, c switcher.Color, healthy bool) {
	ends := e.ends[service]
	for _, end := range ends.Of(c) {
		h := switcher.Health{Healthy: healthy, Known: true, Since: time.Now()}
		if !healthy {
			h.Reason = "http: got 500, want 200"
		}
		e.SetHealth(end, h)
	}
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("unexpected error: %v", err)
	}
}

// until waits for a condition, which it looks at often.
func (s *stage) until(what string, ok func() bool) {
	s.Helper()
	deadline := time.After(2 * time.Minute) // longer than a request to a frozen server may take
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			fleet, err := s.read()
			s.Fatalf("waited for %s; the fleet: %+v %v", what, fleet, err)
		}
	}
}

func (s *stage) key(service, leaf string) string { return s.prefix + "/" + service + "/" + leaf }

// put writes a key as an operator does, and returns its index.
func (s *stage) put(key, value string) uint64 {
	s.Helper()
	_, err := s.kv.Put(&api.KVPair{Key: key, Value: []byte(value)}, nil)
	s.must(err)
	p, _, err := s.kv.Get(key, nil)
	s.must(err)
	return p.ModifyIndex
}

// trigger writes the desired value of the only service.
func (s *stage) trigger(value string) uint64 {
	s.Helper()
	return s.put(s.key("app", desiredLeaf), value)
}

func (s *stage) shared() *SharedState {
	p, _, err := s.kv.Get(s.key("app", stateLeaf), nil)
	if err != nil || p == nil {
		return nil
	}
	st, err := ParseSharedState(p.Value)
	if err != nil {
		return nil
	}
	return st
}

func (s *stage) read() ([]ServiceFleet, error) {
	pairs, _, err := s.kv.List(s.prefix+"/", nil)
	return fleetOf(pairs, s.prefix+"/"), err
}

// status is what Consul holds of this edge.
func (e *edge) status() EdgeStatus {
	p, _, err := e.kv.Get(e.key("app", statusLeaf+"/"+e.name), nil)
	if err != nil || p == nil {
		return EdgeStatus{}
	}
	var f ServiceFleet
	f.add(e.name, p.Value)
	if len(f.Edges) == 0 {
		e.Fatalf("a status that cannot be read: %s", p.Value)
	}
	return f.Edges[0]
}

func (e *edge) active() switcher.Color { return e.view().Active }

func (e *edge) view() switcher.ServiceView {
	v, err := e.View(context.Background(), "app")
	e.must(err)
	return v
}

func (e *edge) epoch() uint64 {
	s, _ := e.fleet.Local("app")
	return s.Epoch
}

// serves waits until all traffic is on c.
func (e *edge) serves(c switcher.Color) {
	e.Helper()
	e.until(e.name+" to serve "+c.String(), func() bool { v := e.view(); return v.Active == c && v.Split == switcher.All(c) })
}

// agrees waits until all edges are on c at the same epoch, as their statuses say.
func (s *stage) agrees(c switcher.Color, epoch uint64, edges ...*edge) {
	s.Helper()
	s.until(fmt.Sprintf("agreement on %s at epoch %d", c, epoch), func() bool {
		st := s.shared()
		if st == nil || st.Active != c || st.Epoch != epoch {
			return false
		}
		for _, e := range edges {
			if got := e.status(); got.Epoch != epoch || got.Active != c || got.Split != switcher.All(c) || e.active() != c {
				return false
			}
		}
		return true
	})
}

// reports waits for a status with this index and result, and returns it.
func (e *edge) reports(index uint64, r Result) EdgeStatus {
	e.Helper()
	var got EdgeStatus
	e.until(fmt.Sprintf("%s to report %s of index %d, got %+v", e.name, r, index, e.status()), func() bool {
		got = e.status()
		return got.AppliedIndex == index && got.Trigger.Result == r
	})
	return got
}

// stands waits for a status with this result of the edge as a whole.
func (e *edge) stands(r Result) EdgeStatus {
	e.Helper()
	var got EdgeStatus
	e.until(fmt.Sprintf("%s to stand at %s", e.name, r), func() bool { got = e.status(); return got.Result == r })
	return got
}

func (e *edge) cutover(to switcher.Color) {
	e.Helper()
	_, err := e.Cutover(context.Background(), switcher.CutoverRequest{
		Request: switcher.Request{Services: []string{"app"}, By: "uid 1000", Reason: "by hand"}, To: to,
	})
	e.must(err)
}

func (e *edge) rollback() {
	e.Helper()
	_, err := e.Rollback(context.Background(), switcher.RollbackRequest{
		Request: switcher.Request{Services: []string{"app"}, By: "uid 1000", Reason: "errors rise"},
	})
	e.must(err)
}

// door is a gate that a test opens.
type door struct {
	mu      sync.Mutex
	verdict switcher.Verdict // guarded by mu
}

func (d *door) set(v switcher.Decision, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verdict = switcher.Verdict{Decision: v, Reason: reason}
}

func (d *door) Name() string { return "door" }

func (d *door) Check(context.Context, switcher.GateInput) switcher.Verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.verdict
}

// proxied puts a proxy that can be cut between an edge and its Consul.
func proxied(t testing.TB, server *consultest.Server) (*consultest.Proxy, string) {
	t.Helper()
	p := consultest.NewProxy(t, server.Address)
	u := url.URL{Scheme: "http", Host: p.Address}
	return p, u.String()
}
