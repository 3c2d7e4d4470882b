package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
	"github.com/greenroom-proxy/greenroom/switcher/file"
)

// upgrade is where this process stands in giving way to the next one.
type upgrade struct {
	successor atomic.Int64 // its pid while it is under way, and when it has taken over; 0: there is none
	failed    atomic.Value // a string: why the last one did not happen
}

// What the two processes say to each other: the new one ready, the old one offer,
// the new one taken, the old one goodbye; then the new one calls and the old one
// answers as an elder.
type (
	// ready: the new process serves as the old one does, but for nobody yet.
	ready struct {
		StateDir string                            `json:"state_dir"`
		Healthy  map[string]switcher.PerColor[int] `json:"healthy"` // upstreams of each service
		Error    string                            `json:"error,omitempty"`
	}
	// offer: the old process has stopped all moves and closed its control
	// socket.
	offer struct {
		Sockets map[string]int `json:"sockets"` // how many it has for each address
		Highest uint64         `json:"highest"` // above the numbers of its streams
		Report  elderReport    `json:"report"`
	}
	// taken: the new process owns the state and gets what is new; or Error.
	taken struct {
		Error string `json:"error,omitempty"`
	}
	goodbye struct{}
)

// lastNumbers is how many numbers the old process keeps for streams that begin in
// it after the offer, so that no two streams have one id.
const lastNumbers = 1 << 24

// How long the two wait for each other.
const (
	readyPatience = time.Minute
	takePatience  = 20 * time.Second
	// lastHandshake is how long the old process waits for handshakes that had
	// begun with it: long enough for one whose last packet is sent again. As
	// those of the new process cannot be told from them, they may never seem
	// to end. lastAccept is how long it accepts those that are complete, and
	// acceptsStep how often it looks.
	lastHandshake = 4 * time.Second
	lastAccept    = time.Minute
	acceptsStep   = 50 * time.Millisecond
	// firstRequest is how long a connection may take to send its first request;
	// net/http takes one for idle after that, too.
	firstRequest = 6 * time.Second
)

// Process implements control.Process.
func (rt *runtime) Process() control.ProcessView {
	failed, _ := rt.upgrade.failed.Load().(string)
	return control.ProcessView{
		Pid: os.Getpid(), Started: rt.started, Successor: int(rt.upgrade.successor.Load()), Failed: failed,
		Elders: rt.elders.views(),
	}
}

// Upgrade implements control.Process.
func (rt *runtime) Upgrade(context.Context) error {
	switch e := rt.elders.listening(); {
	case !handover.Supported:
		return fmt.Errorf("%w: an upgrade needs Linux", switcher.ErrRefused)
	case os.Getpid() == 1:
		return fmt.Errorf("%w: process 1 of a container cannot be replaced in it: start the new version beside it", switcher.ErrRefused)
	case rt.leaving.Load() != nil:
		return fmt.Errorf("%w: this process ends", switcher.ErrConflict)
	case e != nil:
		return fmt.Errorf("%w: process %d, which was here before, still accepts what had come to it: try again in a few seconds", switcher.ErrConflict, e.pid)
	}
	// Whoever has the lock may wait for this command to end, as when it closes the
	// control socket.
	if !rt.mu.TryLock() {
		return fmt.Errorf("%w: a config is being loaded, or the process replaced: try again", switcher.ErrConflict)
	}
	defer rt.mu.Unlock()
	disk, owned := rt.disk.(*file.Store)
	if pid := rt.upgrade.successor.Load(); pid != 0 {
		return fmt.Errorf("%w: process %d is taking over already", switcher.ErrConflict, pid)
	}
	if len(rt.apps) != 1 || rt.stop == nil || !owned {
		return fmt.Errorf("%w: a config is being loaded: try again when it is", switcher.ErrConflict)
	}
	sockets, err := handover.Listening()
	if err != nil {
		return err
	}
	lock, err := disk.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	// Until the new process is ready, all that comes is for this one.
	if err := handover.SteerAll(sockets, func(handover.Socket) (int, bool) { return 0, true }); err != nil {
		return errors.Join(err, release(sockets))
	}
	s, err := handover.Start(lock)
	if err != nil {
		return errors.Join(err, release(sockets))
	}
	rt.upgrade.successor.Store(int64(s.Pid))
	rt.upgrade.failed.Store("")
	rt.log.Info("a new process is to take over", "pid", s.Pid)
	go rt.giveWay(s, sockets)
	return nil
}

func release(sockets []handover.Socket) error {
	handover.Release(sockets)
	return nil
}

// giveWay sees an upgrade through.
func (rt *runtime) giveWay(s *handover.Successor, sockets []handover.Socket) {
	err := rt.handOver(s, sockets)
	if err == nil {
		rt.becomeElder(s, sockets)
		return
	}
	_ = s.Close()
	s.Kill()
	handover.Release(sockets)
	if err := restorePidFile(os.Args); err != nil {
		rt.log.Warn("the file with this process's pid", "error", err)
	}
	rt.upgrade.failed.Store(fmt.Sprintf("process %d did not take over: %s", s.Pid, err))
	rt.upgrade.successor.Store(0)
	rt.log.Error("the upgrade did not happen; this process goes on", "pid", s.Pid, "error", err)
}

