package consul

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// three edges that have agreed on blue.
func three(t *testing.T, change ...func(*edge)) (*stage, []*edge) {
	t.Helper()
	server := consultest.Shared(t)
	s := newStage(t, server)
	var edges []*edge
	for i := range 3 {
		edges = append(edges, s.edge(server.Address, fmt.Sprintf("edge-%d", i+1), change...))
	}
	s.agrees(blue, 1, edges...)
	return s, edges
}

// thirdHolds gives the third edge a ramp that stands at its first step.
func thirdHolds(e *edge) {
	if e.name == "edge-3" {
		e.ramp = switcher.Ramp{{Weight: 10, Hold: switcher.UntilResumed}}
	}
}

func TestOneTriggerMovesThreeEdgesAndAllAgree(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	index := s.trigger("green")
	s.agrees(green, 2, edges...)
	if st := s.shared(); st.Trigger != index {
		t.Errorf("the state is of trigger %d, not %d", st.Trigger, index)
	}
	for _, e := range edges {
		e.reports(index, Applied)
	}
	report := edges[0].fleet.Report(t.Context())
	fleet := report.Services
	if !report.Agreed() || len(fleet) != 1 || len(fleet[0].Edges) != 3 || !fleet[0].Agreed() || fleet[0].Desired != "green" || fleet[0].Index != index {
		t.Errorf("fleet %+v", report)
	}
	s.trigger("blue")
	s.agrees(blue, 3, edges...)
}

func TestOfTwoTriggersThatFollowAtOnceTheSecondCounts(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	for range 10 {
		s.trigger("green")
		s.until("green serves", func() bool { return edges[0].view().Active == green })
		index := s.trigger("blue") // perhaps before the edge has published
		s.until("the second has been dealt with", func() bool {
			for _, e := range edges {
				if local, _ := e.fleet.Local("app"); local.AppliedIndex != index || local.Trigger.Result != Applied || local.Active != blue {
					return false
				}
			}
			return true
		})
	}
}

func TestAnEdgeThatWasStoppedCatchesUp(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	edges[2].stop()
	s.trigger("green")
	s.agrees(green, 2, edges[:2]...)
	edges[2].start()
	s.agrees(green, 2, edges...)
	edges[2].stop()
	edges[0].rollback()
	s.agrees(blue, 3, edges[:2]...)
	edges[2].start() // and does not take the trigger for a new one
	s.agrees(blue, 3, edges...)
}

func TestARollbackOnOneEdgeIsFollowedByARollback(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	edges[1].rollback()
	s.agrees(blue, 3, edges...)
	for _, e := range edges {
		last := e.view().Last
		if last.Kind != switcher.KindRollback || last.Reason != "errors rise" {
			t.Errorf("%s: the last move is %+v, want a rollback", e.name, last)
		}
	}
	if st := s.shared(); st.Kind != SharedRollback || st.By != "uid 1000" || st.Edge != "edge-2" {
		t.Errorf("state %+v", st)
	}
}

func TestACutoverBackIsFollowedPastTheGates(t *testing.T) {
	t.Parallel()
	d := &door{}
	d.set(switcher.Pass, "")
	s, edges := three(t, func(e *edge) {
		if e.name == "edge-3" {
			e.gates = []switcher.Gate{d}
		}
	})
	s.trigger("green")
	s.agrees(green, 2, edges...)
	d.set(switcher.Refuse, "not on this edge")
	edges[0].cutover(blue)
	s.agrees(blue, 3, edges[:2]...)
	wantWords(t, edges[2].stands(Refused).Reason, "epoch 3", "not on this edge", "tried again")
	if edges[2].active() != green {
		t.Error("it went past its gate")
	}
	d.set(switcher.Pass, "")
	s.agrees(blue, 3, edges...)
}

