package consul

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

func TestMalformedTriggersMoveNothingAndAreReported(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	var log lockedBuffer
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1", func(e *edge) {
		e.tune = func(c *FleetConfig) { c.Log = slog.New(slog.NewJSONHandler(&log, nil)) }
	})
	s.agrees(blue, 1, e)
	for i, value := range malformed {
		index := s.trigger(value)
		e.until(fmt.Sprintf("it to refuse %.60q", value), func() bool {
			got, _ := e.fleet.Local("app")
			return got.AppliedIndex == index
		})
		got, _ := e.fleet.Local("app")
		if got.Result != Malformed || got.Reason == "" || got.Reason != plain(got.Reason, maxText) {
			t.Errorf("%.60q: %s %q", value, got.Result, got.Reason)
		}
		if n := e.notices.count(Malformed); n != i+1 {
			t.Errorf("%.60q: %d notices, want %d", value, n, i+1)
		}
	}
	e.stands(Malformed)
	v := e.view()
	if v.Active != blue || v.Generation != 1 || v.Cutover != nil || v.Last != nil {
		t.Errorf("it moved: %+v", v)
	}
	if strings.ContainsAny(log.String(), "\x00\x1b\u2028") {
		t.Error("a control character came to the log")
	}
}

func TestDeletingOrRewritingATriggerMovesNothing(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	index := s.trigger("green")
	s.agrees(green, 2, e)
	e.rollback()
	s.agrees(blue, 3, e)
	if again := s.trigger("green"); again != index {
		t.Fatalf("Consul took the same value for a change: %d, was %d", again, index)
	}
	s.must(second(s.kv.Delete(s.key("app", desiredLeaf), nil)))
	s.put(s.key("other", desiredLeaf), "green") // no service of ours
	s.put(s.prefix+"/app", "green")
	s.put(s.prefix+"/app/desired/more", "green")
	e.until("the strays", func() bool { return e.fleet.Stats().Strays == 2 })
	wantWords(t, e.stands(Deleted).Reason, "the key is gone", "nothing moves")
	if e.active() != blue || e.status().AppliedIndex != index {
		t.Errorf("it moved: %+v", e.status())
	}
	if n := e.notices.count(Deleted); n != 1 {
		t.Errorf("the deletion was noticed %d times", n)
	}
	e.stop()
	e.start()
	e.stands(Deleted)
	if n := e.notices.count(Deleted); n != 0 {
		t.Errorf("the deletion was noticed %d times more after a restart", n)
	}
	fresh := s.trigger("green")
	e.reports(fresh, Applied)
	s.agrees(green, 4, e)
}

func TestMalformedStatesMoveNothingAndGiveWayToTheNextMove(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	good := SharedState{Format: 1, Epoch: 9, Active: green, Kind: SharedCutover, Edge: "edge-2", At: time.Now()}
	change := func(f func(*SharedState)) string { st := good; f(&st); return string(st.encode()) }
	values := append([]string{
		change(func(s *SharedState) { s.Format = 0 }),
		change(func(s *SharedState) { s.Epoch = 0 }),
		change(func(s *SharedState) { s.Epoch = maxEpoch }),
		change(func(s *SharedState) { s.Epoch = 1<<64 - 1 }),
		change(func(s *SharedState) { s.Active = 0 }),
		change(func(s *SharedState) { s.Kind = "" }),
		change(func(s *SharedState) { s.Kind = "else" }),
		change(func(s *SharedState) { s.Edge = "" }),
		change(func(s *SharedState) { s.Edge = "a/b" }),
		change(func(s *SharedState) { s.By = "a\nb" }),
		change(func(s *SharedState) { s.Reason = strings.Repeat("x", 501) }),
		string(good.encode()) + "x",
		strings.Replace(string(good.encode()), `"epoch"`, `"epoch":1,"epoch"`, 1),
		strings.Replace(string(good.encode()), `"epoch"`, `"more":1,"epoch"`, 1),
	}, malformed...)
	for i, value := range values {
		s.put(s.key("app", stateLeaf), value)
		e.until(fmt.Sprintf("it to refuse %.60q", value), func() bool { return e.notices.count(Malformed) == i+1 })
	}
	wantWords(t, e.stands(Malformed).Reason, "the shared state")
	if v := e.view(); v.Active != blue || v.Generation != 1 {
		t.Errorf("it moved: %+v", v)
	}
	e.cutover(green)
	s.agrees(green, 2, e)
}

func TestAStateOfALaterFormatIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	index := s.put(s.key("app", stateLeaf), `{"format": 2, "split": {"blue": 10, "green": 90}}`)
	wantWords(t, e.stands(Malformed).Reason, "format", "2")
	e.cutover(green)
	e.until("the move in the status", func() bool { return e.status().Active == green })
	p, _, err := s.kv.Get(s.key("app", stateLeaf), nil)
	s.must(err)
	if p.ModifyIndex != index {
		t.Errorf("it was written over: %s", p.Value)
	}
}

// hostile makes a value that is to move nothing.
func hostile(r *rand.Rand) []byte {
	value := []byte(malformed[r.IntN(len(malformed))])
	switch r.IntN(4) {
	case 0: // as it is, made different
		return append(value, fmt.Sprintf("\n%d\x00", r.Uint64())...)
	case 1: // random bytes
		value = make([]byte, 1+r.IntN(200))
		for i := range value {
			value[i] = byte(r.Uint32())
		}
		return append([]byte("\xff"), value...)
	case 2: // a good one, damaged
		good := []byte(fmt.Sprintf(`{"to":"green","ramp":"10:5m","reason":"%d","if_generation":1}`, r.Uint64()))
		good[r.IntN(20)] = byte(r.IntN(32))
		return good
	}
	return []byte(fmt.Sprintf(`{"to":"green","reason":"%d","x%d":1}`, r.Uint64(), r.Uint64()))
}

