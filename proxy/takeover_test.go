package proxy

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
	"github.com/greenroom-proxy/greenroom/switcher/file"
)

// successor is a runtime that is to take over in this process, and the
// conversation as the old process has it.
type successor struct {
	t *testing.T
	*runtime
	app  *App
	disk *file.Store // of the old process
	*handover.Conn
	over chan error // of takeOver
}

// rehearsing is a successor of a process whose service "app" is on a ramp.
func rehearsing(t *testing.T) *successor {
	t.Helper()
	dir := t.TempDir()
	disk, err := file.OpenStore(dir)
	must(t, err)
	t.Cleanup(func() { _ = disk.Close() })
	sw := switcher.New(disk, switcher.Hooks{}, nil)
	stop := goUntilStopped(sw.Run)
	must(t, sw.Configure(t.Context(), map[string]switcher.Config{"app": {}}))
	makeReady(t, sw)
	ramp := switcher.Ramp{{Weight: 10, Hold: time.Hour}}
	_, err = sw.Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green, Ramp: &ramp})
	must(t, err)
	stop()

	ours, theirs := net.Pipe()
	lock, err := disk.Lock()
	must(t, err)
	rt := &runtime{
		log: slog.New(slog.DiscardHandler), stateDir: dir, standsIn: true, disk: understudy{dir},
		predecessor: &handover.Predecessor{Conn: handover.NewConn(theirs), Inherited: lock},
	}
	rt.switcher = switcher.New(rt, switcher.Hooks{Moved: rt.moved, Elsewhere: rt.elders.inflight}, nil)
	t.Cleanup(goUntilStopped(rt.switcher.Run))
	must(t, rt.switcher.Understudy(t.Context()))
	must(t, rt.switcher.Restore(t.Context()))
	must(t, rt.switcher.Configure(t.Context(), map[string]switcher.Config{"app": {}}))
	makeReady(t, rt.switcher)
	app := &App{Control: &Control{Socket: filepath.Join(dir, "s"), Audit: filepath.Join(dir, "audit")}, runtime: rt}
	s := &successor{t: t, runtime: rt, app: app, disk: disk, Conn: handover.NewConn(ours), over: make(chan error, 1)}
	go func() { s.over <- rt.takeOver(app) }()
	t.Cleanup(func() {
		_ = s.Close()
		until(t, "no elder is followed any more", func() bool { return len(rt.elders.all()) == 0 })
		rt.mu.Lock()
		defer rt.mu.Unlock()
		rt.closeControl()
	})
	return s
}

func makeReady(t *testing.T, sw *switcher.Switcher) {
	t.Helper()
	pools := switcher.Pools{Blue: []switcher.Upstream{{Address: "10.0.0.1:1"}}, Green: []switcher.Upstream{{Address: "10.0.0.2:1"}}}
	endpoints, err := sw.SetPools(context.Background(), "app", pools)
	must(t, err)
	for _, e := range endpoints {
		sw.SetHealth(e, switcher.Health{Healthy: true, Known: true})
	}
}

// hears is the next document as it comes.
func (s *successor) hears() string {
	s.t.Helper()
	var doc json.RawMessage
	must(s.t, s.Receive(&doc, time.Minute))
	return string(doc)
}

func (s *successor) says(doc any) {
	s.t.Helper()
	must(s.t, s.Send(doc, time.Minute))
}

func TestATakeoverIsSettledBeforeAnyCommandIsHeardAndBeforeTheOldProcessIsCalled(t *testing.T) {
	s := rehearsing(t)
	if doc := s.hears(); !strings.Contains(doc, "state_dir") {
		t.Fatalf("the new process is ready with %s", doc)
	}
	s.says(offer{Highest: 3200, Report: *onBlue(2)})
	// Taking the ramp up is a move, of which the old one is not told yet: it
	// would take that for the end of the handover.
	equal(t, "after the offer", s.hears(), "{}")
	client := control.NewClient(s.app.Control.Socket)
	if _, err := client.Lock(t.Context(), switcher.Request{Services: []string{"app"}, Reason: "r"}); err == nil {
		t.Error("a command was taken that the old process would know nothing of if it went on")
	}
	if s.settled() == nil {
		t.Error("a config is taken while the handover may still fail")
	}
	s.says(goodbye{})
	var c elderCall
	must(t, s.Receive(&c, time.Minute))
	if len(c.Follow) != 1 || c.Follow[0].Service != "app" || c.Follow[0].Split != switcher.Weighted(switcher.Green, 10) {
		t.Errorf("the old process is to follow %+v", c.Follow)
	}
	if e := s.elders.listening(); e == nil {
		t.Error("the old process is not known to listen")
	}
	go func() { // it answers from now on
		for s.Send(onBlue(2), time.Minute) == nil && s.Receive(new(elderCall), time.Minute) == nil {
		}
	}()
	must(t, <-s.over)
	_, err := client.Lock(t.Context(), switcher.Request{Services: []string{"app"}, Reason: "r"})
	must(t, err)
	var view switcher.ServiceView
	until(t, "two are in flight on blue", func() bool { // one more while it is not known that the old process has followed
		view, err = client.View(t.Context(), "app")
		must(t, err)
		return view.Blue.Inflight == 2
	})
	if view.Split != switcher.Weighted(switcher.Green, 10) || view.Cutover == nil || view.Cutover.Held != nil {
		t.Errorf("the ramp became %+v", view)
	}
	if n := s.ledger.highest(); n < 3200 {
		t.Errorf("numbers go on at %d", n)
	}
	must(t, s.settled())
}

func TestAnOldProcessThatEndsInTheHandoverIsNotWaitedFor(t *testing.T) {
	s := rehearsing(t)
	s.hears()
	s.says(offer{Report: *onBlue(2)})
	equal(t, "after the offer", s.hears(), "{}")
	must(t, s.Close())
	must(t, <-s.over)
	client := control.NewClient(s.app.Control.Socket)
	view, err := client.View(t.Context(), "app")
	must(t, err)
	equal(t, "in-flight of blue", view.Blue.Inflight, 0) // they have ended with it
	_, err = client.Abort(t.Context(), switcher.Request{Services: []string{"app"}})
	must(t, err)
}

func TestATakeoverThatFailsMakesNoSocketAndSaysWhy(t *testing.T) {
	s := rehearsing(t)
	s.app.Control.Socket = filepath.Join(s.app.Control.Audit, "s") // below a file
	s.hears()
	s.says(offer{Report: *onBlue(0)})
	if err := <-s.over; err == nil || !strings.Contains(err.Error(), "control") {
		t.Errorf("got %v", err)
	}
	must(t, s.disk.Reclaim()) // the old process goes on
	equal(t, "control", s.control, nil)
	for _, e := range s.elders.all() {
		s.elders.drop(e)
	}
}

func TestAnOldProcessThatOffersNothingIsNotTakenOverFrom(t *testing.T) {
	for name, doc := range map[string]any{"nonsense": "no", "another document": []int{1}} {
		s := rehearsing(t)
		s.hears()
		s.says(doc)
		if err := <-s.over; err == nil || !strings.Contains(err.Error(), "offered nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := rehearsing(t)
	s.hears()
	must(t, s.Close())
	if err := <-s.over; err == nil {
		t.Error("no error")
	}
}
