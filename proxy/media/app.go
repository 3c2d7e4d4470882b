package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

func init() { caddy.RegisterModule(App{}) }

// App is the Caddy app that holds what handlers of the type media_edge have in
// common. It need not be configured.
type App struct {
	// The cache of all handlers.
	Cache *Cache `json:"cache,omitempty"`

	handlers []*Handler
	names    map[string]string // config by name
	shared   *shared
	log      *slog.Logger
	begin    func() error // once, and then the same
	cell     *cell        // of the cache; set by begin
	cancel   context.CancelFunc
	keys     []string // of pool; taken by begin
}

// Cache is the config of the cache. It outlives reloads unless it changes.
type Cache struct {
	// How much is kept in memory, in bytes, at least 16 MiB.
	// Default: 256 MiB.
	Memory int64 `json:"memory,omitempty"`

	// A directory for what has no room in memory. Default: none. What is
	// there is found again after a restart.
	Dir string `json:"dir,omitempty"`

	// How much is kept there, in bytes. Required with dir.
	Disk int64 `json:"disk,omitempty"`
}

// pool keeps what outlives a config: caches and origins.
var pool = caddy.NewUsagePool()

// CaddyModule implements caddy.Module.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "greenroom_media", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner. It touches no socket, and writes no
// file.
func (app *App) Provision(ctx caddy.Context) (err error) {
	app.log, app.names = ctx.Slogger(), make(map[string]string)
	if app.Cache == nil {
		app.Cache = new(Cache)
	}
	if err := app.Cache.provision(); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if app.shared, err = loadShared(); err != nil {
		return err
	}
	if err := ctx.GetMetricsRegistry().Register(app.shared.metrics); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	app.begin = sync.OnceValue(app.run)
	return nil
}

func (c *Cache) provision() (err error) {
	switch {
	case c.Memory != 0 && c.Memory < 16<<20:
		return fmt.Errorf("memory is %d: want at least 16 MiB", c.Memory)
	case (c.Dir == "") != (c.Disk == 0):
		return errors.New("dir and disk: want both or none")
	case c.Dir != "" && c.Disk < 64<<20:
		return fmt.Errorf("disk is %d: want at least 64 MiB", c.Disk)
	case c.Dir != "":
		c.Dir, err = filepath.Abs(c.Dir)
	}
	return err
}

// add makes a handler known, before anything is started.
func (app *App) add(h *Handler) error {
	config := digest(struct {
		*Redirect
		*Origin
	}{h.Redirect, h.Origin})
	if other, taken := app.names[h.Name]; taken && other != config {
		return fmt.Errorf("two origins or redirects have the name %q: give one of them another name", h.Name)
	}
	app.names[h.Name] = config
	app.handlers = append(app.handlers, h)
	return nil
}

// Start implements caddy.App.
func (app *App) Start() error {
	if err := app.begin(); err != nil {
		return err
	}
	started.add(app)
	return nil
}

// run opens the cache and wakes the origins. The server may have asked for it
// already: Caddy starts apps in no order.
func (app *App) run() error {
	if len(app.handlers) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	app.cancel = cancel
	key := "cache " + digest(app.Cache)
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return openCell(app.Cache, app.log) })
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	app.cell, app.keys = value.(*cell), append(app.keys, key)
	for _, h := range app.handlers {
		if h.Redirect != nil && h.Redirect.signer != nil {
			go h.Redirect.signer.keys.Run(ctx, 0, app.log)
		}
		if h.source == nil {
			continue
		}
		key := "origin " + h.source.key
		value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return wake(h.source, app.log), nil })
		if err != nil {
			return err
		}
		h.source = value.(*awake).source
		app.keys = append(app.keys, key)
	}
	return nil
}

// Stop implements caddy.App.
func (app *App) Stop() error {
	started.remove(app)
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (app *App) Cleanup() error {
	if app.cancel != nil {
		app.cancel()
	}
	var err error
	for _, key := range app.keys {
		_, e := pool.Delete(key)
		err = errors.Join(err, e)
	}
	app.keys = nil
	if app.shared != nil {
		_, e := pool.Delete(sharedKey)
		err = errors.Join(err, e)
		app.shared = nil
	}
	return err
}

// awake is an origin whose endpoints are checked and whose keys are watched.
type awake struct {
	source *source
	stop   func()
}

func wake(s *source, log *slog.Logger) *awake {
	return &awake{s, background(func(ctx context.Context) {
		var all sync.WaitGroup
		all.Go(func() { s.Run(ctx) })
		if s.keys != nil {
			all.Go(func() { watch(ctx, s.keys, log) })
		}
		all.Wait()
	})}
}

// watch reads a file of keys again and again.
func watch(ctx context.Context, keys *sign.Keys, log *slog.Logger) { keys.Run(ctx, 5*time.Second, log) }

// Destruct implements caddy.Destructor.
func (a *awake) Destruct() error {
	a.stop()
	return nil
}

// background runs f until the function that it returns is called, which waits.
func background(f func(context.Context)) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
