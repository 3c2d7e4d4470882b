package proxy

import "sync"

const copyBufferSize = 32 << 10

// copyBuffers holds *[copyBufferSize]byte, lent while bytes move.
var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// idleBufferSize is what one who copies holds while nothing comes.
const idleBufferSize = 1 << 10

// loan is the buffer of one who copies a stream that may be silent for hours:
// small, until a read fills it; then a borrowed copy buffer until the flow ebbs.
// The zero value is small.
type loan struct {
	small []byte
	big   *[copyBufferSize]byte // nil: nothing is borrowed
}

// buffer is what to read into; its content is its user's until the next call.
func (l *loan) buffer() []byte {
	if l.big != nil {
		return l.big[:]
	}
	if l.small == nil {
		l.small = make([]byte, idleBufferSize)
	}
	return l.small
}

// passed chooses the next buffer by how many bytes came into this one.
func (l *loan) passed(n int) {
	switch {
	case l.big == nil && n == idleBufferSize:
		l.borrow()
	case l.big != nil && n < idleBufferSize:
		l.giveBack()
	}
}

// borrow makes the next buffer a whole copy buffer.
func (l *loan) borrow() {
	if l.big == nil {
		l.big = copyBuffers.Get().(*[copyBufferSize]byte)
	}
}

// giveBack must follow the last use of a buffer.
func (l *loan) giveBack() {
	if l.big != nil {
		copyBuffers.Put(l.big)
		l.big = nil
	}
}
