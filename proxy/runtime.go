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
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/internal/spool"
	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
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
	usher    usher
	spools   spool.Room
	metrics  *metrics

	mu          sync.Mutex
	stop        func()                    // guarded by mu; nil: not running
	closed      bool                      // guarded by mu: it ran, and will not again
	disk        stateStore                // set before the switcher runs, and when it stands still
	stateDir    string                    // guarded by mu
	control     *controlPlane             // guarded by mu; the one in force
	fleet       atomic.Pointer[fleetPost] // written under mu; nil: none
	apps        []*App                    // guarded by mu; started, oldest first
	supervisors map[string]*supervisor    // guarded by mu
	budgets     map[string]*budget        // guarded by mu
	retired     sync.Map                  // *retired by the name of the service
	leaks       sync.Map                  // *leak by the name of the service
	samples     sync.Map                  // *samples by the name of the service
	viewers     *cmcd.Meter               // players of ramps, by service and color
	inForce     atomic.Pointer[App]       // the first of apps; written under mu
	handler     atomic.Pointer[control.Handler]
	log         *slog.Logger
	started     time.Time
	leaving     atomic.Pointer[leaving] // nil: the process goes on
	elders      elders
	upgrade     upgrade
	accepting   atomic.Bool           // of an elder: it still accepts
	predecessor *handover.Predecessor // nil: this process was started afresh
	standsIn    bool                  // guarded by mu: the predecessor has not handed over yet
	lastCall    time.Time             // guarded by mu; how long tunnels may go on when the process ends
	background  sync.WaitGroup
}

// runtimeKey is the only key of runtimes.
const runtimeKey = "greenroom"

func loadRuntime() (*runtime, error) {
	value, _, err := runtimes.LoadOrNew(runtimeKey, func() (caddy.Destructor, error) {
		rt := &runtime{
			supervisors: make(map[string]*supervisor),
			budgets:     make(map[string]*budget),
			viewers:     cmcd.New(cmcd.Options{}),
			started:     time.Now(),
		}
		var err error
		if rt.predecessor, err = handover.Inherited(); err != nil {
			return nil, err
		}
		rt.log = rt.logger()
		rt.metrics = newMetrics(rt)
		rt.usher = usher{ledger: &rt.ledger, pace: rt.pace, healthy: rt.wellWithout, ended: rt.metrics.evicted, press: rt.press}
		rt.switcher = switcher.New(rt, switcher.Hooks{
			Evict: rt.evict, Streams: rt.whatIsLeft, Event: rt.metrics.event, Warn: rt.warn,
			Moved: rt.moved, Elsewhere: rt.elders.inflight, MediaLeak: rt.mediaLeak, Samples: rt.sampled,
			TakenBack: rt.metrics.takenBack,
		}, rt.log)
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

// moved is the switcher's hook for what has been moved.
func (rt *runtime) moved(moved []switcher.Followed) {
	if err := rt.elders.tell(moved); err != nil {
		rt.log.Error("the process before does not follow: what still comes to it may go where it went", "error", err)
	}
}

// start readies app's config: all that can fail is done, or nothing has
// changed. The first config is in force at once. A later one waits until the
// one before is withdrawn, which Caddy does when everything else has started
// too; only services that are new come at once, since their handlers may be
// asked already.
func (rt *runtime) start(app *App) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	first := len(rt.apps) == 0
	if first {
		rt.inForce.Store(app)
	}
	err := rt.ready(app)
	switch {
	case err == nil && rt.standsIn: // until all of the config has started: see debut
	case err == nil && first:
		rt.takeControl(app.plane)
		rt.takeFleet(app)
	case err != nil && first:
		err = errors.Join(err, rt.close())
	}
	return err
}

func (rt *runtime) ready(app *App) (err error) {
	if err := app.prepare(rt.log); err != nil {
		return err
	}
	if err := rt.settled(); err != nil {
		return err
	}
	if err := rt.open(app); err != nil {
		return err
	}
	if !rt.standsIn {
		if app.plane, err = rt.openControl(app.Control); err != nil {
			return fmt.Errorf("control: %w", err)
		}
	}
	rt.apps = append(rt.apps, app)
	if err = rt.reconcile(); err != nil {
		rt.apps = slices.DeleteFunc(rt.apps, func(other *App) bool { return other == app })
		if app.plane != nil {
			err = errors.Join(err, rt.dropControl(app.plane))
		}
	}
	return err
}

// withdraw takes app's config back: because the next one comes into force, or
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
		rt.lastCall = time.Now().Add(app.grace())
		if l := rt.leaving.Load(); l != nil {
			if until := l.until.Load(); until != 0 {
				rt.lastCall = time.Unix(0, until)
			}
		}
		return nil // the process ends, or Destruct follows
	}
	var err error
	if i == 0 {
		rt.inForce.Store(rt.apps[0])
		rt.takeControl(rt.apps[0].plane)
		rt.takeFleet(rt.apps[0])
	} else {
		err = rt.dropControl(app.plane)
	}
	return errors.Join(err, rt.reconcile())
}

// reconcile makes the services those of all apps that are started. Where two
// apps have a service, it is served as the older one says.
func (rt *runtime) reconcile() error {
	ctx := context.Background()
	services := make(map[string]*edge)
	for _, app := range slices.Backward(rt.apps) {
		maps.Copy(services, app.edges)
	}
	for name, sv := range rt.supervisors {
		if services[name] == nil {
			sv.stop()
			delete(rt.supervisors, name)
			rt.retire(name, sv.edge)
		}
	}
	configs := make(map[string]switcher.Config, len(services))
	for name, e := range services {
		configs[name] = e.switcherConfig()
	}
	if len(rt.apps) > 0 {
		rt.beginOn(ctx, rt.apps[len(rt.apps)-1].fleet, configs)
	}
	if err := rt.switcher.Configure(ctx, configs); err != nil {
		return err
	}
	for name, e := range services {
		rt.retired.Delete(name)
		if rt.supervisors[name] == nil {
			rt.supervisors[name] = newSupervisor(rt.switcher, name, rt.log)
		}
		if err := rt.supervisors[name].configure(ctx, e); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return nil
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

// close ends everything that start began. The caller holds mu.
func (rt *runtime) close() error {
	active.CompareAndSwap(rt, nil)
	rt.leaveFleet() // while its moves can still be audited
	for name, sv := range rt.supervisors {
		sv.stop()
		delete(rt.supervisors, name)
	}
	rt.closeControl()
	var err error
	if rt.stop != nil {
		rt.stop()
		rt.background.Wait()
		rt.stop, rt.closed = nil, true
		err = rt.disk.Close()
	}
	rt.inForce.Store(nil) // a tunnel may hold the runtime, but no config
	return err
}

// Destruct implements caddy.Destructor: the last app is gone. If it goes with
// the process, tunnels may end by themselves until the grace period is over,
// which Caddy's servers, that know nothing of them, do not wait for; if a
// reload has taken it out of the config, they go on.
func (rt *runtime) Destruct() error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	err := rt.close()
	if caddy.Exiting() {
		for time.Now().Before(rt.lastCall) && (!rt.ledger.empty() || len(rt.elders.all()) > 0) {
			time.Sleep(lastCallStep)
		}
		rt.ledger.cutAll(errExit)
	}
	return err
}

// lastCallStep is how often the end of the last tunnels is looked for.
const lastCallStep = 20 * time.Millisecond

// defaultStateDir is where state is kept unless the config says otherwise.
func defaultStateDir() string { return filepath.Join(caddy.AppDataDir(), "greenroom") }
