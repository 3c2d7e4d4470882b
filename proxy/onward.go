package proxy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/internal/resume"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Resume says how the body of a download goes on from another upstream when the
// one that sends it dies midway: byte for byte the same, or it is cut. It takes
// a GET without a body, a known length of 64 KiB or more, a strong ETag, and a 200
// with "Accept-Ranges: bytes" or a 206 of one range; no Content-Encoding, no
// trailers.
type Resume struct {
	// off, pool (upstreams of the same color), or any_color (the other color
	// too, where the pool has no more, or when a drain ends the stream).
	// Default: pool.
	From string `json:"from,omitempty"`

	// How often another upstream is asked in the life of a body, 1 to 10.
	// Default: 3.
	Attempts int `json:"attempts,omitempty"`

	// The time from a failure to the head of the continuation, 100ms to 5m.
	// Default: 10s.
	Patience caddy.Duration `json:"patience,omitempty"`

	// How many bodies of a service may look for a continuation at a time, 1
	// to 100000; those beyond it are cut. Default: 1000.
	Concurrent int `json:"concurrent,omitempty"`

	// Go by Last-Modified where there is no ETag. It says less: a file that
	// is changed within a second, or in place, would be mixed. Default: false.
	LastModified bool `json:"last_modified,omitempty"`
}

const defaultConcurrent = 1000

func (r *Resume) prepare() error {
	switch r.From {
	case "":
		r.From = "pool"
	case "off", "pool", "any_color":
	default:
		return fmt.Errorf("resume %.20q: want off, pool or any_color", r.From)
	}
	if r.Attempts == 0 {
		r.Attempts = resume.DefaultAttempts
	}
	if r.Patience == 0 {
		r.Patience = caddy.Duration(resume.DefaultPatience)
	}
	if r.Concurrent == 0 {
		r.Concurrent = defaultConcurrent
	}
	return errors.Join(
		inRange("resume attempts", r.Attempts, 1, 10),
		inRange("resume patience", time.Duration(r.Patience), 100*time.Millisecond, 5*time.Minute),
		inRange("resume concurrent", r.Concurrent, 1, 100000),
	)
}

// onward is how the bodies of a service's config go on; nil: they do not.
func (app *App) onward(name string, r *Resume) *Onward {
	if r.From == "off" {
		return nil
	}
	rt := app.runtime
	return &Onward{
		Options: resume.Options{
			Attempts: r.Attempts, Patience: time.Duration(r.Patience), Key: name,
			Limit: &resume.Limit{PerKey: r.Concurrent}, Observer: rt.metrics.resumer(name),
		},
		Rules: resume.Rules{LastModified: r.LastModified}, Leaves: r.From == "any_color",
	}
}

// Another implements the Exchange's Elsewhere: another upstream of the same
// color, as its pool is now, or of the other color, where that is allowed and
// takes traffic. A stream that is to end goes there first.
func (t *trip) Another() (upstream string, ok bool) {
	e, table := t.entry, t.edge.service.Table()
	if table == nil {
		return "", false
	}
	colors := []switcher.Color{e.lease.Color}
	if e.Onward.Leaves {
		colors = append(colors, e.lease.Color.Other())
		if e.ending.Load() {
			colors = colors[1:]
			t.tried = slices.DeleteFunc(t.tried, func(at *switcher.Endpoint) bool { return at == e.endpoint }) // it has not failed
		}
	}
	for _, c := range colors {
		to := table.Pools.Of(c).Pick(t.balance, t.client.hash, t.tried, time.Now())
		if to != nil && t.goTo(to, c) {
			t.tried = append(t.tried, to)
			return to.Address(), true
		}
	}
	return "", false
}

// goTo moves the exchange to an endpoint, on a lease of the other color if need
// be.
func (t *trip) goTo(to *switcher.Endpoint, c switcher.Color) bool {
	e := t.entry
	if c == e.lease.Color {
		e.moves(to, nil)
		return true
	}
	lease, ok := t.edge.service.AcquireOn(c)
	if !ok {
		return false
	}
	e.moves(to, &lease)
	t.lease = lease
	return true
}