// TestTenThousandHostileValuesMoveNothingAndAreAllAccountedFor writes to triggers
// and states of many services at once. What is no syntax error is too old, or names
// another generation.
func TestTenThousandHostileValuesMoveNothingAndAreAllAccountedFor(t *testing.T) {
	server := consultest.Shared(t)
	const services, rounds = 500, 21
	names := make([]string, services)
	for i := range names {
		names[i] = fmt.Sprintf("service-%03d", i)
	}
	s := newStage(t, server, names...)
	e := s.edge(server.Address, "edge-1", func(e *edge) { e.dir = "" }) // it is about values, not about disks
	e.until("all states", func() bool { return e.notices.count(Applied) == services })
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := rand.New(rand.NewPCG(1, 2))
	written, began := 0, time.Now()
	for round := range rounds {
		var ops api.TxnOps
		for _, name := range names {
			leaf, value := desiredLeaf, hostile(r)
			switch {
			case round%7 == 3:
				leaf = stateLeaf
			case round%7 == 5:
				value = fmt.Appendf(nil, `{"to":"green","if_generation":%d}`, 100+round)
			}
			ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVSet, Key: s.key(name, leaf), Value: value}})
		}
		written += len(ops)
		s.transact(server, ops)
		e.until(fmt.Sprintf("%d to be accounted for", written), func() bool {
			return e.notices.count(Malformed, Stale, Conflict) == written
		})
	}
	stats := e.fleet.Stats()
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d values in %s; results %v; heap %d KiB, was %d KiB", written, time.Since(began).Round(time.Millisecond),
		stats.Results, after.HeapAlloc>>10, before.HeapAlloc>>10)
	if n := stats.Results[Malformed] + stats.Results[Stale] + stats.Results[Conflict]; n != uint64(written) || written < 10000 {
		t.Errorf("%d of %d are accounted for", n, written)
	}
	views, err := e.Services(t.Context())
	s.must(err)
	for _, v := range views {
		if v.Generation != 1 || v.Active != blue || v.Cutover != nil || v.Last != nil {
			t.Errorf("%s moved: %+v", v.Name, v)
		}
	}
}

// transact writes in batches of as much as a transaction may hold.
func (s *stage) transact(server *consultest.Server, ops api.TxnOps) {
	s.Helper()
	for len(ops) > 0 {
		n, size := 0, 0
		for n < min(len(ops), 128) && size < 100<<10 {
			size += len(ops[n].KV.Value)
			n++
		}
		if n == 1 {
			s.put(ops[0].KV.Key, string(ops[0].KV.Value))
			ops = ops[1:]
			continue
		}
		if len(ops[n-1].KV.Value) > 100<<10 {
			n-- // a transaction of its own would be too large
		}
		ok, answer, _, err := server.API.Txn().Txn(ops[:n], nil)
		if err != nil || !ok {
			s.Fatalf("Consul refused: %v %v", err, answer)
		}
		ops = ops[n:]
	}
}

func TestKeysOfAFloodAreCountedAndNotKept(t *testing.T) {
	t.Parallel()
	var pairs api.KVPairs
	for i := range maxKeys + 10 {
		pairs = append(pairs, &api.KVPair{Key: fmt.Sprintf("p/s-%d/desired", i), Value: []byte("green"), ModifyIndex: 1})
	}
	got := treeOf(pairs, "p/", "edge-1")
	if len(got.services) != maxSubject || !got.cut || got.sound() {
		t.Errorf("%d services, cut %v", len(got.services), got.cut)
	}
	got = treeOf(api.KVPairs{
		{Key: "p/app/state", Value: make([]byte, maxValue+1), ModifyIndex: 7},
		{Key: "p/app/status/edge-2"}, {Key: "p/app/status/edge-1"}, {Key: "p/a b/desired"}, {Key: "p/../desired"}, {Key: "q"}, {Key: "p/app/what"},
	}, "p/", "edge-1")
	app := got.services["app"]
	if len(got.services) != 1 || app.state.value != nil || app.state.size != maxValue+1 || !app.reported || got.strays != 4 {
		t.Errorf("%+v", got)
	}
}

func TestAStatusThatAnEdgeHasNotWrittenIsUnreadable(t *testing.T) {
	t.Parallel()
	good := EdgeStatus{Format: 1, Edge: "edge-1", Active: green, Split: switcher.All(green)}
	pair := func(edge, value string) *api.KVPair {
		return &api.KVPair{Key: "p/app/status/" + edge, Value: []byte(value), ModifyIndex: 1}
	}
	loud := good
	loud.Edge, loud.Reason = "edge-3", "\x1b[2J"
	fleet := fleetOf(api.KVPairs{
		pair("edge-1", string(good.encode())), pair("edge-2", string(good.encode())), pair("edge-3", string(loud.encode())),
		pair("edge-4", "{"), pair("edge\x1b5", ""), {Key: "p/app/desired", Value: []byte("green \x1b[2J\nmore")},
	}, "p/")
	if len(fleet) != 1 || len(fleet[0].Edges) != 1 || len(fleet[0].Unreadable) != 4 || fleet[0].Desired != "green [2J more" {
		t.Errorf("%+v", fleet)
	}
}
