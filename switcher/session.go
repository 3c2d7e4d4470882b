package switcher

import (
	"fmt"
	"hash/maphash"
	"time"
)

// Session is the hash of what a client's session is known by. The zero value is
// no session. It is keyed by chance for each process, so that nobody can choose
// keys that meet, and says nothing outside of it.
type Session uint64

var sessionSeed = maphash.MakeSeed()

// SessionOf hashes a key; the same bytes are the same session.
func SessionOf[K string | []byte](key K) Session {
	var h uint64
	switch key := any(key).(type) {
	case string:
		h = maphash.String(sessionSeed, key)
	case []byte:
		h = maphash.Bytes(sessionSeed, key)
	}
	return Session(max(h, 1))
}

// PinConfig is how a service keeps sessions on their color. The zero value
// keeps none.
type PinConfig struct {
	// Idle is how long a session may be without a request, and without a
	// stream, before it has ended: 1s to 24h.
	Idle time.Duration
	// Max is how many sessions are remembered, 1 to MaxPins; 0: none. Those
	// beyond it go by the split.
	Max int
}

// MaxPins bounds PinConfig.Max.
const MaxPins = 1_000_000

const (
	minPinIdle = time.Second
	maxPinIdle = 24 * time.Hour
)

func (c PinConfig) validate() error {
	if c == (PinConfig{}) {
		return nil
	}
	if c.Idle < minPinIdle || c.Idle > maxPinIdle {
		return fmt.Errorf("pin idle %s: want %s to %s", c.Idle, minPinIdle, maxPinIdle)
	}
	if c.Max < 1 || c.Max > MaxPins {
		return fmt.Errorf("pin max %d: want 1 to %d", c.Max, MaxPins)
	}
	return nil
}

// PinPolicy says what becomes of the sessions on the color that loses its
// traffic. Empty means PinsHold.
type PinPolicy string

// The policies.
const (
	PinsHold PinPolicy = "hold" // they stay until they end, or until the pin deadline
	PinsDrop PinPolicy = "drop" // they move with the flip, as all others do
)

func (p PinPolicy) validate() error {
	switch p {
	case "", PinsHold, PinsDrop:
		return nil
	}
	return fmt.Errorf("pins %.20q: want hold or drop", string(p))
}

// setPins makes config the service's own. What is pinned stays.
func (s *Service) setPins(c PinConfig) {
	p := s.pins.Load()
	switch {
	case c.Max == 0:
		s.pins.Store(nil)
	case p == nil:
		s.pins.Store(newPins(c))
	default:
		p.limit(c)
	}
}

// AcquireSession is Acquire for a request of a session: while the table in
// force serves the sessions of the color it is pinned to, it goes there.
// Otherwise the split chooses, and the session is pinned to that.
func (s *Service) AcquireSession(bucket uint16, session Session) (Lease, bool) {
	p := s.pins.Load()
	if p == nil || session == 0 {
		return s.Acquire(bucket)
	}
	// The pin is written between the two looks at the table. Whoever takes a
	// color's sessions away stores the table first, and then forgets the pins:
	// either it finds this one, or the second look finds the table.
	var v visit
	l, ok := s.acquire(func(t *Table) (c Color) {
		c, v = p.enter(session, t, bucket, v)
		return c
	})
	switch {
	case !v.counted:
	case !ok:
		p.leave(session)
	default:
		l.pins, l.session, l.Kept = p, session, v.kept
	}
	return l, ok
}

// Unpin forgets that the lease's session is pinned to the lease's color: its
// next request goes where the split says.
func (l Lease) Unpin() {
	if l.pins != nil {
		l.pins.unpin(l.session, l.Color)
	}
}

// pinned returns how many sessions of color c live, at most a second ago, and
// when the oldest of them began.
func (s *Service) pinned(c Color) (n int64, oldest time.Time) {
	p := s.pins.Load()
	if p == nil {
		return 0, time.Time{}
	}
	p.tidy()
	return p.census(c)
}

// dropPins forgets all pins to color c.
func (s *Service) dropPins(c Color) {
	if p := s.pins.Load(); p != nil {
		p.drop(c)
	}
}
