package control

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// recorder is a Switcher that remembers what it was asked, with two services.
type recorder struct {
	// before, if set, is called with each command, and may fail it.
	before func(ctx context.Context, action string) error
	// backlog of a subscriber.
	backlog int

	mu    sync.Mutex
	calls []recorded                             // guarded by mu
	locks map[string]*switcher.Lock              // guarded by mu
	seq   uint64                                 // guarded by mu
	subs  map[chan switcher.Event]*bool          // guarded by mu; true: events were lost
	left  chan struct{}                          // gets a value when a subscriber leaves
	views func() ([]switcher.ServiceView, error) // instead of the two services
}

type recorded struct {
	action  string
	request any
}

func newRecorder() *recorder {
	return &recorder{
		backlog: 16, locks: map[string]*switcher.Lock{},
		subs: map[chan switcher.Event]*bool{}, left: make(chan struct{}, 100),
	}
}

func (f *recorder) record(ctx context.Context, action string, base switcher.Request, request any) (switcher.Receipt, error) {
	f.mu.Lock()
	f.calls = append(f.calls, recorded{action, request})
	f.mu.Unlock()
	if f.before != nil {
		if err := f.before(ctx, action); err != nil {
			return switcher.Receipt{}, err
		}
	}
	if base.IfGeneration != nil && *base.IfGeneration != 1 {
		return switcher.Receipt{}, fmt.Errorf("%w: generation 1", switcher.ErrConflict)
	}
	receipt := switcher.Receipt{ID: "m0ve", Changed: true}
	for _, name := range base.Services {
		if !slices.Contains([]string{"app", "web"}, name) {
			return switcher.Receipt{}, fmt.Errorf("service %q: %w", name, switcher.ErrUnknownService)
		}
		receipt.Services = append(receipt.Services, f.view(name))
	}
	return receipt, nil
}

func (f *recorder) asked() []recorded {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *recorder) view(name string) switcher.ServiceView {
	f.mu.Lock()
	defer f.mu.Unlock()
	return switcher.ServiceView{
		Name: name, Generation: 1, Active: switcher.Blue, Split: switcher.All(switcher.Blue), Lock: f.locks[name],
	}
}

func (f *recorder) Services(context.Context) ([]switcher.ServiceView, error) {
	if f.views != nil {
		return f.views()
	}
	return []switcher.ServiceView{f.view("app"), f.view("web")}, nil
}

func (f *recorder) View(ctx context.Context, name string) (switcher.ServiceView, error) {
	_, err := f.record(ctx, "view", switcher.Request{Services: []string{name}}, name)
	return f.view(name), err
}

func (f *recorder) History(ctx context.Context, name string) ([]switcher.Move, error) {
	_, err := f.record(ctx, "history", switcher.Request{Services: []string{name}}, name)
	return nil, err
}

func (f *recorder) Plan(ctx context.Context, req switcher.CutoverRequest) (switcher.Plan, error) {
	_, err := f.record(ctx, "plan", req.Request, req)
	return switcher.Plan{Services: req.Services, From: req.To.Other(), To: req.To}, err
}

func (f *recorder) Cutover(ctx context.Context, req switcher.CutoverRequest) (switcher.Receipt, error) {
	if !req.To.Valid() {
		return switcher.Receipt{}, fmt.Errorf("%w: to", switcher.ErrInvalid)
	}
	for _, name := range req.Services {
		if lock := f.view(name).Lock; lock != nil {
			return switcher.Receipt{}, fmt.Errorf("service %q is %w", name, switcher.ErrLocked)
		}
	}
	return f.record(ctx, "cutover", req.Request, req)
}

func (f *recorder) Split(ctx context.Context, req switcher.SplitRequest) (switcher.Receipt, error) {
	return f.record(ctx, "split", req.Request, req)
}

func (f *recorder) Rollback(ctx context.Context, req switcher.RollbackRequest) (switcher.Receipt, error) {
	return f.record(ctx, "rollback", req.Request, req)
}

func (f *recorder) Drain(ctx context.Context, req switcher.DrainRequest) (switcher.Receipt, error) {
	return f.record(ctx, "drain", req.Request, req)
}

func (f *recorder) Hold(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return f.record(ctx, "hold", req, req)
}

func (f *recorder) Resume(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return f.record(ctx, "resume", req, req)
}

func (f *recorder) Abort(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return f.record(ctx, "abort", req, req)
}

func (f *recorder) Lock(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	receipt, err := f.record(ctx, "lock", req, req)
	if err == nil {
		f.setLock(req.Services, &switcher.Lock{Reason: req.Reason, By: req.By})
	}
	return receipt, err
}

func (f *recorder) Unlock(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	receipt, err := f.record(ctx, "unlock", req, req)
	if err == nil {
		f.setLock(req.Services, nil)
	}
	return receipt, err
}

func (f *recorder) setLock(names []string, lock *switcher.Lock) {
	f.mu.Lock()
	for _, name := range names {
		f.locks[name] = lock
	}
	f.mu.Unlock()
	for _, name := range names {
		f.emit(switcher.Event{Type: switcher.EventLock, Service: name})
	}
}

func (f *recorder) Subscribe() (<-chan switcher.Event, func()) {
	events, lost := make(chan switcher.Event, f.backlog), false
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs[events] = &lost
	return events, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.subs[events] != nil {
			delete(f.subs, events)
			close(events)
			f.left <- struct{}{}
		}
	}
}

// emit reports whether a subscriber lost the event.
func (f *recorder) emit(e switcher.Event) (lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	e.Seq = f.seq
	for sub, behind := range f.subs {
		next := e
		if *behind {
			next = switcher.Event{Type: switcher.EventLost, Seq: e.Seq}
		}
		select {
		case sub <- next:
			*behind = false
		default:
			*behind, lost = true, true
		}
	}
	return lost
}

// close ends all subscriptions, as a Switcher that stops does.
func (f *recorder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for sub := range f.subs {
		delete(f.subs, sub)
		close(sub)
	}
}

func bytesLines(data []byte) iter.Seq[[]byte] {
	return bytes.SplitSeq(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}
