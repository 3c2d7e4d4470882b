package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// resting and moved are a service before, during and after the move "m1".
func resting() switcher.ServiceView {
	return switcher.ServiceView{Name: "app", Generation: 1, Active: switcher.Blue, Split: switcher.All(switcher.Blue)}
}

func underWay(phase switcher.Phase) switcher.ServiceView {
	v := resting()
	v.Phase = phase
	v.Cutover = &switcher.CutoverView{Cutover: switcher.Cutover{ID: "m1", Kind: switcher.KindCutover, Services: []string{"app"}, From: switcher.Blue, To: switcher.Green}}
	return v
}

func moved() switcher.ServiceView {
	v := resting()
	v.Active, v.Split, v.Generation = switcher.Green, switcher.All(switcher.Green), 2
	v.Last = &switcher.Move{ID: "m1", Result: switcher.ResultDone, Evicted: 2}
	return v
}

func ended(id string) switcher.Event {
	return switcher.Event{Type: switcher.EventEnd, Service: "app", ID: id, Kind: switcher.KindCutover, Result: switcher.ResultDone, Drained: switcher.Duration(time.Second)}
}

// waiting is an await in a bubble.
type waiting struct {
	*waiter
	edge *fakeEdge
	out  *output
	err  chan error
}

// awaitIn starts to wait for the move m1 that edge has under way.
func awaitIn(t *testing.T, e *fakeEdge) *waiting {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := &waiting{edge: e, out: newOutput(), err: make(chan error, 1)}
	receipt := switcher.Receipt{ID: "m1", Changed: true, Services: []switcher.ServiceView{underWay(switcher.Preparing)}}
	w.waiter = &waiter{edge: e, feed: newFeed(e, nil), f: newFollow(receipt, nil), show: &teletype{w: w.out, start: time.Now()}}
	go w.feed.run(ctx)
	e.greets(resting())
	_, err := w.feed.greet(ctx)
	must(t, err)
	go func() { w.err <- w.await(ctx) }()
	return w
}

// goesOn fails the test if the wait has ended.
func (w *waiting) waitsStill(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-w.err:
		t.Fatalf("the wait has ended: %v\n%s", err, w.out)
	default:
	}
}

func TestTheWaitEndsWithTheEventOfTheMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awaitIn(t, newFakeEdge(underWay(switcher.Draining)))
		w.edge.says(ended("other"))
		w.waitsStill(t)
		w.edge.says(ended("m1"))
		must(t, <-w.err)
		if w.f.drained != switcher.Duration(time.Second) {
			t.Errorf("drained in %s", w.f.drained)
		}
	})
}

func TestAnEndThatWasLostIsFoundByLooking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awaitIn(t, newFakeEdge(underWay(switcher.Draining)))
		w.waitsStill(t)
		w.edge.becomes(moved())
		w.edge.says(switcher.Event{Type: switcher.EventLost})
		must(t, <-w.err)
		if e := w.f.endings["app"]; e.result != switcher.ResultDone || e.evicted != 2 {
			t.Errorf("%+v", e)
		}
	})
}

func TestAnEndDuringABrokenStreamIsFoundInHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awaitIn(t, newFakeEdge(underWay(switcher.Draining)))
		w.waitsStill(t)
		next := moved()
		next.Last = &switcher.Move{ID: "m2", Result: switcher.ResultDone}
		w.edge.becomes()
		w.edge.breaks()
		w.waitsStill(t)
		w.edge.moves = []switcher.Move{*next.Last, {ID: "m1", Result: switcher.ResultAborted, Detail: "bob"}}
		w.edge.becomes(next)
		w.edge.greets(next)
		must(t, <-w.err)
		if result, detail := w.f.result(); result != switcher.ResultAborted || detail != "bob" {
			t.Errorf("%s: %s", result, detail)
		}
		for _, want := range []string{"the event stream broke", "the event stream is back"} {
			if !strings.Contains(w.out.String(), want) {
				t.Errorf("no %q in:\n%s", want, w.out)
			}
		}
	})
}

func TestAHelloFromBeforeTheMoveEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awaitIn(t, newFakeEdge(underWay(switcher.Draining)))
		w.edge.greets(resting())
		w.waitsStill(t)
	})
}

func TestAMoveThatNobodyKnowsEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awaitIn(t, newFakeEdge(resting()))
		must(t, <-w.err)
		if result, detail := w.f.result(); result != switcher.ResultInterrupted || !strings.Contains(detail, "no longer knows") {
			t.Errorf("%s: %s", result, detail)
		}
	})
}

func TestAServiceThatIsRemovedEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := resting()
		other.Name = "other"
		w := awaitIn(t, newFakeEdge(other))
		must(t, <-w.err)
		if result, detail := w.f.result(); result != switcher.ResultInterrupted || !strings.Contains(detail, "removed") {
			t.Errorf("%s: %s", result, detail)
		}
	})
}

func TestAnEdgeThatStaysAwayEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awaitIn(t, newFakeEdge())
		w.edge.breaks()
		synctest.Wait()
		for range 14 {
			time.Sleep(2 * time.Second)
			w.edge.breaks()
		}
		w.waitsStill(t)
		if err := <-w.err; !errors.Is(err, control.ErrUnreachable) {
			t.Error(err)
		}
	})
}

func TestALongDrainSaysNowAndThenHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := underWay(switcher.Draining)
		v.Cutover.Draining = &switcher.DrainView{Color: switcher.Blue, Initial: 10, Inflight: 4, Deadline: time.Now().Add(time.Minute), ETA: time.Now().Add(20 * time.Second)}
		w := awaitIn(t, newFakeEdge(v))
		time.Sleep(25 * time.Second)
		w.waitsStill(t)
		if n := strings.Count(w.out.String(), "4 of 10 in-flight, about "); n != 2 {
			t.Errorf("%d times in:\n%s", n, w.out)
		}
	})
}

func TestAMoveThatIsBeingUndoneIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := underWay(switcher.Draining)
		v.Cutover.Ending, v.Cutover.Detail = switcher.ResultAborted, "bob: too slow"
		w := awaitIn(t, newFakeEdge(v))
		time.Sleep(25 * time.Second)
		w.waitsStill(t)
		if n := strings.Count(w.out.String(), "the move is being undone (aborted): bob: too slow"); n != 1 {
			t.Errorf("%d times in:\n%s", n, w.out)
		}
	})
}

func TestAGroupIsWaitedForAsAWhole(t *testing.T) {
	api := underWay(switcher.Draining)
	api.Name = "api"
	f := newFollow(switcher.Receipt{ID: "m1", Services: []switcher.ServiceView{underWay(switcher.Draining), api}}, nil)
	f.event(ended("m1"))
	if f.done() {
		t.Error("done with half of the group")
	}
	e := ended("m1")
	e.Service = "api"
	f.event(e)
	if !f.done() || !f.ended() {
		t.Error("not done with all of it")
	}
}

func TestASplitIsWaitedForUntilItServes(t *testing.T) {
	until := switcher.Weighted(switcher.Green, 25)
	f := newFollow(switcher.Receipt{ID: "m1", Services: []switcher.ServiceView{underWay(switcher.Preparing)}}, &until)
	f.event(switcher.Event{Type: switcher.EventSplit, Service: "app", ID: "m1", Split: switcher.Weighted(switcher.Green, 10)})
	if f.done() {
		t.Error("done at another split")
	}
	f.event(switcher.Event{Type: switcher.EventSplit, Service: "app", ID: "m1", Split: until})
	if !f.done() || f.ended() {
		t.Error("not done at the split, or ended")
	}
}
