package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/file"
)

// rehearsal is how long a new process checks its upstreams before it tells the old
// one what it has found, at most; rehearsalStep how often it looks. secondLook is
// how long it gives upstreams that failed at first, as they do when a machine that
// starts a process is slow.
const (
	rehearsal     = 30 * time.Second
	rehearsalStep = 10 * time.Millisecond
	secondLook    = 5 * time.Second
)

// understudy is the store of a process that is to take over: it reads what is
// another's.
type understudy struct{ dir string }

func (u understudy) Load(context.Context) (switcher.State, error) { return file.Peek(u.dir) }

func (understudy) Save(context.Context, switcher.State) error {
	return errors.New("the state is another process's still")
}

func (understudy) Close() error { return nil }

// debut is told when all apps of a config have started, the HTTP server among them:
// before, there may be no listener yet, and there may never be.
type debut struct{ app *App }

// Handle implements caddyevents.Handler.
func (d debut) Handle(context.Context, caddy.Event) error {
	rt := d.app.runtime
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.standsIn {
		go rt.standIn(d.app)
	}
	return nil
}

// standIn takes over from the process that has started this one, as soon as this
// one can serve as well.
func (rt *runtime) standIn(app *App) {
	err := rt.takeOver(app)
	if err == nil {
		return
	}
	rt.log.Error("this process cannot take over, and ends", "error", err)
	rt.mu.Lock()
	if app.plane != nil {
		_ = rt.dropControl(app.plane) // which removes the socket; the end of this process does the rest
	}
	rt.mu.Unlock()
	_ = rt.predecessor.Send(taken{Error: err.Error()}, takePatience) // it sees the end, too
	os.Exit(1)
}

func (rt *runtime) takeOver(app *App) error {
	old := rt.predecessor
	if err := old.Send(rt.rehearse(app), takePatience); err != nil {
		return err
	}
	var o offer
	if err := old.Receive(&o, takePatience); err != nil {
		return fmt.Errorf("the process before has offered nothing: %w", err)
	}
	o.Report.Listening = true // until it says otherwise
	e := newElder(os.Getppid(), old.Conn, &o.Report)
	rt.ledger.beginAt(o.Highest)
	if err := rt.adopt(app, old.Inherited, e); err != nil {
		return err
	}
	sockets, err := handover.Listening()
	if err != nil {
		return err
	}
	// When the sockets before ours are closed there is none at that index any
	// more, and the kernel chooses.
	steer := func(s handover.Socket) (int, bool) {
		before, shared := o.Sockets[s.Key()]
		return before, shared && s.Network == "tcp"
	}
	if err := handover.SteerAll(sockets, steer); err != nil {
		return err
	}
	if err := old.Send(taken{}, takePatience); err != nil {
		return err
	}
	var g goodbye
	if err := old.Receive(&g, takePatience); err != nil {
		rt.log.Warn("the process before has ended, and its streams with it", "error", err)
		handover.Release(sockets)
		rt.elders.drop(e)
	} else {
		if err := e.begin(); err != nil {
			rt.log.Warn("the process before does not answer", "error", err)
		}
		go rt.elders.follow(e)
	}
	rt.takeCommand(app)
	rt.log.Info("this process has taken over", "from", e.pid)
	return nil
}

// rehearse waits until all upstreams have been checked, and says what came of it.
func (rt *runtime) rehearse(app *App) ready {
	began := time.Now()
	for now := began; now.Sub(began) < rehearsal && !rehearsed(app, now.Sub(began) < secondLook); now = time.Now() {
		time.Sleep(rehearsalStep)
	}
	r := ready{StateDir: rt.stateDir, Healthy: make(map[string]switcher.PerColor[int])}
	for name, e := range app.edges {
		if t := e.service.Table(); t != nil {
			r.Healthy[name] = switcher.PerColor[int]{Blue: t.Pools.Blue.Health().Healthy, Green: t.Pools.Green.Health().Healthy}
		}
	}
	return r
}

// rehearsed reports whether there is a verdict on all upstreams, and, if well, a
// good one wherever there is traffic.
func rehearsed(app *App, well bool) bool {
	return !slices.ContainsFunc(slices.Collect(maps.Values(app.edges)), func(e *edge) bool {
		t := e.service.Table()
		return t == nil || !t.Pools.Blue.Settled() || !t.Pools.Green.Settled() || well && e.unable() != nil
	})
}

// adopt makes this process the owner of all that the one before had. Nobody's
// commands are heard yet: that one may still refuse to go, and would not know of
// them.
func (rt *runtime) adopt(app *App, lock *os.File, e *elder) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	disk, err := file.Adopt(rt.stateDir, lock)
	if err != nil {
		return err
	}
	rt.disk = disk
	rt.elders.add(e)
	if err := rt.switcher.TakeOver(context.Background()); err != nil {
		return err
	}
	if app.plane, err = rt.openControl(app.Control); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// takeCommand has this process be moved from now on.
func (rt *runtime) takeCommand(app *App) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.takeControl(app.plane)
	rt.takeFleet(app)
	rt.standsIn = false
}
