package switcher

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Balance chooses among the upstreams of one pool. The zero value is
// LeastInflight.
type Balance uint8

// The ways to balance; all respect weights.
const (
	// LeastInflight takes the upstream with the fewest exchanges running in
	// proportion to its weight; equal ones take turns by weight. WebSockets and
	// server-sent events, which mostly rest, do not count: else one that comes
	// back without any would get all requests.
	LeastInflight Balance = iota
	// RoundRobin takes them in turn.
	RoundRobin
	// Hash keeps a client on one upstream (rendezvous hashing: an upstream
	// that comes or goes moves only its own share of clients).
	Hash
	leastOpen // LeastInflight of all, those that rest included
)

var balanceNames = [...]string{"least_inflight", "round_robin", "hash"}

func (b Balance) String() string {
	if b == leastOpen {
		b = LeastInflight
	}
	return balanceNames[min(int(b), len(balanceNames)-1)]
}

// ForStreams is how to balance what will be a WebSocket or server-sent events:
// under LeastInflight, those that are open count.
func (b Balance) ForStreams() Balance {
	if b == LeastInflight {
		return leastOpen
	}
	return b
}

// ParseBalance reads least_inflight, round_robin or hash.
func ParseBalance(s string) (Balance, error) {
	if i := slices.Index(balanceNames[:], s); i >= 0 {
		return Balance(i), nil
	}
	return 0, fmt.Errorf("balance %q: want one of %q", s, balanceNames)
}

// Pick chooses an upstream that is healthy and was not tried yet. Ejected
// ones are taken only when no other is left, and last of all those that pass their
// checks and are held down for flapping: all of a pool flap together where what
// they share does. It returns nil when there is none. key is the client's, for
// Hash.
func (p *Pool) Pick(b Balance, key uint64, tried []*Endpoint, now time.Time) *Endpoint {
	if len(p.endpoints) == 0 {
		return nil
	}
	at := now.UnixNano()
	turn := uint64(0)
	if b != Hash {
		turn = p.turn.Add(1)
	}
	available := func(e *Endpoint) bool {
		return e.healthy.Load() && e.ejected.Load() < at && !slices.Contains(tried, e)
	}
	if e := p.pick(b, key, turn, available); e != nil {
		return e
	}
	if e := p.pick(b, key, turn, func(e *Endpoint) bool { return e.healthy.Load() && !slices.Contains(tried, e) }); e != nil {
		return e
	}
	return p.pick(b, key, turn, func(e *Endpoint) bool { return e.held.Load() && !slices.Contains(tried, e) })
}

func (p *Pool) pick(b Balance, key, turn uint64, available func(*Endpoint) bool) *Endpoint {
	switch b {
	case RoundRobin:
		return p.roundRobin(turn, available)
	case Hash:
		return p.hash(key, available)
	}
	return p.leastInflight(turn, b == leastOpen, available)
}

func (p *Pool) leastInflight(turn uint64, resting bool, available func(*Endpoint) bool) (best *Endpoint) {
	var load, weight, total int64 // of the best, and the weights of all its equals
	for _, e := range p.endpoints {
		if !available(e) {
			continue
		}
		l, w := e.load(resting), e.weight()
		switch here, there := l*weight, load*w; {
		case best == nil || here < there:
			best, load, weight, total = e, l, w, w
		case here == there:
			total += w
		}
	}
	if best == nil || total == weight {
		return best
	}
	equal := func(e *Endpoint) bool { return available(e) && e.load(resting)*weight == load*e.weight() }
	if e := p.inTurn(turn, total, equal); e != nil {
		return e
	}
	return best // all have moved on while we looked
}

func (p *Pool) roundRobin(turn uint64, available func(*Endpoint) bool) *Endpoint {
	var total int64
	for _, e := range p.endpoints {
		if available(e) {
			total += e.weight()
		}
	}
	if total == 0 {
		return nil
	}
	return p.inTurn(turn, total, available)
}

// inTurn walks through the weights of the eligible ones, total in sum, in
// strides that share no divisor with it, so that a heavy upstream does not get
// its whole share in a row.
func (p *Pool) inTurn(turn uint64, total int64, eligible func(*Endpoint) bool) (last *Endpoint) {
	at := int64(turn%uint64(total)) * stride(total) % total
	for _, e := range p.endpoints {
		if !eligible(e) {
			continue
		}
		if last = e; at < e.weight() {
			return e
		}
		at -= e.weight()
	}
	return last // one dropped out while we counted
}

// stride returns a number near total/φ that has no common divisor with it.
func stride(total int64) int64 {
	for s := int64(float64(total)*0.618) + 1; ; s++ {
		if gcd(s, total) == 1 {
			return s
		}
	}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (p *Pool) hash(key uint64, available func(*Endpoint) bool) (best *Endpoint) {
	top := math.Inf(-1)
	for _, e := range p.endpoints {
		if !available(e) {
			continue
		}
		u := (float64(mix(key^e.seed)>>11) + 0.5) / (1 << 53)
		if score := -float64(e.weight()) / math.Log(u); score > top {
			best, top = e, score
		}
	}
	return best
}

// Ejection is when an upstream that cannot be connected to is passed over,
// before its probes have noticed. The zero value never ejects.
type Ejection struct {
	// After this many connect errors in a row.
	After int
	// For how long.
	For time.Duration
}

// load is what counts for balancing.
func (e *Endpoint) load(resting bool) int64 {
	if resting {
		return e.inflight.Load()
	}
	return max(0, e.inflight.Load()-e.resting.Load())
}

// Rest counts an exchange that has begun as one that mostly rests; Stir gives the
// count back, before its End.
func (e *Endpoint) Rest() { e.resting.Add(1) }

// Stir ends what Rest began.
func (e *Endpoint) Stir() { e.resting.Add(-1) }

// Begin counts an exchange on the endpoint; End gives the count back.
func (e *Endpoint) Begin() { e.inflight.Add(1) }

// End ends what Begin began.
func (e *Endpoint) End() { e.inflight.Add(-1) }

// Connected says that a connection to the upstream worked.
func (e *Endpoint) Connected() {
	if e.fails.Load() != 0 {
		e.fails.Store(0)
	}
}

// ConnectFailed says that it did not; it reports whether the endpoint is
// ejected because of it.
func (e *Endpoint) ConnectFailed(x Ejection, now time.Time) bool {
	if x.After <= 0 || int(e.fails.Add(1)) < x.After {
		return false
	}
	e.fails.Store(0)
	e.ejected.Store(now.Add(x.For).UnixNano())
	return true
}
