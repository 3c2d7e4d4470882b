package switcher

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Upstream is one dialable address and what is known of it.
type Upstream struct {
	// Address to dial: "host:port", "[v6]:port" or "unix//path".
	Address string `json:"address"`
	// Weight is the share of the pool's traffic in proportion to its
	// neighbors', 1 to 1000. Default 1.
	Weight int `json:"weight,omitempty"`
	// Meta is shown in status and not interpreted, as a version or a zone.
	Meta map[string]string `json:"meta,omitempty"`
}

// Limits of what a pool may hold; a file or a catalog is hostile input.
const (
	MaxUpstreams = 10000 // upstreams of one pool
	MaxWeight    = 1000
	maxMeta      = 64   // entries of one upstream
	maxMetaBytes = 1024 // of one key or value
)

// Validate names the field that cannot be used, and why.
func (u Upstream) Validate() error {
	if err := validateAddress(u.Address); err != nil {
		return err
	}
	if u.Weight < 0 || u.Weight > MaxWeight {
		return fmt.Errorf("upstream %q: weight %d: want 1 to %d", u.Address, u.Weight, MaxWeight)
	}
	if len(u.Meta) > maxMeta {
		return fmt.Errorf("upstream %q: %d meta entries: at most %d", u.Address, len(u.Meta), maxMeta)
	}
	for k, v := range u.Meta {
		if len(k) > maxMetaBytes || len(v) > maxMetaBytes {
			return fmt.Errorf("upstream %q: meta %.20q: keys and values are at most %d bytes", u.Address, k, maxMetaBytes)
		}
	}
	return nil
}

func validateAddress(address string) error {
	if address == "" {
		return errors.New("upstream without an address: want \"host:port\" or \"unix//path\"")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("upstream %q: white space or a control character in the address", address)
	}
	if path, ok := strings.CutPrefix(address, "unix/"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("upstream %q: a unix socket needs an absolute path, as unix//run/app.sock", address)
		}
		return nil
	}
	if strings.Contains(address, "/") {
		return fmt.Errorf("upstream %q: want \"host:port\" without a scheme or path", address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("upstream %q: want \"host:port\": %w", address, err)
	}
	if host == "" {
		return fmt.Errorf("upstream %q: no host before the port", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("upstream %q: port %q: want 1 to 65535", address, port)
	}
	return nil
}

// Pools is what a source knows of one service: both colors, whole.
type Pools = PerColor[[]Upstream]

// ValidatePools names the color and the upstream that cannot be used. An
// address may be in both pools, but only once in each.
func ValidatePools(p Pools) error {
	for _, c := range Colors {
		list := p.Of(c)
		if len(list) > MaxUpstreams {
			return fmt.Errorf("%s pool: %d upstreams: at most %d", c, len(list), MaxUpstreams)
		}
		seen := make(map[string]bool, len(list))
		for _, u := range list {
			if err := u.Validate(); err != nil {
				return fmt.Errorf("%s pool: %w", c, err)
			}
			if seen[u.Address] {
				return fmt.Errorf("%s pool: upstream %q is listed twice", c, u.Address)
			}
			seen[u.Address] = true
		}
	}
	return nil
}

// Endpoint is an upstream at run time: one object for each service, color and
// address, which tables share, so that health and counts outlive both a new
// pool and a config reload. The zero value is not healthy.
type Endpoint struct {
	Service string
	Color   Color

	seed     uint64 // hash of the address, for rendezvous hashing
	upstream atomic.Pointer[Upstream]
	health   atomic.Pointer[Health]
	healthy  atomic.Bool
	held     atomic.Bool  // not healthy only as a hold-down has not ended
	ejected  atomic.Int64 // until, in Unix nanoseconds; 0: not ejected
	fails    atomic.Int32 // consecutive connect errors
	inflight atomic.Int64
	resting  atomic.Int64 // of these
}

// Upstream returns the address, weight and metadata as last announced.
func (e *Endpoint) Upstream() Upstream { return *e.upstream.Load() }

// Address returns what to dial.
func (e *Endpoint) Address() string { return e.upstream.Load().Address }

func (e *Endpoint) weight() int64 { return int64(max(e.upstream.Load().Weight, 1)) }

// SetHealth publishes the verdict of this edge's own checks, without an event:
// Switcher.SetHealth is for an endpoint that serves. Calls must follow each
// other.
func (e *Endpoint) SetHealth(h Health) {
	e.held.Store(h.Held)
	e.healthy.Store(h.Healthy) // before the next: who finds the verdict known finds it
	e.health.Store(&h)
}

// Health returns the last verdict, the zero one if there was none yet.
func (e *Endpoint) Health() Health {
	if h := e.health.Load(); h != nil {
		return *h
	}
	return Health{}
}

// Inflight returns the number of exchanges running on this endpoint.
func (e *Endpoint) Inflight() int64 { return e.inflight.Load() }

// Pool is the endpoints of one color, as one table sees them. It is never
// edited.
type Pool struct {
	announced bool // by a source, or known to have none; false: nothing is known of it yet
	endpoints []*Endpoint
	turn      *atomic.Uint64 // whose turn it is, outlives the pool
}

// Endpoints returns the pool's endpoints; the slice must not be changed.
func (p *Pool) Endpoints() []*Endpoint { return p.endpoints }

// Settled reports whether the pool is known as it is: a source has announced
// it, and each of its upstreams has had a first verdict.
func (p *Pool) Settled() bool {
	for _, e := range p.endpoints {
		if !e.Health().Known {
			return false
		}
	}
	return p.announced
}

// Health counts the pool.
func (p *Pool) Health() PoolHealth {
	h := PoolHealth{Total: len(p.endpoints)}
	for _, e := range p.endpoints {
		v := e.Health()
		if v.Healthy {
			h.Healthy++
		} else if h.Reason == "" {
			h.Reason = unhealthyReason(e.Address(), v)
		}
		if !v.Known {
			h.Unknown++
		}
		if v.Held {
			h.Held++
		}
		if v.Since.After(h.Since) {
			h.Since = v.Since
		}
	}
	return h
}

// states are the endpoints as gates see them.
func (p *Pool) states() []UpstreamState {
	list := make([]UpstreamState, len(p.endpoints))
	for i, e := range p.endpoints {
		h := e.Health()
		list[i] = UpstreamState{e.Upstream(), h.Healthy, h.Since}
	}
	return list
}

func unhealthyReason(address string, v Health) string {
	if !v.Known && v.Reason == "" {
		return address + ": not probed yet"
	}
	return address + ": " + v.Reason
}

// PoolHealth is the health of a pool as gates see it.
type PoolHealth struct {
	Total   int `json:"total"`
	Healthy int `json:"healthy"`
	// Unknown counts upstreams without a first verdict.
	Unknown int `json:"unknown,omitempty"`
	// Held counts those that are not healthy only as a hold-down has not ended.
	Held int `json:"held,omitempty"`
	// Since is when the verdict of any of them last changed.
	Since time.Time `json:"since,omitzero"`
	// Reason is why the first unhealthy one is not healthy.
	Reason string `json:"reason,omitempty"`
}

// Share is the healthy part of the pool, 0 to 1; of an empty pool 0.
func (h PoolHealth) Share() float64 {
	if h.Total == 0 {
		return 0
	}
	return float64(h.Healthy) / float64(h.Total)
}
