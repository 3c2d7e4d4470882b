package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"sync"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// fleetPost is this edge's place in a fleet while it is taken.
type fleetPost struct {
	key   string // of the config
	fleet *consul.Fleet
	stop  func() // waits
}

// fleetKey tells whether a reload changed the fleet; empty for none.
func (app *App) fleetKey() string {
	if app.Consul == nil || app.Consul.Fleet == nil {
		return ""
	}
	return fmt.Sprintf("%+v %+v", app.Consul.Config, *app.Consul.Fleet)
}

// prepareFleet makes what can still fail when the config starts.
func (app *App) prepareFleet(log *slog.Logger) error {
	if app.fleetKey() == "" {
		return nil
	}
	client, err := app.loadConsul(log)
	if err != nil {
		return err
	}
	config := *app.Consul.Fleet
	prefix := config.Prefix
	if prefix == "" {
		prefix = consul.DefaultPrefix
	}
	// What is remembered are indexes and epochs, which mean nothing below
	// another prefix.
	config.Dir = filepath.Join(app.StateDir, "fleet", url.PathEscape(prefix))
	config.Log = log
	config.Noticed = app.runtime.noticed
	app.fleet, err = consul.NewFleet(client, config)
	return err
}

// takeFleet makes the place of app's config the one that is held. The caller
// holds mu.
func (rt *runtime) takeFleet(app *App) {
	post := rt.fleet.Load()
	key := app.fleetKey()
	if post != nil && post.key == key {
		return
	}
	rt.leaveFleet()
	if app.fleet == nil {
		return
	}
	fleet := app.fleet
	rt.fleet.Store(&fleetPost{key, fleet, goUntilStopped(func(ctx context.Context) {
		_ = fleet.Run(ctx, fleetMover{rt.switcher, rt}) // it ends with ctx
	})})
}

// leaveFleet gives the place up, if there is one. The caller holds mu.
func (rt *runtime) leaveFleet() {
	if post := rt.fleet.Swap(nil); post != nil {
		post.stop()
	}
}

// beginOn returns the color that a service begins on which has no state of its
// own: what its fleet has agreed on, if Consul says so in time. The services are
// asked for side by side.
func (rt *runtime) beginOn(ctx context.Context, fleet *consul.Fleet, configs map[string]switcher.Config) {
	if fleet == nil {
		return
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	for _, name := range slices.Collect(maps.Keys(configs)) { // configs changes meanwhile
		if known, err := rt.switcher.Knows(ctx, name); known || err != nil {
			continue
		}
		asking.Go(func() {
			active, agreed, err := fleet.InitialActive(ctx, name)
			log := rt.log.With("service", name)
			switch {
			case err != nil:
				log.Warn("the fleet cannot be asked for the active color: the service begins on that of the config, and follows later", "error", err)
			case agreed:
				mu.Lock()
				defer mu.Unlock()
				c := configs[name]
				c.Active = active
				configs[name] = c
				log.Info("the service begins on the fleet's color", "active", active)
			}
		})
	}
	asking.Wait()
}

// fleetMover is the switcher as a fleet sees it: each move is in the audit log
// before it is made.
type fleetMover struct {
	*switcher.Switcher
	rt *runtime
}

// Cutover implements consul.Mover.
func (m fleetMover) Cutover(ctx context.Context, req switcher.CutoverRequest) (switcher.Receipt, error) {
	return m.rt.handler.Load().Deputy().Cutover(ctx, req)
}

// Rollback implements consul.Mover.
func (m fleetMover) Rollback(ctx context.Context, req switcher.RollbackRequest) (switcher.Receipt, error) {
	return m.rt.handler.Load().Deputy().Rollback(ctx, req)
}

// warn is the switcher's hook for what else status warns of.
func (rt *runtime) warn(service string) []string {
	if post := rt.fleet.Load(); post != nil {
		if trouble := post.fleet.Trouble(service); trouble != "" {
			return []string{"fleet: " + trouble}
		}
	}
	return nil
}

// noticed accounts for a value in Consul's KV. What became a command is in the
// audit log already. Keys that cannot be read have a metric of their own.
func (rt *runtime) noticed(n consul.Notice) {
	if n.Service != "" {
		rt.metrics.noticed(n)
	}
	code := control.CodeConflict
	switch n.Result {
	case consul.Malformed, consul.Unreadable:
		code = control.CodeInvalid
	case consul.Stale, consul.Deleted, consul.Diverged:
	default:
		return
	}
	detail := fmt.Sprintf("%s (index %d): %s", n.Key, n.Index, n.Reason)
	if n.Index == 0 {
		detail = n.Key + ": " + n.Reason
	}
	rt.handler.Load().Deputy().Refused("consul kv", n.Service, code, detail)
}

// reportFleet answers the control socket.
func (rt *runtime) reportFleet(ctx context.Context) (any, error) {
	post := rt.fleet.Load()
	if post == nil {
		return nil, nil
	}
	return post.fleet.Report(ctx), nil
}

var _ consul.Mover = fleetMover{}
