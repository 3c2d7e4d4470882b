package consul

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

func TestATriggerThatCameWhileAnEdgeWasStoppedIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	e.stop()
	index := s.trigger("green")
	e.start()
	e.reports(index, Applied)
	s.agrees(green, 2, e)
	e.rollback()
	s.agrees(blue, 3, e)
	for range 3 {
		e.stop()
		e.start()
		e.reports(index, Applied)
		s.agrees(blue, 3, e)
	}
}

// TestAnEdgeThatEndedBeforeItRememberedCarriesItOutAgain puts back the memory of
// before the trigger, as a crash leaves it.
func TestAnEdgeThatEndedBeforeItRememberedCarriesItOutAgain(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	file := filepath.Join(e.dir, "app.json")
	before, err := os.ReadFile(file)
	s.must(err)
	index := s.trigger("green")
	e.reports(index, Applied)
	s.agrees(green, 2, e)
	e.stop()
	s.must(os.WriteFile(file, before, 0o600))
	e.start()
	e.reports(index, Applied)
	s.agrees(green, 2, e)
	if moves := second2(e.History(t.Context(), "app")); len(moves) != 1 {
		t.Errorf("moves %+v", moves)
	}
}

func TestWithoutAMemoryThatCanBeWrittenNoTriggerIsCarriedOut(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	file := filepath.Join(t.TempDir(), "file")
	s.must(os.WriteFile(file, nil, 0o600))
	e := s.edge(server.Address, "edge-1", func(e *edge) { e.dir = filepath.Join(file, "dir") })
	e.until("it to say so", func() bool { return e.fleet.Stats().WriteError != "" })
	s.trigger("green")
	wantWords(t, e.stands(Failed).Reason, "triggers are not carried out", "not a directory")
	e.cutover(green) // all else works
	s.until("the state", func() bool { st := s.shared(); return st != nil && st.Active == green })
	e.cutover(blue)
	s.until("the state", func() bool { st := s.shared(); return st != nil && st.Epoch == 3 })
	s.must(os.Remove(file)) // the disk is mended
	index := s.trigger("green again")
	e.reports(index, Applied)
}

func TestServicesComeAndGoWithTheConfig(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	s.put(s.key("more", desiredLeaf), "green")
	s.must(e.Configure(t.Context(), map[string]switcher.Config{"app": {}, "more": {}, "no/key": {}}))
	e.until("the new service", func() bool { got, _ := e.fleet.Local("more"); return got.Result == Applied && got.Active == green })
	s.must(e.Configure(t.Context(), map[string]switcher.Config{"more": {}}))
	e.until("the old one to go", func() bool { _, ok := e.fleet.Local("app"); return !ok })
	index := s.trigger("green")
	s.must(e.Configure(t.Context(), map[string]switcher.Config{"app": {}, "more": {}}))
	e.reports(index, Applied)
}

func TestAStatusIsWrittenOnceASecondAtMost(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	ctx, cancel := context.WithCancel(t.Context())
	first := e.status().At
	var writes atomic.Int64 // those that were seen
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		var index uint64
		for ctx.Err() == nil {
			p, meta, err := s.kv.Get(s.key("app", statusLeaf+"/edge-1"), (&api.QueryOptions{WaitIndex: index}).WithContext(ctx))
			if err == nil && p != nil && p.ModifyIndex != index {
				index = meta.LastIndex
				writes.Add(1)
			}
		}
	}()
	var last uint64
	for i := range 60 {
		last = s.trigger(switcher.Colors[(i+1)%2].String() + " " + time.Now().String())
		e.until("the trigger to be taken", func() bool { got, _ := e.fleet.Local("app"); return got.AppliedIndex == last })
	}
	e.reports(last, Applied)
	e.until("the watch to have seen a second write", func() bool { return writes.Load() > 1 })
	cancel()
	<-watched
	// The first of them has the time of before it was written, and may be older
	// than the watch; the last was written before now.
	took := time.Since(first)
	if n := writes.Load(); n > 1+int64(took/time.Second) {
		t.Errorf("%d writes in %s", n, took)
	}
	t.Logf("60 triggers, %d writes of the status in %s", writes.Load(), took)
}

func TestANewEdgeWaitsTwoSecondsForItsFleetAtMost(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	proxy, address := proxied(t, server)
	client := testClient(t, Config{Address: address})
	fleet, err := NewFleet(client, FleetConfig{Prefix: uniqueName(), Edge: "edge-1"})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	began := time.Now()
	_, ok, err := fleet.InitialActive(t.Context(), "app")
	if took := time.Since(began); ok || err == nil || took < time.Second || took > 30*time.Second {
		t.Errorf("%v %v after %s", ok, err, took)
	}
}

func TestAFleetsConfigIsValidated(t *testing.T) {
	for _, c := range []FleetConfig{
		{}, {Edge: "a/b"}, {Edge: "a b"}, {Edge: ".."}, {Edge: "e", Prefix: "/a"}, {Edge: "e", Prefix: "a/"}, {Edge: "e", Prefix: "a//b"},
		{Edge: "e", Prefix: "a/../b"}, {Edge: "e", Prefix: "a?b"}, {Edge: "e", Retry: 1}, {Edge: "e", Retry: switcher.Duration(time.Hour)},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v is valid", c)
		}
	}
	if err := (FleetConfig{Edge: "edge-1.example.com", Prefix: "media/greenroom"}).Validate(); err != nil {
		t.Error(err)
	}
}

// BenchmarkTriggerToGreen is from the operator's put to the edge's new table. One
// trigger follows the other at once, so that the pace of queries (five in a
// second) is in it; a trigger that comes alone does not wait for that.
func BenchmarkTriggerToGreen(b *testing.B) {
	server := consultest.Shared(b)
	s := newStage(b, server)
	e := s.edge(server.Address, "edge-1", func(e *edge) { e.calm = true })
	s.agrees(blue, 1, e)
	var took []time.Duration
	service := e.Service("app")
	for b.Loop() {
		to := e.active().Other()
		began := time.Now()
		_, err := s.kv.Put(&api.KVPair{Key: s.key("app", desiredLeaf), Value: []byte(to.String() + " " + began.String())}, nil)
		s.must(err)
		for service.Table().Active != to {
			time.Sleep(100 * time.Microsecond)
		}
		took = append(took, time.Since(began))
		e.until("agreement", func() bool { st := s.shared(); return st.Active == to && e.epoch() == st.Epoch })
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
