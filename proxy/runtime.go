package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/file"
)

// runtimes keeps the one runtime alive from config to config: each app holds a
// reference, and a new one takes its own before the old one lets go.
var runtimes = caddy.NewUsagePool()

// active is the runtime that is running, for Caddy's admin API, whose routes
// are made before any app and never taken down.
var active atomic.Pointer[runtime]

// runtime is what outlives a config reload. It does nothing until the first
// app is started: a config that is only validated touches no file or socket.
type runtime struct {
	switcher *switcher.Switcher
	ledger   ledger
	metrics  *metrics

	mu          sync.Mutex
	stop        func()                 // guarded by mu; nil: not running
	disk        *file.Store            // set before the switcher runs
	stateDir    string                 // guarded by mu
	control     *controlPlane          // guarded by mu
	apps        []*App                 // guarded by mu; started, oldest first
	supervisors map[string]*supervisor // guarded by mu
	budgets     map[string]*budget     // guarded by mu
	newest      atomic.Pointer[App]
	log         *slog.Logger
	background  sync.WaitGroup
}

// runtimeKey is the only key of runtimes.
const runtimeKey = "greenroom"

func loadRuntime() (*runtime, error) {
	value, _, err := runtimes.LoadOrNew(runtimeKey, func() (caddy.Destructor, error) {
		rt := &runtime{
			supervisors: make(map[string]*supervisor),
			budgets:     make(map[string]*budget),
		}
		rt.log = rt.newestLogger()
		rt.metrics = newMetrics(rt)
		rt.switcher = switcher.New(rt, switcher.Hooks{Evict: rt.evict, Event: rt.metrics.event}, rt.log)
		return rt, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*runtime), nil
}

// Load implements switcher.Store on the directory of the first config.
func (rt *runtime) Load(ctx context.Context) (switcher.State, error) { return rt.disk.Load(ctx) }

// Save implements switcher.Store.
func (rt *runtime) Save(ctx context.Context, s switcher.State) error { return rt.disk.Save(ctx, s) }

// start makes app's config the one in force. On an error nothing has changed.
func (rt *runtime) start(app *App) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	before := rt.newest.Swap(app)
	err := rt.open(app)
	if err == nil {
		err = rt.openControl(app)
	}
	if err != nil {
		rt.newest.Store(before)
		rt.closeIfUnused()
		return err
	}
	rt.apps = append(rt.apps, app)
	return rt.reconcile()
}

// open starts the switcher, the first time.
func (rt *runtime) open(app *App) error {
	if rt.stop != nil {
		if app.StateDir != rt.stateDir {
			return fmt.Errorf("state_dir: cannot change from %s to %s in a reload: restart the edge for that", rt.stateDir, app.StateDir)
		}
		return nil
	}
	disk, err := file.OpenStore(app.StateDir)
	if err != nil {
		return err
	}
	rt.disk, rt.stateDir = disk, app.StateDir
	ctx, cancel := context.WithCancel(context.Background())
	rt.background.Go(func() { rt.switcher.Run(ctx) })
	rt.background.Go(func() { rt.forwardEvents(ctx) })
	rt.stop = cancel
	if err := rt.switcher.Restore(ctx); err != nil {
		rt.log.Error("the stored state cannot be used as it is", "error", err,
			"goes_on_with", map[bool]string{true: "an older state", false: "the config"}[errors.Is(err, switcher.ErrStale)])
	}
	active.Store(rt)
	return nil
}

// withdraw takes app's config back: because a newer one has replaced it, or
// because it could not be started after all.
func (rt *runtime) withdraw(app *App) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	i := slices.Index(rt.apps, app)
	if i < 0 {
		return nil
	}
	rt.apps = slices.Delete(rt.apps, i, i+1)
	if len(rt.apps) == 0 {
		return nil // the process ends, or Destruct follows
	}
	newest := rt.apps[len(rt.apps)-1]
	rt.newest.Store(newest)
	return errors.Join(rt.openControl(newest), rt.reconcile())
}

// reconcile makes the services those of all apps that are started: while a
// reload is under way the old config still serves. The newest app wins.
func (rt *runtime) reconcile() error {
	ctx := context.Background()
	services := make(map[string]*edge)
	for _, app := range rt.apps {
		maps.Copy(services, app.edges)
	}
	configs := make(map[string]switcher.Config, len(services))
	for name, e := range services {
		configs[name] = e.config.switcherConfig()
	}
	if err := rt.switcher.Configure(ctx, configs); err != nil {
		return err
	}
	for name, sv := range rt.supervisors {
		if services[name] == nil {
			sv.stop()
			delete(rt.supervisors, name)
		}
	}
	for name, e := range services {
		if rt.supervisors[name] == nil {
			rt.supervisors[name] = newSupervisor(rt.switcher, name, rt.log)
		}
		if err := rt.supervisors[name].configure(ctx, e); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return nil
}

// evict is the switcher's hook for a drain that has reached its deadline.
func (rt *runtime) evict(service string, c switcher.Color) int {
	n := rt.ledger.evict(service, c)
	rt.metrics.evictions.WithLabelValues(service, c.String()).Add(float64(n))
	return n
}

// budget returns the retry budget of a service.
func (rt *runtime) budget(service string) *budget {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.budgets[service] == nil {
		rt.budgets[service] = new(budget)
	}
	return rt.budgets[service]
}

func (rt *runtime) closeIfUnused() {
	if len(rt.apps) == 0 && rt.stop != nil {
		_ = rt.close()
	}
}

// close ends everything that start began.
func (rt *runtime) close() error {
	active.CompareAndSwap(rt, nil)
	for name, sv := range rt.supervisors {
		sv.stop()
		delete(rt.supervisors, name)
	}
	rt.closeControl()
	rt.stop()
	rt.background.Wait()
	rt.stop = nil
	return rt.disk.Close()
}

// Destruct implements caddy.Destructor: the last app is gone.
func (rt *runtime) Destruct() error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.stop == nil {
		return nil
	}
	return rt.close()
}

// defaultStateDir is where state is kept unless the config says otherwise.
func defaultStateDir() string { return filepath.Join(caddy.AppDataDir(), "greenroom") }
