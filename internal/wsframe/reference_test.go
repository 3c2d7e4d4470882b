package wsframe

import (
	"encoding/binary"
	"testing"
)

// view is all that a Tracker says.
type view struct {
	boundary   bool
	left       uint64
	known      bool
	fragmented bool
	closing    bool
	closed     bool
	lost       bool
}

func seen(t *Tracker) view {
	left, known := t.Left()
	return view{t.Boundary(), left, known, t.Fragmented(), t.Closing(), t.Closed(), t.Lost()}
}

// reference reads all that has passed from the beginning, frame by frame, and
// keeps nothing from call to call.
func reference(passed []byte) (v view) {
	for len(passed) > 0 {
		fin, opcode := passed[0] >= 128, passed[0]%16
		control := opcode >= 8
		if control && !fin {
			v.lost = true
			return v
		}
		v.fragmented = v.fragmented || !control && !fin
		v.closing = v.closing || opcode == 8
		if len(passed) < 2 {
			return v
		}
		short := passed[1] % 128
		if control && short > 125 {
			v.lost = true
			return v
		}
		header := 2
		if short > 125 {
			header = []int{4, 10}[short-126]
		}
		if len(passed) < header {
			return v
		}
		size := uint64(short)
		switch header {
		case 4:
			size = uint64(binary.BigEndian.Uint16(passed[2:]))
		case 10:
			size = binary.BigEndian.Uint64(passed[2:])
		}
		if int64(size) < 0 {
			v.lost = true
			return v
		}
		if size += uint64(header); passed[1] >= 128 {
			size += 4
		}
		if have := uint64(len(passed)); have < size {
			v.left, v.known = size-have, true
			return v
		}
		passed = passed[size:]
		v.closed = v.closed || opcode == 8
		v.fragmented = v.fragmented && (control || !fin)
	}
	v.boundary, v.known = true, true
	return v
}

// frame is one to make.
type frame struct {
	first  byte // FIN, RSV and opcode
	size   int
	masked bool
	wide   int // at least so many bytes of extended length: 0, 2 or 8
}

func (f frame) append(dst []byte) []byte {
	var mask byte
	if f.masked {
		mask = 128
	}
	switch {
	case f.size > 65535 || f.wide == 8:
		dst = binary.BigEndian.AppendUint64(append(dst, f.first, mask|127), uint64(f.size))
	case f.size > 125 || f.wide == 2:
		dst = binary.BigEndian.AppendUint16(append(dst, f.first, mask|126), uint16(f.size))
	default:
		dst = append(dst, f.first, mask|byte(f.size))
	}
	if f.masked {
		dst = append(dst, 0x81, 0x88, 0x00, 0xff) // looks like headers
	}
	for i := range f.size {
		dst = append(dst, "\x88\x02\x03\xe8"[i%4]) // looks like close frames
	}
	return dst
}

func stream(frames ...frame) (s []byte) {
	for _, f := range frames {
		s = f.append(s)
	}
	return s
}

// streams are short enough to be split at every pair of bytes.
var streams = map[string][]byte{
	"text":            stream(frame{first: 0x81, size: 3}, frame{first: 0x81, size: 5, masked: true}),
	"lengths":         stream(frame{first: 0x82}, frame{first: 0x82, size: 125}, frame{first: 0x82, size: 126}, frame{first: 0x81, size: 127}),
	"lengths, masked": stream(frame{first: 0x82, masked: true}, frame{first: 0x82, size: 125, masked: true}, frame{first: 0x82, size: 127, masked: true}),
	"long forms": stream(frame{first: 0x82, wide: 2}, frame{first: 0x82, wide: 8}, frame{first: 0x82, wide: 8, masked: true},
		frame{first: 0x82, size: 3, wide: 2}, frame{first: 0x82, size: 200, wide: 8, masked: true}),
	"fragments": stream(frame{first: 0x01, size: 3}, frame{first: 0x89, size: 4}, frame{first: 0x00, size: 2}, frame{first: 0x8a},
		frame{first: 0x00}, frame{first: 0x80, size: 1}, frame{first: 0x82, size: 1}),
	"fragments, deflated, masked": stream(frame{first: 0x41, size: 3, masked: true}, frame{first: 0x89, masked: true}, frame{first: 0x80, size: 2, masked: true}),
	"opcodes":                     allOpcodes(false),
	"opcodes, masked":             allOpcodes(true),
	"close":                       stream(frame{first: 0x81, size: 2}, frame{first: 0x88, size: 2}),
	"close, masked":               stream(frame{first: 0x01, size: 2, masked: true}, frame{first: 0x88, size: 9, masked: true}),
	"close without a code":        stream(frame{first: 0x88}),
	"close and more":              stream(frame{first: 0x88, size: 2}, frame{first: 0x81, size: 4}, frame{first: 0x88}),
	"a fragmented ping":           stream(frame{first: 0x81, size: 2}, frame{first: 0x09, size: 2}, frame{first: 0x81, size: 2}),
	"a fragmented close":          stream(frame{first: 0x81, size: 2}, frame{first: 0x08, size: 2}, frame{first: 0x81, size: 2}),
	"a long pong":                 stream(frame{first: 0x01, size: 2}, frame{first: 0x8a, size: 126}, frame{first: 0x81, size: 2}),
	"a long close":                stream(frame{first: 0x88, size: 5, wide: 8}, frame{first: 0x81, size: 2}),
	"a close, then chaos":         stream(frame{first: 0x88, size: 2}, frame{first: 0x09}, frame{first: 0x81, size: 2}),
	"the top bit":                 append(stream(frame{first: 0x81, size: 2}), "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x01abc"...),
	"all bits":                    append(stream(frame{first: 0x81, size: 2}), "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffabc"...),
	"the longest":                 append(stream(frame{first: 0x81, size: 2}), "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff1234abc"...),
	"HTTP":                        []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
}

// allOpcodes has a frame of each, with one of the reserved bits each; those of
// control frames last, and close after all others.
func allOpcodes(masked bool) (s []byte) {
	for i := range 16 {
		opcode := byte(i)
		switch {
		case opcode == 8:
			continue
		case opcode == 15:
			defer func() { s = frame{first: 0x88, size: 2, masked: masked}.append(s) }()
		}
		s = frame{first: 0x80 | opcode | 0x10<<(i%3), size: i % 4, masked: masked}.append(s)
	}
	return s
}

func TestTheReferenceReadsTheExamplesOfTheRFC(t *testing.T) {
	for _, s := range []string{ // RFC 6455 §5.7
		"\x81\x05Hello",
		"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
		"\x01\x03Hel\x80\x02lo",
		"\x89\x05Hello",
		"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
		"\x82\x7e\x01\x00" + string(make([]byte, 256)),
		"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + string(make([]byte, 65536)),
	} {
		if v := reference([]byte(s)); v != (view{boundary: true, known: true}) {
			t.Errorf("%.8q: %+v", s, v)
		}
		if v := reference([]byte(s[:len(s)-1])); v.boundary || v.left != 1 {
			t.Errorf("%.8q but for one byte: %+v", s, v)
		}
	}
}
