package consul

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

// judged is the traffic of both colors, of which one may fail half of it.
type judged struct {
	mu     sync.Mutex
	ill    switcher.Color                    // guarded by mu
	counts switcher.PerColor[compare.Counts] // guarded by mu
}

func (j *judged) fails(c switcher.Color) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ill = c
}

// samples implements switcher.Hooks.Samples: each look finds more of both.
func (j *judged) samples(_ string, c switcher.Color) compare.Counts {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.counts.At(c)
	n.Latency[compare.BucketOf(20*time.Millisecond)] += 500
	n.Connected += 1000
	if c == j.ill {
		n.Bad += 500
		for g := range n.BadOf { // of many clients
			n.BadOf[g] += 15
		}
	} else {
		n.Latency[compare.BucketOf(20*time.Millisecond)] += 500
	}
	return *n
}

// judging are three edges on blue, of which the first finds green worse whenever
// both serve. The others have too few samples.
func judging(t *testing.T, change ...func(*edge)) (*stage, []*edge) {
	t.Helper()
	return three(t, append(change, func(e *edge) {
		if e.name == "edge-1" {
			e.judged = new(judged)
			e.judged.fails(green)
		}
	})...)
}

// worse is in each telling of the first edge's verdict.
const worse = "greenroom: app: green is worse than blue: errors: green 50% of "

// moves checks how the edge's traffic moves have ended, the latest first.
func (e *edge) moves(want ...switcher.Result) {
	e.Helper()
	moves := second2(e.History(e.Context(), "app"))
	ok := len(moves) == len(want)
	for i := range min(len(moves), len(want)) {
		ok = ok && moves[i].Result == want[i]
	}
	if !ok {
		e.Errorf("%s has moved so, want %v: %+v", e.name, want, moves)
	}
}

func (e *edge) resume() {
	e.Helper()
	e.must(second(e.Resume(e.Context(), switcher.Request{Services: []string{"app"}, By: "uid 1000"})))
}

func TestAnEdgeThatFoundTheColorWorseBeforeTheFleetWasThereStaysAway(t *testing.T) {
	t.Parallel()
	s, edges := judging(t)
	one := edges[0]
	index := s.trigger(`{"to":"green","ramp":"10:hold"}`)
	wantWords(t, one.reports(index, Aborted).Reason, worse)
	s.agrees(blue, 1, one) // the others go on, and nobody is told to go back
	for _, e := range edges[1:] {
		e.until("its ramp", func() bool { return e.view().Split.Weight(green) == 10 })
		e.resume()
	}
	s.agrees(green, 2, edges[1:]...)
	wantWords(t, one.stands(Diverged).Reason, "is on blue", "the fleet on green since epoch 2", worse, "cut over here, roll back there, or trigger anew")
	one.stop() // and it knows that still after a restart
	one.start()
	wantWords(t, one.local(Diverged).Reason, worse)
	report := edges[2].fleet.Report(t.Context())
	if report.Agreed() || report.Services[0].Edges[0].Result != Diverged {
		t.Errorf("another edge shows %+v", report.Services[0])
	}
	wantWords(t, report.Services[0].Edges[0].Reason, worse)
	one.moves(switcher.ResultAborted)

	edges[1].rollback() // an operator decides
	s.agrees(blue, 3, edges...)
	one.judged.fails(0)
	edges[1].cutover(green)
	s.agrees(green, 4, edges...)
	one.moves(switcher.ResultDone, switcher.ResultAborted)
}

func TestAKeyThatKeepsAnEdgeWhereItIsTakesNothingFromItsVerdict(t *testing.T) {
	t.Parallel()
	s, edges := judging(t)
	one := edges[0]
	one.reports(s.trigger(`{"to":"green","ramp":"10:hold"}`), Aborted)
	for _, e := range edges[1:] {
		e.until("its ramp", func() bool { return e.view().Split.Weight(green) == 10 })
	}
	index := s.trigger("blue")
	one.reports(index, Applied)
	for _, e := range edges[1:] {
		e.reports(index, Conflict)
		e.resume()
	}
	s.agrees(green, 2, edges[1:]...)
	wantWords(t, one.stands(Diverged).Reason, worse)
	one.moves(switcher.ResultAborted)
}

