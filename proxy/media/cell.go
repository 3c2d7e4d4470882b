package media

import (
	"log/slog"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
)

// cell is a cache that runs. When no config has it any more it goes on until the
// last request that is served from it has ended: a reload, or an upgrade, cuts no
// download.
type cell struct {
	*cache.Cache
	config Cache
	stop   func()

	mu    sync.Mutex
	users int  // requests that are served from it; guarded by mu
	ended bool // no config has it any more; guarded by mu
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

// take reports whether a request may be served from the cache. It then gives it
// back at its end.
func (c *cell) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.users++
	return true
}

func (c *cell) give() {
	c.mu.Lock()
	c.users--
	last := c.ended && c.users == 0
	c.mu.Unlock()
	if last {
		_ = c.Close()
	}
}

// Destruct implements caddy.Destructor. The disk is left to the next one at once.
func (c *cell) Destruct() error {
	c.mu.Lock()
	c.ended = true
	unused := c.users == 0
	c.mu.Unlock()
	c.stop()
	if unused {
		return c.Close()
	}
	return nil
}

var _ caddy.Destructor = (*cell)(nil)
