package media

import (
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
)

// shared is what lives with the process: what has been counted.
type shared struct {
	metrics *metrics
	meter   *cmcd.Meter
	since   time.Time
}

const sharedKey = "shared"

func loadShared() (*shared, error) {
	value, _, err := pool.LoadOrNew(sharedKey, func() (caddy.Destructor, error) {
		s := &shared{meter: cmcd.New(cmcd.Options{}), since: time.Now()}
		s.metrics = &metrics{meter: s.meter, names: make(map[string]*counts)}
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*shared), nil
}

// Destruct implements caddy.Destructor.
func (*shared) Destruct() error { return nil }

// list is the apps that are started, oldest first. While a config is replaced
// there are two.
type list struct {
	mu   sync.Mutex
	apps []*App // guarded by mu
}

var started list

func (l *list) add(app *App) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apps = append(l.apps, app)
}

func (l *list) remove(app *App) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apps = slices.DeleteFunc(l.apps, func(other *App) bool { return other == app })
}

func (l *list) all() []*App {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.apps)
}
