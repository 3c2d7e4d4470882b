package switcher

import (
	"sync"
	"sync/atomic"
	"time"
)

// pinShards is how many parts a table of pins has, so that cores seldom meet on
// one lock. A power of two.
const pinShards = 64

// tick is the unit of time in a pin: 32 bits of it last for 13 years.
const tick = 100 * time.Millisecond

// pins remembers which color each session of a service is on. It is bounded: a
// session that finds no room is not pinned, and counted.
type pins struct {
	epoch   time.Time
	idle    atomic.Int64 // in ticks
	max     atomic.Int64
	size    atomic.Int64
	live    PerColor[atomic.Int64] // pinned, and not known to have ended
	refused atomic.Uint64
	moved   atomic.Uint64
	shards  [pinShards]pinShard

	tidying sync.Mutex
	tidied  atomic.Int64           // when tidy last began, in ticks; written under tidying
	oldest  PerColor[atomic.Int64] // as tidy found it, in ticks; 0: none
}

type pinShard struct {
	mu      sync.Mutex
	entries map[Session]pin // guarded by mu
	_       [48]byte
}

// pin is one session, in 16 bytes.
type pin struct {
	began, seen uint32 // in ticks
	open        uint32 // leases that are out, of whichever color; it stays while there are any
	color       Color  // 0: it was dropped
}

// visit is how far a request has come in enter.
type visit struct {
	counted bool // among the open of its session
	kept    bool // on a color that the split would not have chosen
	tidied  bool // room was looked for
}

func newPins(c PinConfig) *pins {
	p := &pins{epoch: time.Now()}
	for i := range p.shards {
		p.shards[i].entries = make(map[Session]pin)
	}
	p.limit(c)
	return p
}

// limit sets the bounds; what is beyond them ends by itself.
func (p *pins) limit(c PinConfig) {
	p.idle.Store(int64(c.Idle / tick))
	p.max.Store(int64(c.Max))
}

// now is never 0.
func (p *pins) now() uint32 { return uint32(time.Since(p.epoch)/tick) + 1 }

func (p *pins) shard(s Session) *pinShard { return &p.shards[s%pinShards] }

// lives reports whether the session has not ended, pinned or not.
func (p *pins) lives(e pin, now uint32) bool {
	return e.open > 0 || int64(now)-int64(e.seen) <= p.idle.Load()
}

// enter chooses the color for a request of a session by table t, and remembers
// it. With the visit that it returned before, it chooses again.
func (p *pins) enter(s Session, t *Table, bucket uint16, v visit) (Color, visit) {
	wanted := t.Split.Pick(bucket)
	for {
		c, next, full := p.tryEnter(s, t, wanted, v)
		if !full {
			return c, next
		}
		if v.tidied {
			p.refused.Add(1)
			return wanted, v
		}
		v.tidied = true
		p.tidy()
	}
}

func (p *pins) tryEnter(s Session, t *Table, wanted Color, v visit) (c Color, next visit, full bool) {
	now, sh := p.now(), p.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, known := sh.entries[s]
	if !known && !p.reserve() {
		return 0, v, true
	}
	was := e.color
	v.kept = false
	if was != 0 && p.lives(e, now) {
		if t.Serves(was) {
			v.kept = was != wanted
			wanted = was
		} else {
			p.moved.Add(1)
		}
	} else {
		e.began = now
	}
	if was != wanted {
		p.recount(was, wanted)
		p.oldest.At(wanted).CompareAndSwap(0, int64(e.began)) // until tidy has looked
	}
	e.color, e.seen = wanted, now
	if !v.counted {
		v.counted = true
		e.open++
	}
	sh.entries[s] = e
	return wanted, v, false
}

// reserve takes the place of one session.
func (p *pins) reserve() bool {
	if p.size.Add(1) > p.max.Load() {
		p.size.Add(-1)
		return false
	}
	return true
}

func (p *pins) recount(from, to Color) {
	if from != 0 {
		p.live.At(from).Add(-1)
	}
	if to != 0 {
		p.live.At(to).Add(1)
	}
}

// leave ends what enter counted.
func (p *pins) leave(s Session) {
	sh := p.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.entries[s]
	e.open--
	e.seen = p.now()
	p.put(sh, s, e)
}

// put stores e, unless nothing is to be remembered of it. The caller holds the
// shard.
func (p *pins) put(sh *pinShard, s Session, e pin) {
	if e.color == 0 && e.open == 0 {
		delete(sh.entries, s)
		p.size.Add(-1)
		return
	}
	sh.entries[s] = e
}

// unpin forgets the color of a session, if it is c.
func (p *pins) unpin(s Session, c Color) {
	sh := p.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e, known := sh.entries[s]; known && e.color == c {
		p.forget(sh, s, e)
		p.moved.Add(1)
	}
}

// forget unpins e. The caller holds the shard.
func (p *pins) forget(sh *pinShard, s Session, e pin) {
	p.recount(e.color, 0)
	e.color = 0
	p.put(sh, s, e)
}

// drop forgets all pins to c.
func (p *pins) drop(c Color) {
	now := p.now()
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for s, e := range sh.entries {
			if e.color != c {
				continue
			}
			if p.lives(e, now) {
				p.moved.Add(1)
			}
			p.forget(sh, s, e)
		}
		sh.mu.Unlock()
	}
	p.oldest.At(c).Store(0)
}

// tidyEvery bounds what looking for ended sessions costs, however often it is
// asked for.
const tidyEvery = int64(time.Second / tick)

// tidy forgets sessions that have ended, unless it did so a moment ago.
func (p *pins) tidy() {
	if last := p.tidied.Load(); last != 0 && int64(p.now())-last < tidyEvery || !p.tidying.TryLock() {
		return
	}
	defer p.tidying.Unlock()
	now := p.now()
	p.tidied.Store(int64(now))
	var oldest PerColor[int64]
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for s, e := range sh.entries {
			switch {
			case !p.lives(e, now):
				p.forget(sh, s, e)
			case e.color != 0:
				if at := oldest.At(e.color); *at == 0 || int64(e.began) < *at {
					*at = int64(e.began)
				}
			}
		}
		sh.mu.Unlock()
	}
	for _, c := range Colors {
		p.oldest.At(c).Store(oldest.Of(c))
	}
}

// census is how many sessions of c there are, and when the oldest that tidy
// has seen began.
func (p *pins) census(c Color) (n int64, oldest time.Time) {
	n = p.live.At(c).Load()
	if at := p.oldest.At(c).Load(); at != 0 && n > 0 {
		oldest = p.epoch.Add(time.Duration(at-1) * tick)
	}
	return n, oldest
}
