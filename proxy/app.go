package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	_ "github.com/greenroom-proxy/greenroom/internal/h2connect" // before net/http is initialized
	"github.com/greenroom-proxy/greenroom/internal/spool"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
)

func init() { caddy.RegisterModule(App{}) }

// App is the Caddy app that holds the services. Handlers of the type
// blue_green serve them.
type App struct {
	// Where the state of all services is kept, so that it survives a
	// restart. One edge uses a directory at a time; it cannot change in a
	// reload. Default: greenroom in Caddy's data directory.
	StateDir string `json:"state_dir,omitempty"`

	// The control socket.
	Control *Control `json:"control,omitempty"`

	// Where Consul is, for services whose pools come from it, and for a
	// fleet. Default: the agent of this machine, without a token.
	Consul *Consul `json:"consul,omitempty"`

	// What is kept of uploads, so that they can be sent again. Default: up to
	// 64 MiB in memory, and 1 GiB on disk for services that use it.
	Spool *Spool `json:"spool,omitempty"`

	// The services by name: lowercase letters, digits, dots, dashes and
	// underscores, at most 63.
	Services map[string]*Service `json:"services,omitempty"`

	edges     map[string]*edge
	consul    *consul.Client // nil: nothing has asked for it
	fleet     *consul.Fleet  // set by Start; nil: none
	consulKey consul.Config
	plane     *controlPlane // set by Start
	runtime   *runtime
	ctx       caddy.Context
	events    *caddyevents.App
	log       *slog.Logger
	loaded    time.Time
}

// edge is one service as one config wants it served.
type edge struct {
	name      string
	config    *Service
	pools     PoolSource
	source    switcher.Source // of pools; set by Start
	sourceKey string          // of pools
	checks    checkSet
	forwarder Forwarder
	service   *switcher.Service
	runtime   *runtime
	budget    *budget
	leak      *leak
	samples   *samples // nil: nothing is sampled
	onward    *Onward
	spool     spool.Limits
	outcomes  func() *outcomes // made at first use, so that a refused config shows in no metric
}

// CaddyModule implements caddy.Module.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "greenroom", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner. It touches no file and no socket.
func (app *App) Provision(ctx caddy.Context) error {
	app.ctx, app.log, app.loaded = ctx, ctx.Slogger(), time.Now()
	if app.StateDir == "" {
		app.StateDir = defaultStateDir()
	}
	var err error
	if app.StateDir, err = filepath.Abs(app.StateDir); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	if app.Control == nil {
		app.Control = new(Control)
	}
	if err := app.Control.provision(app.StateDir); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if err := app.Consul.provision(); err != nil {
		return err
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	app.events = events.(*caddyevents.App)
	if err := errors.Join(app.events.On("started", debut{app}), app.events.On("stopping", lastWill{app})); err != nil {
		return err
	}
	if app.runtime, err = loadRuntime(); err != nil {
		return err
	}
	if err := app.runtime.metrics.register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	app.edges = make(map[string]*edge, len(app.Services))
	for _, name := range slices.Sorted(maps.Keys(app.Services)) {
		if app.edges[name], err = app.edge(ctx, name, app.Services[name]); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return nil
}

func (app *App) edge(ctx caddy.Context, name string, s *Service) (*edge, error) {
	if !serviceName.MatchString(name) {
		return nil, fmt.Errorf("the name must match %s", serviceName)
	}
	if s == nil {
		return nil, fmt.Errorf("no settings")
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := s.Preview.provision(caddy.NewReplacer()); err != nil {
		return nil, err
	}
	rt := app.runtime
	e := &edge{
		name: name, config: s, service: rt.switcher.Service(name), runtime: rt,
		budget:   rt.budget(name),
		leak:     rt.leak(name),
		samples:  rt.samplesOf(name),
		onward:   app.onward(name, s.Resume),
		outcomes: sync.OnceValue(func() *outcomes { return rt.metrics.of(name) }),
	}
	var err error
	if e.spool, err = app.Spool.limits(s.Replay, app.StateDir); err != nil {
		return nil, err
	}
	if e.checks, err = buildChecks(s.Checks); err != nil {
		return nil, err
	}
	if s.PoolsRaw == nil {
		return nil, fmt.Errorf("no pools: name upstreams (blue, green) or a source (pools file, pools consul)")
	}
	pools, err := ctx.LoadModule(s, "PoolsRaw")
	if err != nil {
		return nil, fmt.Errorf("pools: %w", err)
	}
	e.pools = pools.(PoolSource)
	if e.sourceKey, err = app.sourceKey(e.pools); err != nil {
		return nil, fmt.Errorf("pools: %w", err)
	}
	e.forwarder, err = s.loadForwarder(ctx)
	return e, err
}

// switcherConfig is what the switcher goes by, with the gate that the forwarder has.
func (e *edge) switcherConfig() switcher.Config {
	c := e.config.switcherConfig()
	if fast, ok := e.forwarder.(*fastForwarder); ok {
		c.Gates = append(c.Gates, &ahead{fast, e.config.Forwarder.Ahead})
	}
	return c
}

// prepare makes what can still fail when the config starts.
func (app *App) prepare(log *slog.Logger) (err error) {
	for name, e := range app.edges {
		if e.source, err = e.pools.Source(app.sourceContext(log, e)); err != nil {
			return fmt.Errorf("service %q: pools: %w", name, err)
		}
		if of := e.config.gates.context; of.wantsConsul {
			client, err := app.loadConsul(log)
			if err != nil {
				return fmt.Errorf("service %q: gates: %w", name, err)
			}
			of.consul.Store(client)
		}
		e.outcomes()
	}
	return app.prepareFleet(log)
}

func (app *App) sourceContext(log *slog.Logger, e *edge) SourceContext {
	return SourceContext{
		Log:    log.With("service", e.name),
		Consul: func() (*consul.Client, error) { return app.loadConsul(log) },
		Probed: probed(e.service),
		Memory: filepath.Join(app.StateDir, "pools", e.name+".json"),
	}
}

// Start implements caddy.App: the config comes into force, or is ready to as
// soon as the one before is stopped.
func (app *App) Start() error { return app.runtime.start(app) }

// Stop implements caddy.App: the config is replaced, or was not started.
func (app *App) Stop() error { return app.runtime.withdraw(app) }

// grace is how long tunnels may go on when the process ends: as long as
// Caddy's grace_period lets requests, 10 seconds where that has no end.
func (app *App) grace() time.Duration {
	if h := app.http(); h.GracePeriod > 0 {
		return time.Duration(h.GracePeriod)
	}
	return 10 * time.Second
}

// lingers lets requests that a config, or a process, leaves behind go on for as
// long as they last: HTTP/3 connections end with Caddy's grace period otherwise.
func (app *App) lingers() { app.http().GracePeriod = 0 }

// http is Caddy's app beside this one; an empty one where there is none.
func (app *App) http() *caddyhttp.App {
	value, err := app.ctx.AppIfConfigured("http")
	if h, ok := value.(*caddyhttp.App); ok && err == nil {
		return h
	}
	return new(caddyhttp.App)
}

// Cleanup implements caddy.CleanerUpper.
func (app *App) Cleanup() error {
	if app.runtime == nil {
		return nil
	}
	_, err := runtimes.Delete(runtimeKey)
	return errors.Join(err, app.dropConsul())
}

func (app *App) names() string { return strings.Join(slices.Sorted(maps.Keys(app.Services)), ", ") }

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
