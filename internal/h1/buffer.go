package h1

import "sync"

// A connection borrows its buffers while it needs them: one that is idle, or
// waits in the middle of a body, holds none.

const (
	smallBuffer = 4 << 10
	// wholePiece is how much is gathered into one write.
	wholePiece = 32 << 10
	// largestKept bounds what goes back to the pool: a head of unusual size is
	// no reason to hold as much for all others.
	largestKept = 2 * wholePiece
)

type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, smallBuffer)} }}

func borrow() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) giveBack() {
	if b != nil && cap(b.b) <= largestKept {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}