func TestAnEdgeThatFindsTheFleetsColorWorseDoesNotTryAgainUntilANewKey(t *testing.T) {
	t.Parallel()
	s, edges := judging(t, func(e *edge) {
		if e.name == "edge-1" {
			e.ramp = switcher.Ramp{{Weight: 10, Hold: time.Hour}}
		}
	})
	one := edges[0]
	index := s.trigger("green") // the others have no ramp, and so are there at once
	s.agrees(green, 2, edges[1:]...)
	one.reports(index, Aborted)
	wantWords(t, one.stands(Diverged).Reason, "epoch 2", worse)
	if n := one.notices.count(Diverged); n != 1 {
		t.Errorf("that it diverged was noticed %d times", n)
	}
	index = s.trigger("green again") // it judges anew
	one.reports(index, Aborted)
	one.stands(Diverged)
	one.judged.fails(0)
	s.trigger(`{"to":"green","ramp":"50","reason":"1.5.1"}`)
	s.agrees(green, 2, edges...)
	one.moves(switcher.ResultDone, switcher.ResultAborted, switcher.ResultAborted)
}

func TestAnEdgeThatFollowsAndFindsTheColorWorseDoesNotTryAgain(t *testing.T) {
	t.Parallel()
	s, edges := judging(t, func(e *edge) {
		if e.name == "edge-1" {
			e.ramp = switcher.Ramp{{Weight: 10, Hold: time.Hour}}
		}
	})
	one := edges[0]
	edges[1].cutover(green)
	s.agrees(green, 2, edges[1:]...)
	wantWords(t, one.stands(Diverged).Reason, "epoch 2", worse)
	one.stop()
	one.start()
	wantWords(t, one.local(Diverged).Reason, "epoch 2", worse)
	one.stop() // also if all that it knew of the fleet is lost
	s.must(os.WriteFile(filepath.Join(one.dir, "app.json"), nil, 0o600))
	one.start()
	wantWords(t, one.local(Diverged).Reason, "epoch 2", worse)
	one.moves(switcher.ResultAborted)
	s.must(second(one.Cutover(t.Context(), switcher.CutoverRequest{ // an operator goes there all the same
		Request: switcher.Request{Services: []string{"app"}, By: "uid 1000"}, To: green, Ramp: new(switcher.Ramp),
	})))
	s.agrees(green, 2, edges...)
	one.moves(switcher.ResultDone, switcher.ResultAborted)
}

