package cli

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// closedGateOf is a gate that waits for ever.
type closedGateOf string

func (closedGateOf) Name() string { return "test" }

func (g closedGateOf) Check(context.Context, switcher.GateInput) switcher.Verdict {
	return switcher.Verdict{Reason: string(g)}
}

var errDown = errors.New("the stream broke")

// fakeEdge is an edge that says what a test puts into it.
type fakeEdge struct {
	edge   // commands are not for it
	stream chan update

	mu    sync.Mutex
	views []switcher.ServiceView // guarded by mu; nil: down
	moves []switcher.Move        // guarded by mu
	looks int                    // guarded by mu
	page  switcher.StreamPage    // guarded by mu; what Streams answers
	asked []switcher.StreamQuery // guarded by mu
}

func newFakeEdge(views ...switcher.ServiceView) *fakeEdge {
	return &fakeEdge{stream: make(chan update), views: views}
}

// becomes replaces what Services answers.
func (f *fakeEdge) becomes(views ...switcher.ServiceView) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.views = views
}

func (f *fakeEdge) Services(context.Context) ([]switcher.ServiceView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	if f.views == nil {
		return nil, errDown
	}
	return append([]switcher.ServiceView{}, f.views...), nil
}

func (f *fakeEdge) History(context.Context, string) ([]switcher.Move, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moves, nil
}

func (f *fakeEdge) Streams(_ context.Context, _ string, q switcher.StreamQuery) (switcher.StreamPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	return f.page, nil
}

// Events hands on what is in the stream; an update that is down breaks it.
func (f *fakeEdge) Events(ctx context.Context, _ ...string) iter.Seq2[control.Update, error] {
	return func(yield func(control.Update, error) bool) {
		for {
			select {
			case u := <-f.stream:
				if !yield(u.Update, u.down) || u.down != nil {
					return
				}
			case <-ctx.Done():
				yield(control.Update{}, ctx.Err())
				return
			}
		}
	}
}

func (f *fakeEdge) says(e switcher.Event) { f.stream <- update{Update: control.Update{Event: e}} }
func (f *fakeEdge) greets(views ...switcher.ServiceView) {
	f.stream <- update{Update: control.Update{Hello: views}}
}
func (f *fakeEdge) breaks() { f.stream <- update{down: errDown} }
