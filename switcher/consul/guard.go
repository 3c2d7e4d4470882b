package consul

import (
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Probed is what this edge's own checks say of an address; known is false
// without a verdict.
type Probed func(address string) (healthy, known bool)

// limits of a guard.
type limits struct {
	// reads that must miss an upstream before it is let go.
	reads int
	// spacing between reads that count.
	spacing time.Duration
	// hold is how long an upstream that still probes healthy must be missing.
	hold time.Duration
	// wiped is for how long nothing is let go after the catalog went back in
	// time: agents announce their services again within about two minutes.
	wiped time.Duration
}

// guard keeps the pool of one color from being lost by an answer that is no
// evidence. What is new is taken at once. What is missing goes
//
//   - at once, if it is at most half of the pool, and a leader vouches for an
//     answer that is not suddenly filtered by ACLs;
//   - else when our own probes agree that it is gone, or know nothing and a few
//     reads agree, or when it has been missing for the hold.
//
// When the first answer of a process misses much of what the last one knew,
// nobody has seen whether the catalog went back in time: the hold is then as long
// as if it had, and is that of the last one that is missing, too.
//
// It has no clock, and never edits what it was given.
type guard struct {
	limits limits
	// pool is what serves now.
	pool []switcher.Upstream
	// calm is the pool when nothing was held; what is missing is counted
	// against it.
	calm map[string]bool
	// filtered is whether ACLs took something out of the answers then, too.
	filtered bool
	// missing has what the last answer did not.
	missing map[string]absence
	resets  int       // as last seen
	wiped   time.Time // until when a catalog that went back is not believed
	started bool      // an answer has been seen
	recalls bool      // never calm yet: the pool is that of an earlier process
	held    bool      // something is
}

// absence is since when an upstream is missing, in answers that count.
type absence struct {
	since   time.Time
	counted time.Time // the latest read that counts
	reads   int
}

// verdict is what is held, and why. The zero value holds nothing.
type verdict struct {
	held  int // upstreams
	of    int // in the pool when all was calm
	cause cause
	until time.Time // at the latest; zero: there is no such time
}

// cause is why missing upstreams are held.
type cause uint8

const (
	toomany  cause = iota // more than half at once
	leader                // no leader vouches for the answer
	filtered              // ACLs took something out
	wiped                 // the catalog went back in time
)

// newGuard begins with a pool that is known from before, or nil.
func newGuard(l limits, known []switcher.Upstream) *guard {
	g := &guard{limits: l, pool: known, missing: make(map[string]absence)}
	g.settle(false)
	g.recalls = len(known) > 0
	return g
}

// judge takes a good answer and returns the pool that it leads to. It is pure
// but for what the guard remembers.
func (g *guard) judge(s sight, found []switcher.Upstream, probed Probed) ([]switcher.Upstream, verdict) {
	if g.started && s.resets > g.resets {
		g.wiped = s.at.Add(g.limits.wiped)
	}
	present := make(map[string]bool, len(found))
	known := len(g.pool) == 0
	for _, u := range found {
		present[u.Address] = true
		known = known || g.calm[u.Address]
	}
	if !g.started {
		g.filtered = s.filtered && known // as it was in the last process, it seems
	}
	g.started, g.resets = true, s.resets
	g.count(s, present)
	v := g.weigh(s, present)
	pool := append(make([]switcher.Upstream, 0, len(found)), found...)
	for _, u := range g.pool {
		if present[u.Address] {
			continue
		}
		if len(pool) == switcher.MaxUpstreams || !g.keeps(v, s, u.Address, probed) {
			delete(g.missing, u.Address)
			continue
		}
		v.held++
		pool = append(pool, u)
	}
	g.pool, g.held = pool, v.held > 0
	if v.held == 0 {
		g.settle(s.filtered)
		return pool, verdict{}
	}
	v.until = g.until(v)
	return pool, v
}

// settle takes the pool as what is usual.
func (g *guard) settle(filtered bool) {
	g.filtered, g.recalls, g.held = filtered, false, false
	g.calm = make(map[string]bool, len(g.pool))
	for _, u := range g.pool {
		g.calm[u.Address] = true
	}
	clear(g.missing)
}

// count notes who is missing for how long, by answers that are evidence.
func (g *guard) count(s sight, present map[string]bool) {
	for _, u := range g.pool {
		switch a, known := g.missing[u.Address]; {
		case present[u.Address]:
			delete(g.missing, u.Address)
		case !s.vouched || s.filtered && !g.filtered:
		case !known:
			g.missing[u.Address] = absence{since: s.at, counted: s.at, reads: 1}
		case s.at.Sub(a.counted) >= g.limits.spacing:
			a.counted, a.reads = s.at, a.reads+1
			g.missing[u.Address] = a
		}
	}
}

// weigh says how suspicious the answer is; of 0 means: not at all.
func (g *guard) weigh(s sight, present map[string]bool) verdict {
	gone := 0
	for address := range g.calm {
		if !present[address] {
			gone++
		}
	}
	v := verdict{of: len(g.calm)}
	switch {
	case !s.vouched:
		v.cause = leader
	case s.filtered && !g.filtered:
		v.cause = filtered
	case s.at.Before(g.wiped):
		v.cause = wiped
	case len(present) == 0 || 2*gone > len(g.calm) || g.recalls && g.held && gone > 0:
		v.cause = toomany
	default:
		return verdict{}
	}
	return v
}

// keeps decides about one upstream that is missing.
func (g *guard) keeps(v verdict, s sight, address string, probed Probed) bool {
	a := g.missing[address]
	switch {
	case v.of == 0:
		return false
	case v.cause != toomany || a.reads == 0:
		return true
	}
	healthy, known := false, false
	if probed != nil {
		healthy, known = probed(address)
	}
	switch {
	case known && !healthy:
		return false // our own probes agree
	case s.filtered:
		return true // as always, but too much to believe
	case s.at.Sub(a.since) >= g.hold():
		return false
	}
	return known || a.reads < g.limits.reads // known here means healthy
}

// hold is how long what probes healthy may be missing.
func (g *guard) hold() time.Duration {
	if g.recalls {
		return max(g.limits.hold, g.limits.wiped)
	}
	return g.limits.hold
}

// until is when the last of what is held is let go, if it stays missing.
func (g *guard) until(v verdict) time.Time {
	switch {
	case v.cause == wiped:
		return g.wiped
	case v.cause != toomany || g.filtered:
		return time.Time{}
	}
	var last time.Time
	for _, a := range g.missing {
		if t := a.since.Add(g.hold()); t.After(last) {
			last = t
		}
	}
	return last
}

// sentence says what is held of color c, in words that stay the same meanwhile.
func (v verdict) sentence(c switcher.Color) string {
	what := fmt.Sprintf("%d of %d upstreams of %s vanished from the catalog", v.held, v.of, c)
	at := v.until.Format(time.TimeOnly)
	switch v.cause {
	case leader:
		return what + ": held until a leader of Consul confirms it"
	case filtered:
		return what + ": held, because the token may no longer read all of it (ACLs filter the answer)"
	case wiped:
		return what + ", which went back in time (wiped or restored): held until they return, or " + at
	}
	if v.until.IsZero() {
		return what + " at once: held until our probes agree, because the token may not read all of it"
	}
	return what + " at once: held until our probes agree or further reads do, or " + at
}
