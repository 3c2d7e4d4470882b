package proxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/file"
)

// stateStore is where state is kept.
type stateStore interface {
	switcher.Store
	Close() error
}

// settled refuses a config while the process is being replaced.
func (rt *runtime) settled() error {
	switch pid := rt.upgrade.successor.Load(); {
	case pid != 0:
		return fmt.Errorf("process %d is taking over from this one: load the config there when it has", pid)
	case rt.standsIn:
		return errors.New("this process has not taken over yet: try again when it has")
	}
	return nil
}

// open starts the switcher, the first time.
func (rt *runtime) open(app *App) error {
	if rt.stop != nil {
		if app.StateDir != rt.stateDir {
			return fmt.Errorf("state_dir: cannot change from %s to %s in a reload: restart the edge for that", rt.stateDir, app.StateDir)
		}
		return nil
	}
	if rt.closed {
		return errors.New("an earlier config is still being taken down: load this one again")
	}
	var err error
	if rt.standsIn = rt.predecessor != nil; rt.standsIn {
		rt.disk = understudy{app.StateDir}
	} else if rt.disk, err = file.OpenStore(app.StateDir); err != nil {
		return err
	}
	rt.stateDir = app.StateDir
	ctx, cancel := context.WithCancel(context.Background())
	rt.background.Go(func() { rt.switcher.Run(ctx) })
	if rt.standsIn {
		if err := rt.switcher.Understudy(ctx); err != nil {
			cancel()
			return err
		}
	}
	rt.background.Go(func() { rt.forwardEvents(ctx) })
	rt.background.Go(func() { rt.obeySignals(ctx) })
	rt.stop = cancel
	if err := rt.switcher.Restore(ctx); err != nil {
		rt.log.Error("the stored state cannot be used as it is", "error", err,
			"goes_on_with", map[bool]string{true: "an older state", false: "the config"}[errors.Is(err, switcher.ErrStale)])
	}
	active.Store(rt)
	return nil
}
