package switcher

import (
	"math/rand/v2"
	"sync/atomic"
)

// cells is how many parts a counter has: enough that the cores of a large
// machine seldom meet on one. A power of two.
const cells = 32

// cell is padded to two cache lines, since processors fetch them in pairs.
type cell struct {
	n atomic.Int64
	_ [120]byte
}

// counter counts without sharing a line between cores. A count is given back
// to the cell it was taken from, so that no cell is ever below zero, and a sum
// of zero, once no new work arrives, means that nothing is left.
type counter struct{ cells [cells]cell }

func (c *counter) take() *cell {
	at := &c.cells[rand.Uint32()%cells]
	at.n.Add(1)
	return at
}

func (c *counter) sum() (n int64) {
	for i := range c.cells {
		n += c.cells[i].n.Load()
	}
	return n
}

// Service is the data plane's handle on one service. It stays the same for
// the life of the process, through reloads and even removal.
type Service struct {
	name     string
	slot     int
	board    *atomic.Pointer[board]
	inflight PerColor[counter]
	pins     atomic.Pointer[pins] // nil: sessions are not pinned
}

// Name returns the service's name.
func (s *Service) Name() string { return s.name }

// Table returns the table in force, nil when the service is not configured.
func (s *Service) Table() *Table {
	if b := s.board.Load(); s.slot < len(b.tables) {
		return b.tables[s.slot]
	}
	return nil
}

// Inflight returns how many leases of color c have not been released.
func (s *Service) Inflight(c Color) int64 { return s.inflight.At(c).sum() }

// Lease is one counted piece of work on one color.
type Lease struct {
	Table *Table
	Color Color
	// Kept says that a session is on a color that the split would not have
	// chosen for it now.
	Kept    bool
	cell    *cell
	pins    *pins // that know session; nil: none do
	session Session
}

// Pool returns the pool to choose an upstream from.
func (l Lease) Pool() *Pool { return l.Table.Pools.Of(l.Color) }

// Release gives the count back. It must be called exactly once.
func (l Lease) Release() {
	if l.pins != nil {
		l.pins.leave(l.session)
	}
	l.cell.n.Add(-1)
}

// Acquire chooses the color for a client's bucket and counts the work on it,
// as one step: if the table changed in between, it chooses again. It returns
// false when the service is not configured.
//
// Why this is enough: a flip stores the new table and then reads the counts.
// Either Acquire's second look sees the new table, or the flip sees the count.
func (s *Service) Acquire(bucket uint16) (Lease, bool) {
	return s.acquire(func(t *Table) Color { return t.Split.Pick(bucket) })
}

// AcquireIdle is Acquire for a preview: the color that is not active. While
// that color drains it gets no new work, and AcquireIdle returns false.
func (s *Service) AcquireIdle() (Lease, bool) {
	return s.acquire(func(t *Table) Color {
		if t.Draining() {
			return 0
		}
		return t.Active.Other()
	})
}

// AcquireOn takes a lease of one color, for work that moves there from the
// other: only while clients are sent there too.
func (s *Service) AcquireOn(c Color) (Lease, bool) {
	return s.acquire(func(t *Table) Color {
		if t.Split.Weight(c) == 0 {
			return 0
		}
		return c
	})
}

// acquire takes a lease of the color that choose names; none where it names
// none.
func (s *Service) acquire(choose func(*Table) Color) (l Lease, ok bool) {
	l.Table, l.Color, l.cell = s.count(choose)
	return l, l.cell != nil
}

// count is acquire without the lease around it. A Lease that is copied on its
// way costs more than the counting; what fits in registers does not.
func (s *Service) count(choose func(*Table) Color) (t *Table, c Color, at *cell) {
	t = s.Table()
	for t != nil {
		if c = choose(t); c == 0 {
			break
		}
		at = s.inflight.At(c).take()
		now := s.Table()
		if now == t {
			return t, c, at
		}
		at.n.Add(-1)
		t = now
	}
	return nil, 0, nil
}

// RandomBucket is the bucket of a client that has no key to be known by.
func RandomBucket() uint16 { return bucketOf(rand.Uint64()) }
