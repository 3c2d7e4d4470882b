package consul

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

func TestAPlainTriggerIsAppliedAndReported(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	began := time.Now()
	index := s.trigger("green release 1.4.2")
	e.serves(green)
	took := time.Since(began)
	s.agrees(green, 2, e)
	got := e.reports(index, Applied)
	t.Logf("from put to green: %s; status %+v", took, got)
	if got.Generation != 2 || got.Active != green || got.Edge != "edge-1" {
		t.Errorf("status %+v", got)
	}
	last := *e.view().Last
	if last.Reason != "release 1.4.2" {
		t.Errorf("the move's reason is %q", last.Reason)
	}
	wantWords(t, last.By, "consul kv", "index")
	st := s.shared()
	if st.Kind != SharedCutover || st.Reason != "release 1.4.2" || st.Edge != "edge-1" || st.Previous != blue {
		t.Errorf("state %+v", st)
	}
}

func TestAJSONTriggerCarriesItsRampAndTimeouts(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	index := s.trigger(`{"to": "green", "ramp": "10:hold", "reason": "try", "if_generation": 1, "gate_timeout": "7s", "drain_timeout": "9s"}`)
	e.until("the ramp", func() bool { return e.view().Split.Weight(green) == 10 })
	c := e.view().Cutover
	want := switcher.Options{GateTimeout: switcher.Duration(7 * time.Second), DrainTimeout: switcher.Duration(9 * time.Second)}
	if c.Options != want.OrDefaults() || c.Reason != "try" {
		t.Errorf("cutover %+v", c)
	}
	wantWords(t, e.reports(index, Waiting).Reason, "held at", "10%")
	if st := s.shared(); st.Epoch != 1 || st.Active != blue {
		t.Errorf("a ramp was published: %s", st)
	}
	s.must(second(e.Resume(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 1000"})))
	e.reports(index, Applied)
	s.agrees(green, 2, e)
}

func TestATriggerWithAnotherGenerationIsAConflict(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	index := s.trigger(`{"to": "green", "if_generation": 7}`)
	wantWords(t, e.reports(index, Conflict).Reason, "generation 1, not 7")
	if e.active() != blue {
		t.Error("it moved")
	}
}

func TestARefusalByAGateIsReportedWithItsReason(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	d := &door{}
	d.set(switcher.Refuse, "the migration is not done")
	e := s.edge(server.Address, "edge-1", func(e *edge) { e.gates = []switcher.Gate{d} })
	s.agrees(blue, 1, e)
	index := s.trigger("green")
	got := e.reports(index, Refused)
	wantWords(t, got.Reason, "door", "the migration is not done")
	if e.active() != blue || got.Result != Refused {
		t.Errorf("status %+v", got)
	}
	d.set(switcher.Wait, "the migration runs")
	index = s.trigger("green again")
	wantWords(t, e.reports(index, Waiting).Reason, "the migration runs")
	d.set(switcher.Pass, "")
	e.reports(index, Applied)
	s.agrees(green, 2, e)
}

func TestAnUnhealthyColorIsRefusedOnceTheGateTimeoutIsOver(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1", func(e *edge) { e.gates = []switcher.Gate{switcher.HealthyShare{Min: 0.5}} })
	s.agrees(blue, 1, e)
	e.health("app", green, false)
	index := s.trigger(`{"to": "green", "gate_timeout": "300ms"}`)
	wantWords(t, e.reports(index, Refused).Reason, "healthy", "http: got 500")
}

func TestALockRefusesTriggers(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	s.must(second(e.Lock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0", Reason: "match day"})))
	index := s.trigger("green")
	wantWords(t, e.reports(index, Locked).Reason, "match day")
	s.must(second(e.Unlock(t.Context(), switcher.Request{Services: []string{"app"}, By: "uid 0"})))
	index = s.trigger("green now")
	e.reports(index, Applied)
}

func TestATriggerDuringAMoveIsAConflictUnlessItGoesThereToo(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	d := &door{}
	d.set(switcher.Wait, "not yet")
	e := s.edge(server.Address, "edge-1", func(e *edge) { e.gates = []switcher.Gate{d} })
	s.agrees(blue, 1, e)
	first := s.trigger("green")
	e.reports(first, Waiting)
	id := e.view().Cutover.ID
	e.reports(s.trigger("blue"), Conflict)
	same := s.trigger("green as well")
	e.reports(same, Waiting)
	if c := e.view().Cutover; c == nil || c.ID != id {
		t.Errorf("the move under way is %+v, want %s", c, id)
	}
	d.set(switcher.Pass, "")
	e.reports(same, Applied)
	s.agrees(green, 2, e)
}

func TestTheLaterOfSocketAndTriggerWins(t *testing.T) {
	t.Parallel()
	server := consultest.Shared(t)
	s := newStage(t, server)
	e := s.edge(server.Address, "edge-1")
	s.agrees(blue, 1, e)
	for epoch := uint64(2); epoch < 8; epoch += 2 {
		e.cutover(green)
		s.agrees(green, epoch, e)
		index := s.trigger("blue after the socket, " + time.Now().String())
		e.reports(index, Applied)
		s.agrees(blue, epoch+1, e)
	}
}

func second[T any](_ T, err error) error { return err }