// dismiss ends a process that does not take over because of err, and what it
// holds with it. One that has hung up is ending, and its end says more than err.
func dismiss(s *handover.Successor, err error) error {
	_ = s.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		select {
		case <-s.Exited():
			err = fmt.Errorf("it has ended, %s; the log says why", s.State())
		case <-time.After(takePatience):
		}
	}
	s.Kill()
	return err
}

// handOver gives the successor all that only one process can have. On an error
// this one has it again.
func (rt *runtime) handOver(s *handover.Successor, sockets []handover.Socket) error {
	var r ready
	if err := s.Receive(&r, readyPatience); err != nil {
		return fmt.Errorf("waiting until it is ready, at most %s: %w", readyPatience, dismiss(s, err))
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if err := rt.fit(&r); err != nil {
		return err
	}
	app := rt.apps[0]
	rt.leaveFleet()
	rt.closeControl()
	err := rt.switcher.HandOver(context.Background(), func() error {
		o := offer{Sockets: handover.Count(sockets), Highest: rt.ledger.highest() + lastNumbers, Report: *rt.answerElder(elderCall{})}
		if err := s.Send(o, takePatience); err != nil {
			return err
		}
		var t taken
		err := s.Receive(&t, takePatience)
		if err == nil && t.Error != "" {
			err = errors.New(t.Error)
		}
		return err
	})
	if err == nil {
		if err := rt.disk.(*file.Store).Leave(); err != nil {
			rt.log.Warn("the state directory", "error", err)
		}
		_ = s.Send(goodbye{}, takePatience) // it has taken over, and may have ended since
		return nil
	}
	err = dismiss(s, err) // it may hold the control socket until it has ended
	if err := rt.disk.(*file.Store).Reclaim(); err != nil {
		rt.log.Warn("the state directory", "error", err)
	}
	plane, reopened := rt.openControl(app.Control)
	if reopened != nil {
		return errors.Join(err, fmt.Errorf("the control socket cannot be opened again, reload the config for that: %w", reopened))
	}
	app.plane = plane
	rt.takeControl(plane)
	rt.takeFleet(app)
	return err
}

// fit reports why the successor cannot serve as this process does.
func (rt *runtime) fit(r *ready) error {
	switch {
	case r.Error != "":
		return errors.New(r.Error)
	case rt.leaving.Load() != nil:
		return errors.New("this process has been asked to end")
	case len(rt.apps) != 1:
		return errors.New("a config is being loaded meanwhile")
	case r.StateDir != rt.stateDir:
		return fmt.Errorf("its config has another state_dir, %s: that needs a restart", r.StateDir)
	}
	for name := range rt.supervisors {
		t := rt.switcher.Service(name).Table()
		theirs, wanted := r.Healthy[name]
		if t == nil || !wanted {
			continue
		}
		for _, c := range switcher.Colors {
			if h := t.Pools.Of(c).Health(); t.Split.Weight(c) > 0 && h.Healthy > 0 && theirs.Of(c) == 0 {
				return fmt.Errorf("it finds no healthy upstream of %s's %s, and this process finds %d", name, c, h.Healthy)
			}
		}
	}
	return nil
}

// becomeElder serves what is left here until it has ended by itself or by the
// drains of the process that has taken over, and then ends this one.
func (rt *runtime) becomeElder(s *handover.Successor, sockets []handover.Socket) {
	app := rt.inForce.Load()
	if app == nil {
		return // Caddy is ending this process
	}
	rt.log.Info("process "+fmt.Sprint(s.Pid)+" has taken over; this one ends with its last stream", "pid", s.Pid)
	notifyMainPid(s.Pid)
	hurry := make(chan os.Signal, 1)
	signal.Reset(syscall.SIGTERM, os.Interrupt) // Caddy would end at once
	signal.Notify(hurry, syscall.SIGTERM, os.Interrupt)
	l := rt.leave(app, 0)
	app.lingers()
	app.http().ShutdownDelay = 0
	rt.accepting.Store(true)
	go rt.serveElder(s)
	go func() {
		acceptLast(sockets)
		for _, s := range sockets {
			_ = handover.Quiet(s) // it is closed already
		}
		rt.accepting.Store(false)
		// What was accepted may not have sent its first request yet, as in a TLS
		// handshake over a long way: net/http drops that once it shuts down.
		time.Sleep(firstRequest)
		_ = caddy.Stop() // says in the log what fails
	}()
	// Other handlers of Caddy have requests, too.
	for rt.accepting.Load() || !rt.ledger.empty() || len(rt.elders.all()) > 0 || handover.Serving(sockets) {
		select {
		case <-hurry:
			l.within(l.grace)
			rt.elders.leave(l.grace)
		case <-time.After(lastCallStep):
		}
		if l.over(time.Now()) {
			rt.ledger.cutAll(errExit)
			break
		}
	}
	os.Exit(0)
}

// acceptLast waits until all that had come to the sockets has been accepted.
func acceptLast(sockets []handover.Socket) {
	began := time.Now()
	for time.Since(began) < lastAccept {
		time.Sleep(acceptsStep)
		// In this order: a handshake that ends goes into the queue.
		shaking := time.Since(began) < lastHandshake && handover.Shaking(sockets)
		if !shaking && !handover.Queued(sockets) {
			return
		}
	}
}

var _ control.Process = (*runtime)(nil)
