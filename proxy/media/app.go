package media

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

func init() { caddy.RegisterModule(new(App)) }

// App is the Caddy app that holds what handlers of the type media_edge have in
// common. It need not be configured.
type App struct {
	// The cache of all handlers.
	Cache *Cache `json:"cache,omitempty"`

	handlers []*Handler
	names    map[string]string // config by name
	shared   *shared           // nil: not provisioned
	log      *slog.Logger
	life     life
	cell     *cell // of the cache; set by run
	cancel   context.CancelFunc
	keys     []string // of pool; taken by run
}

// Cache is the config of the cache. It outlives reloads unless it changes.
type Cache struct {
	// How much is kept in memory, in bytes, at least 16 MiB.
	// Default: 256 MiB.
	Memory int64 `json:"memory,omitempty"`

	// A directory for what has no room in memory. Default: none. What is
	// there is found again after a restart.
	Dir string `json:"dir,omitempty"`

	// How much is kept there, in bytes, at least 64 MiB. Required with dir.
	Disk int64 `json:"disk,omitempty"`
}

// pool keeps what outlives a config: caches and origins.
var pool = caddy.NewUsagePool()

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "greenroom_media", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner. It touches no socket, and writes no
// file.
func (app *App) Provision(ctx caddy.Context) (err error) {
	app.log, app.names = ctx.Slogger(), make(map[string]string)
	app.life.start()
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
	return nil
}

func (c *Cache) provision() (err error) {
	c.Memory = cmp.Or(c.Memory, 256<<20)
	switch {
	case c.Memory < 16<<20:
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
	if err := app.life.begin(app.run); err != nil {
		return err
	}
	started.add(app)
	return nil
}

// enter is the beginning of a request that needs what run has opened, and
// returns its end. The server may be faster than Start: Caddy starts apps in no
// order.
func (app *App) enter() (leave func(), err error) {
	if !app.life.enter() {
		return nil, errors.New("the config has been taken down")
	}
	leave = func() {
		if app.life.leave() {
			_ = app.release() // nobody is there to hear it
		}
	}
	if err := app.life.begin(app.run); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// run opens the cache and wakes the origins.
func (app *App) run() error {
	if len(app.handlers) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	app.cancel = cancel
	log := afterward(app.log)
	if err := app.Cache.free(); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	value, _, err := app.take("cache "+digest(app.Cache), func() (caddy.Destructor, error) { return openCell(app.Cache, log) })
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	app.cell = value.(*cell)
	for _, h := range app.handlers {
		if h.Redirect != nil && h.Redirect.signer != nil {
			go h.Redirect.signer.keys.Run(ctx, 0, app.log)
		}
		if h.source == nil {
			continue
		}
		value, loaded, err := app.take("origin "+h.source.key, func() (caddy.Destructor, error) { return wake(h.source, log), nil })
		if err != nil {
			return err
		}
		h.source = value.(*awake).source
		if loaded && h.source.keys != nil {
			_, _ = h.source.keys.Refresh() // its Run tells of trouble
		}
	}
	return nil
}

// take has what the pool keeps under key, until release.
func (app *App) take(key string, open caddy.Constructor) (value any, loaded bool, err error) {
	if value, loaded, err = pool.LoadOrNew(key, open); err == nil {
		app.keys = append(app.keys, key)
	}
	return value, loaded, err
}

// Stop implements caddy.App.
func (app *App) Stop() error {
	started.remove(app)
	return nil
}

// Cleanup implements caddy.CleanerUpper. Requests that are still being answered
// keep what they need: the last one gives it back.
func (app *App) Cleanup() error {
	if app.life.leave() {
		return app.release()
	}
	return nil
}

func (app *App) release() error {
	if app.cancel != nil {
		app.cancel()
	}
	var err error
	for _, key := range app.keys {
		_, e := pool.Delete(key)
		err = errors.Join(err, e)
	}
	if app.shared != nil {
		_, e := pool.Delete(sharedKey)
		err = errors.Join(err, e)
	}
	return err
}

// cell is a cache that runs.
type cell struct {
	*cache.Cache
	config Cache
	stop   func()
}

// free refuses a directory that a cache with other sizes is using: two would
// throw away each other's files.
func (c *Cache) free() (err error) {
	pool.Range(func(_, value any) bool {
		if other, ok := value.(*cell); ok && c.Dir != "" && other.config.Dir == c.Dir && other.config != *c {
			err = fmt.Errorf("disk %s is in use, with memory %d and disk %d: leave both as they are, or restart the edge", c.Dir, other.config.Memory, other.config.Disk)
		}
		return err == nil
	})
	return err
}

func openCell(c *Cache, log *slog.Logger) (*cell, error) {
	o := cache.Options{Memory: c.Memory, Log: log}
	if c.Dir != "" {
		o.Disk = &cache.Disk{Dir: c.Dir, Bytes: c.Disk}
	}
	opened, err := cache.New(o)
	if err != nil {
		return nil, err
	}
	return &cell{Cache: opened, config: *c, stop: background(opened.Run)}, nil
}

// Destruct implements caddy.Destructor.
func (c *cell) Destruct() error {
	c.stop()
	return c.Close()
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
