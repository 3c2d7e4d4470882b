package switcher

// Table is what one service serves by: an immutable snapshot. A change makes
// a new one, and Acquire notices.
type Table struct {
	// Generation of the service's state; health and pools change the table
	// without it.
	Generation uint64
	// Active is the color that serves outside a cutover.
	Active Color
	// Split divides the traffic.
	Split Split
	// Held is a color without traffic that still serves the sessions pinned
	// to it, and none that begin; 0: none.
	Held Color
	// Pools of both colors, never nil.
	Pools PerColor[*Pool]

	phase Phase
}

// Draining reports whether a color finishes its work: always the idle one.
func (t *Table) Draining() bool { return t.phase == Draining }

// Serves reports whether sessions that are pinned to c may go there.
func (t *Table) Serves(c Color) bool { return t.Split.Weight(c) > 0 || t.Held == c }

// board is the tables of all services at one instant, by slot. It is replaced
// whole, so that a group of services changes as one.
type board struct {
	tables []*Table // nil: the service is not configured
}

// with returns a copy of b with some tables replaced.
func (b *board) with(tables map[int]*Table) *board {
	size := len(b.tables)
	for slot := range tables {
		size = max(size, slot+1)
	}
	next := &board{tables: make([]*Table, size)}
	copy(next.tables, b.tables)
	for slot, t := range tables {
		next.tables[slot] = t
	}
	return next
}