func TestAnEdgeThatFollowsWhatAKeyStartedHasItsRampAndIsJudged(t *testing.T) {
	t.Parallel()
	s, edges := judging(t)
	one := edges[0]
	s.must(second(one.Lock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0", Reason: "match day"})))
	index := s.trigger(`{"to":"green","ramp":"10:hold"}`)
	one.reports(index, Locked)
	for _, e := range edges[1:] {
		e.until("its ramp", func() bool { return e.view().Split.Weight(green) == 10 })
		e.resume()
	}
	s.agrees(green, 2, edges[1:]...)
	s.must(second(one.Unlock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0"})))
	wantWords(t, one.stands(Diverged).Reason, "epoch 2", worse)
	one.moves(switcher.ResultAborted, switcher.ResultDone, switcher.ResultDone) // after lock and unlock
}

func TestAnEdgeThatJoinsBringsNoOldVerdictAlong(t *testing.T) {
	t.Parallel()
	s, edges := judging(t)
	one := edges[0]
	one.part() // it belongs to no fleet
	s.must(second(one.Cutover(t.Context(), switcher.CutoverRequest{
		Request: switcher.Request{Services: []string{"app"}, By: "uid 1000"}, To: green, Ramp: &switcher.Ramp{{Weight: 10, Hold: time.Hour}},
	})))
	one.until("the verdict", func() bool { last := one.view().Last; return last != nil && last.Undone == switcher.UndoneByComparison })
	edges[1].cutover(green)
	s.agrees(green, 2, edges[1:]...)
	s.must(os.Remove(filepath.Join(one.dir, "app.json")))
	one.attend()
	s.agrees(green, 2, edges...)
}

func TestAVerdictWhileConsulIsAwayCountsWhenItIsBack(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	proxy, address := proxied(t, server)
	j := new(judged)
	one := s.edge(address, "edge-1", func(e *edge) { e.judged = j })
	two := s.edge(server.Address, "edge-2")
	s.agrees(blue, 1, one, two)
	s.trigger(`{"to":"green","ramp":"10:hold"}`)
	one.until("its ramp", func() bool { return one.view().Split.Weight(green) == 10 })
	two.until("its ramp", func() bool { return two.view().Split.Weight(green) == 10 })
	one.cut(proxy)
	j.fails(green)
	wantWords(t, one.local(Aborted).Reason, worse)
	two.resume()
	s.agrees(green, 2, two)
	proxy.Resume()
	wantWords(t, one.stands(Diverged).Reason, "epoch 2", worse)
	one.moves(switcher.ResultAborted)
}

func TestARollbackIsFollowedToAColorThatWasFoundWorseBefore(t *testing.T) {
	t.Parallel()
	s, edges := judging(t)
	one := edges[0]
	one.judged.fails(0)
	s.trigger("green")
	s.agrees(green, 2, edges...)
	for _, e := range edges[1:] {
		s.must(second(e.Lock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0", Reason: "match day"})))
	}
	one.judged.fails(blue)
	index := s.trigger(`{"to":"blue","ramp":"10:hold"}`)
	one.reports(index, Aborted)
	for _, e := range edges[1:] {
		e.reports(index, Locked)
		s.must(second(e.Unlock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0"})))
	}
	edges[1].rollback()
	s.agrees(blue, 3, edges...)
}

func TestAnAbortByHandOfWhatTheKeyStartedIsTheLastWord(t *testing.T) {
	t.Parallel()
	s, edges := three(t, thirdHolds)
	slow := edges[2]
	index := s.trigger("green")
	s.agrees(green, 2, edges[:2]...)
	slow.until("its ramp", func() bool { return slow.view().Split.Weight(green) == 10 })
	s.must(second(slow.Abort(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 1000", Reason: "not here"})))
	slow.reports(index, Aborted)
	wantWords(t, slow.stands(Diverged).Reason, "is on blue", "the fleet on green", "epoch 2", "uid 1000: not here")
	edges[0].rollback()
	s.agrees(blue, 3, edges...)
	slow.moves(switcher.ResultAborted)
}

func TestWhatAnUnhealthyTargetHasUndoneIsTriedAgain(t *testing.T) {
	t.Parallel()
	s, edges := three(t, thirdHolds)
	slow := edges[2]
	index := s.trigger("green")
	s.agrees(green, 2, edges[:2]...)
	slow.until("its ramp", func() bool { return slow.view().Split.Weight(green) == 10 })
	slow.health("app", green, false)
	slow.reports(index, Aborted)
	slow.until("it to say that it tries again", func() bool {
		got, _ := slow.fleet.Local("app")
		return got.Result == Aborted && strings.Contains(got.Reason, "epoch 2") && strings.Contains(got.Reason, "tried again")
	})
	slow.health("app", green, true)
	slow.until("its ramp again", func() bool { return slow.view().Split.Weight(green) == 10 })
	slow.resume()
	s.agrees(green, 2, edges...)
}

func TestWhatAnUndoneMoveSpeaksAgainst(t *testing.T) {
	move := switcher.Move{ID: "m", To: green, Undone: switcher.UndoneByComparison, Detail: "worse"}
	state := func(epoch uint64, c switcher.Color) *SharedState { return &SharedState{Epoch: epoch, Active: c} }
	five := bond{Epoch: 5, Active: blue}
	ahead := bond{Epoch: 5, Active: blue, Against: 6, Why: "worse"}
	again := bond{Epoch: 5, Active: blue, Against: 6, Diverged: 6}
	if again.oppose(move, nil) { // the state is gone meanwhile
		t.Error("it is apart from a state that is not there")
	}
	for name, c := range map[string]struct {
		state *SharedState
		want  bond
	}{
		"no state is known":           {nil, ahead},
		"the fleet is not there yet":  {state(5, blue), ahead},
		"an older state":              {state(4, green), ahead},
		"the fleet is there":          {state(6, green), bond{Epoch: 5, Active: blue, Against: 6, Diverged: 6, Why: "worse"}},
		"there for the second time":   {state(8, green), bond{Epoch: 5, Active: blue, Against: 8, Diverged: 8, Why: "worse"}},
		"the fleet is back meanwhile": {state(7, blue), five},
	} {
		got := five
		if diverged := got.oppose(move, c.state); got != c.want || diverged != (got.Diverged != 0) {
			t.Errorf("%s: %+v, %v", name, got, diverged)
		}
	}
}