func TestALockedEdgeDoesNotFollowAndSaysSo(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	locked := edges[2]
	s.must(second(locked.Lock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0", Reason: "match day"})))
	edges[0].cutover(green)
	s.agrees(green, 2, edges[:2]...)
	wantWords(t, locked.stands(Locked).Reason, "epoch 2", "match day")
	if locked.active() != blue {
		t.Error("it followed")
	}
	s.must(second(locked.Unlock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0"})))
	s.agrees(green, 2, edges...)
}

func TestASplitIsFollowedOnlyOnceAllTrafficHasMoved(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	e := edges[0]
	s.must(second(e.Split(t.Context(), switcher.SplitRequest{
		Request: switcher.Request{Services: []string{"app"}, By: "uid 1000"}, Color: green, Weight: 30,
	})))
	e.until("the split in the status", func() bool { return e.status().Split.Weight(green) == 30 })
	if st := s.shared(); st.Epoch != 1 {
		t.Errorf("a split was published: %s", st)
	}
	e.cutover(green)
	s.agrees(green, 2, edges...)
}

func TestARollbackUndoesWhatOthersHaveUnderWay(t *testing.T) {
	t.Parallel()
	s, edges := three(t, thirdHolds)
	slow := edges[2]
	s.trigger("green")
	s.agrees(green, 2, edges[:2]...)
	slow.until("its ramp", func() bool { return slow.view().Split.Weight(green) == 10 })
	edges[0].rollback()
	s.agrees(blue, 3, edges...)
}

func TestAnAbortByHandOfWhatFollowsTheFleetIsTheLastWord(t *testing.T) {
	t.Parallel()
	s, edges := three(t, thirdHolds)
	slow := edges[2]
	edges[0].cutover(green)
	s.agrees(green, 2, edges[:2]...)
	slow.until("its ramp", func() bool { return slow.view().Split.Weight(green) == 10 })
	s.must(second(slow.Abort(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 1000", Reason: "not here"})))
	wantWords(t, slow.stands(Diverged).Reason, "is on blue", "the fleet on green", "epoch 2")
	s.trigger("blue")
	s.agrees(blue, 3, edges...)
}

func TestANewEdgeStartsWhereItsFleetIs(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	c, ok, err := edges[0].fleet.InitialActive(t.Context(), "app")
	if c != green || !ok || err != nil {
		t.Errorf("got %s %v %v", c, ok, err)
	}
	c, ok, err = edges[0].fleet.InitialActive(t.Context(), "other")
	if c != 0 || ok || err != nil {
		t.Errorf("of a service without a state: %s %v %v", c, ok, err)
	}
	s.put(s.key("bad", stateLeaf), "{}")
	if _, ok, err = edges[0].fleet.InitialActive(t.Context(), "bad"); ok || err == nil {
		t.Error("a malformed state was taken")
	}
}

func TestANewEdgeDoesNotCarryOutWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	edges[0].rollback()
	s.agrees(blue, 3, edges...)
	fresh := s.edge(edges[0].address, "edge-4")
	s.agrees(blue, 3, append(edges, fresh)...)
	if got := fresh.status(); got.Trigger.Result != Stale {
		t.Errorf("status %+v", got)
	}
	if len(second2(fresh.History(t.Context(), "app"))) != 0 {
		t.Error("it moved")
	}
}

func TestTheFirstEdgesOfAFleetCarryOutWhatWaitsForThem(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	index := s.trigger("green")
	e := s.edge(server.Address, "edge-1")
	e.reports(index, Applied)
	s.until("the state", func() bool { st := s.shared(); return st != nil && st.Active == green })
}

func TestAnEdgeThatLostItsMemoryMovesNothing(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	edges[0].rollback()
	s.agrees(blue, 3, edges...)
	for i, damage := range []string{"", "{", `{"format":9}`, "\x00\x00"} {
		e := edges[i%3]
		e.stop()
		s.must(os.WriteFile(filepath.Join(e.dir, "app.json"), []byte(damage), 0o600))
		e.start()
		s.agrees(blue, 3, edges...)
	}
}

// TestTwoEdgesThatPublishAtOnceAgree has two edges move by hand at the same
// instant, and a third one look on.
func TestTwoEdgesThatPublishAtOnceAgree(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	for range 40 {
		to := edges[2].active().Other()
		before := s.shared().Epoch
		var both sync.WaitGroup
		for _, e := range edges[:2] {
			both.Go(func() { e.cutover(to) })
		}
		both.Wait()
		s.until("agreement", func() bool {
			st := s.shared()
			for _, e := range edges {
				if e.active() != to || e.epoch() != st.Epoch {
					return false
				}
			}
			return st.Active == to && st.Epoch == before+1
		})
	}
}

// TestEdgesThatMoveAgainstEachOtherConverge has all edges move to and fro at
// random, and then looks where they come to rest.
func TestEdgesThatMoveAgainstEachOtherConverge(t *testing.T) {
	t.Parallel()
	s, edges := three(t)
	epochs := watchEpochs(t, s)
	for range 10 {
		var all sync.WaitGroup
		for i, e := range edges {
			all.Go(func() {
				for n := range 4 {
					_, _ = e.Cutover(context.Background(), switcher.CutoverRequest{
						Request: switcher.Request{Services: []string{"app"}, By: e.name}, To: switcher.Colors[(i+n)%2],
					}) // a conflict is fine
				}
			})
		}
		all.Wait()
		s.until("agreement", func() bool {
			st := s.shared()
			for _, e := range edges {
				if e.active() != st.Active || e.epoch() != st.Epoch {
					return false
				}
			}
			return true
		})
	}
	epochs()
}

// watchEpochs checks that an epoch names one color, and that epochs grow.
func watchEpochs(t *testing.T, s *stage) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		var last SharedState
		var index uint64
		for ctx.Err() == nil {
			p, meta, err := s.kv.Get(s.key("app", stateLeaf), (&api.QueryOptions{WaitIndex: index}).WithContext(ctx))
			if err != nil || p == nil {
				continue
			}
			index = meta.LastIndex
			st, err := ParseSharedState(p.Value)
			if err != nil {
				t.Errorf("state %s: %v", p.Value, err)
				return
			}
			if st.Epoch < last.Epoch || st.Epoch == last.Epoch && st.Active != last.Active {
				t.Errorf("%s came after %s", st, &last)
			}
			last = *st
		}
	})
	return func() { cancel(); watching.Wait() }
}

func second2[T any](v T, _ error) T { return v }
