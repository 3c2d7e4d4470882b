package wsframe

// Tracker follows the headers of one direction's frames, over chunks that may
// be split anywhere. The zero value is at the first byte after the handshake.
//
// It does not check what a relay need not know: whether frames are masked,
// whether a continuation continues anything, whether a length has its shortest
// form, what comes after a close frame.
type Tracker struct {
	left  uint64 // inRest: bytes of the frame, its masking key included; atLength: what was read of the length
	first byte   // the frame's first byte
	stage stage
	need  uint8 // bytes of the length to come, in atLength
	flags flags
}

// stage is what the next byte belongs to.
type stage uint8

const (
	atFirst  stage = iota // a new frame
	atSecond              // the mask bit and the short length
	atLength              // the extended length
	inRest                // the masking key and the payload
	inChaos               // no frame: lost
)

type flags uint8

const (
	masked     flags = 1 << iota // the frame has a masking key
	fragmented                   // in a message of several frames
	closing                      // a close frame has begun
	closed                       // a close frame has passed
)

// Of a frame's first byte (RFC 6455 §5.2).
const (
	finBit     = 0x80
	controlBit = 0x08 // of the opcode
	opcodeMask = 0x0f
	opClose    = 0x8
)

// Of a frame's second byte.
const (
	maskBit = 0x80
	length2 = 126 // the length is in the next 2 bytes
	length8 = 127 // the length is in the next 8 bytes

	maxControl = 125 // bytes of payload of a control frame
	keySize    = 4   // bytes of a masking key
)

// Next follows p to the end of the current frame, or of p, and returns how many
// bytes that is. A chunk is followed frame by frame by calling it again with
// the rest; Boundary says in between whether the frame has ended.
func (t *Tracker) Next(p []byte) int {
	n := 0
	switch t.stage {
	case atFirst, atSecond, atLength:
		if n = t.header(p); t.stage != inRest {
			break
		}
		fallthrough
	case inRest:
		if rest := uint64(len(p) - n); rest < t.left {
			t.left -= rest
			return len(p)
		}
		n += int(t.left)
		t.finish()
	}
	if t.stage == inChaos {
		return len(p)
	}
	return n
}

// Advance follows all of p.
func (t *Tracker) Advance(p []byte) {
	for len(p) > 0 {
		p = p[t.Next(p):]
	}
}

// Boundary reports whether the next byte begins a frame.
func (t *Tracker) Boundary() bool { return t.stage == atFirst }

// Left returns how many bytes are left of the current frame: 0 at a boundary.
// They are not known before the whole length has been seen, nor when lost.
func (t *Tracker) Left() (bytes uint64, known bool) {
	switch t.stage {
	case atFirst:
		return 0, true
	case inRest:
		return t.left, true
	}
	return 0, false
}

// Fragmented reports whether a message of several frames has begun and not
// ended. At a boundary there, control frames may still be put in (RFC 6455
// §5.4).
func (t *Tracker) Fragmented() bool { return t.flags&fragmented != 0 }

// Closing reports whether a close frame has begun, be it with one byte.
func (t *Tracker) Closing() bool { return t.flags&closing != 0 }

// Closed reports whether a close frame has passed whole.
func (t *Tracker) Closed() bool { return t.flags&closed != 0 }

// Lost reports whether what was seen cannot be frames: a fragmented or overlong
// control frame, or a length of 2^63 and more. There is no boundary after that.
func (t *Tracker) Lost() bool { return t.stage == inChaos }

// header follows p to the end of the header, or of p.
func (t *Tracker) header(p []byte) int {
	if t.stage == atFirst && len(p) >= 2 { // nearly always
		if t.begin(p[0]); t.stage == atSecond {
			t.size(p[1])
		}
		if t.stage != atLength {
			return 2
		}
		return 2 + t.length(p[2:])
	}
	n := 0
	if t.stage == atFirst && n < len(p) {
		t.begin(p[n])
		n++
	}
	if t.stage == atSecond && n < len(p) {
		t.size(p[n])
		n++
	}
	if t.stage == atLength {
		n += t.length(p[n:])
	}
	return n
}

// begin takes a frame's first byte.
func (t *Tracker) begin(b byte) {
	t.first, t.stage = b, atSecond
	switch fin := b&finBit != 0; {
	case b&controlBit == 0:
		if !fin {
			t.flags |= fragmented
		}
	case !fin:
		t.stage = inChaos
	case b&opcodeMask == opClose:
		t.flags |= closing
	}
}

// size takes a frame's second byte.
func (t *Tracker) size(b byte) {
	t.flags &^= masked
	if b&maskBit != 0 {
		t.flags |= masked
	}
	short := b &^ maskBit
	switch {
	case short <= maxControl:
		t.left = uint64(short)
		t.sized()
	case t.first&controlBit != 0:
		t.stage = inChaos
	case short == length2:
		t.left, t.need, t.stage = 0, 2, atLength
	default:
		t.left, t.need, t.stage = 0, 8, atLength
	}
}

// length takes bytes of the extended length.
func (t *Tracker) length(p []byte) int {
	n := min(int(t.need), len(p))
	for _, b := range p[:n] {
		t.left = t.left<<8 | uint64(b)
	}
	if t.need -= uint8(n); t.need == 0 {
		t.sized()
	}
	return n
}

// sized goes on from a header that is whole but for the masking key.
func (t *Tracker) sized() {
	if t.left > 1<<63-1 {
		t.stage = inChaos
		return
	}
	if t.flags&masked != 0 {
		t.left += keySize
	}
	t.stage = inRest // even if nothing is left: Next finishes
}

// finish ends a frame.
func (t *Tracker) finish() {
	t.stage = atFirst
	switch {
	case t.first&opcodeMask == opClose:
		t.flags |= closed
	case t.first&(finBit|controlBit) == finBit:
		t.flags &^= fragmented
	}
}
