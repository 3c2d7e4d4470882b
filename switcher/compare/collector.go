package compare

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// shards is how many parts a Collector has, so that cores seldom meet on one. A
// power of two.
const shards = 16

// Collector counts the answers and attempts of one color. It is safe for
// concurrent use; counting takes no lock and, but for the first time, allocates
// nothing. The zero value has counted nothing, and is small; a nil one never will.
// It must not be copied.
type Collector struct{ counted atomic.Pointer[counted] }

type counted struct {
	shards [shards]shard
	bad    [Groups]atomic.Uint32
	took   [octaves + 2][Groups]atomic.Uint32
}

type shard struct {
	latency   [Buckets]atomic.Uint64
	untimed   atomic.Uint64
	bad       atomic.Uint64
	connected atomic.Uint64
	refused   atomic.Uint64
	_         [80]byte // to whole pairs of cache lines
}

// Answered counts a good answer that took so long. client is a hash of who asked.
func (c *Collector) Answered(took time.Duration, client uint64) {
	if c != nil {
		all, bucket := c.all(), BucketOf(took)
		all.shard().latency[bucket].Add(1)
		all.took[octaveOf(bucket)][client%Groups].Add(1)
	}
}

// Untimed counts a good answer whose time says nothing about the color: that of
// a request that the client takes its time to send.
func (c *Collector) Untimed() {
	if c != nil {
		c.all().shard().untimed.Add(1)
	}
}

// Failed counts an answer that is an error, or an exchange without one.
func (c *Collector) Failed(client uint64) {
	if c != nil {
		all := c.all()
		all.shard().bad.Add(1)
		all.bad[client%Groups].Add(1)
	}
}

// Connected counts an attempt that reached an upstream.
func (c *Collector) Connected() {
	if c != nil {
		c.all().shard().connected.Add(1)
	}
}

// Refused counts an attempt that found no connection.
func (c *Collector) Refused() {
	if c != nil {
		c.all().shard().refused.Add(1)
	}
}

func (c *Collector) all() *counted {
	all := c.counted.Load()
	for all == nil {
		c.counted.CompareAndSwap(nil, new(counted))
		all = c.counted.Load()
	}
	return all
}

func (a *counted) shard() *shard { return &a.shards[rand.Uint32()%shards] }

// Read returns what has been counted; sessions are counted elsewhere. What comes
// meanwhile may be in it or not.
func (c *Collector) Read() (n Counts) {
	all := c.counted.Load()
	if all == nil {
		return n
	}
	for i := range all.shards {
		s := &all.shards[i]
		for b := range n.Latency {
			n.Latency[b] += s.latency[b].Load()
		}
		n.Untimed += s.untimed.Load()
		n.Bad += s.bad.Load()
		n.Connected += s.connected.Load()
		n.Refused += s.refused.Load()
	}
	for g := range Groups {
		n.BadOf[g] = all.bad[g].Load()
		for o := range n.TookOf {
			n.TookOf[o][g] = all.took[o][g].Load()
		}
	}
	return n
}
