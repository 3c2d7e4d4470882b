package consul

import (
	"math/rand/v2"
	"time"
)

// outcome is what came of one poll, as far as it decides the next.
type outcome struct {
	failed bool
	index  uint64 // of the answer; never 0
	// vouched: the leader stands behind the answer. It does not behind what an
	// agent answers to a blocking query from its own view (streaming backend).
	vouched bool
}

// cursor decides what a watch asks next, and which of the answers are to be
// believed. A blocking answer that no leader vouches for only wakes: what is
// true is then read with index 0.
//
// The zero value begins with a read.
type cursor struct {
	// index to block on; 0: answer at once.
	index uint64
	// resets counts how often the catalog went back in time: a wiped or
	// restored Consul.
	resets int

	read      uint64 // index of the last answer that was believed
	woken     uint64 // index of the view that woke, since then
	readFails int    // in a row
	wakeFails int    // in a row
}

// see takes the outcome of the poll that index asked for. It reports whether
// that outcome is to be told.
func (c *cursor) see(o outcome) (tell bool) {
	blocked := c.index > 0
	switch {
	case o.failed:
		c.index, c.woken = 0, 0
		if blocked {
			c.wakeFails++ // what is true, the read that follows will say
			return false
		}
		c.readFails++
		return true
	case blocked && (!o.vouched || o.index < c.index):
		c.index, c.wakeFails = 0, 0
		c.woken = o.index
		return false
	case blocked:
		c.wakeFails = 0
	}
	if o.index < c.read {
		c.resets++
		c.woken = 0
	}
	c.read, c.readFails = o.index, 0
	c.index = max(o.index, c.woken)
	c.woken = 0
	return true
}

// The bounds of backoff. The ceiling lets 20 s suffice for recovery.
const (
	firstBackoff = 250 * time.Millisecond
	downCeiling  = 15 * time.Second
)

// ceiling is the longest time to wait before the next poll; 0 after success.
func (c *cursor) ceiling() time.Duration {
	fails := max(c.readFails, c.wakeFails)
	if fails == 0 || c.index > 0 {
		return 0
	}
	return min(firstBackoff<<min(fails-1, 10), downCeiling)
}

// fullJitter spreads clients that failed together over all of the ceiling.
func fullJitter(ceiling time.Duration) time.Duration {
	if ceiling <= 0 {
		return 0
	}
	return rand.N(ceiling)
}
