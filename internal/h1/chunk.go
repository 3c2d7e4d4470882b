package h1

import "math"

// Bounds of what chunks carry besides content (RFC 9112 §7.1.1). Extensions
// are ignored.
const (
	maxChunkDigits    = 16
	maxChunkExtension = 256
	// maxChunkExcess is how many bytes more than content there may be, with
	// 16 free for each chunk: events of a few bytes are no abuse.
	maxChunkExcess = 16 << 10
)

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer // behind the line of the last chunk
)

// chunks takes the framing off a chunked body, in pieces of any size. The zero
// value is before the first chunk.
type chunks struct {
	state     chunkState
	digits    int
	extension int
	size      int64 // of this chunk: while its line is read, then what is left
	excess    int64
	at        int64 // framed bytes so far
}

// decode moves content from src to the beginning of dst, which has as much
// space and may be the same. It stops behind the last chunk's line, or at the
// end of src: taken is how much of src that is.
func (d *chunks) decode(dst, src []byte) (n, taken int, f flaw) {
	for taken < len(src) && d.state != chunkTrailer {
		if d.state == chunkData {
			m := copy(dst[n:], src[taken:][:min(d.size, int64(len(src)-taken))])
			n, taken = n+m, taken+m
			if d.size -= int64(m); d.size == 0 {
				d.state = chunkDataCR
			}
			continue
		}
		if what, large := d.step(src[taken]); what != "" {
			return n, taken, flaw{what: what, at: taken, large: large}
		}
		taken++
	}
	return n, taken, flaw{}
}

// step takes one byte that is no content.
func (d *chunks) step(c byte) (what string, large bool) {
	switch d.state {
	case chunkSize:
		return d.sizeByte(c)
	case chunkExtension:
		return d.extensionByte(c)
	case chunkSizeLF:
		if c != '\n' {
			return "a bare CR in a chunk's line", false
		}
		return d.begin()
	case chunkDataCR:
		if c != '\r' {
			return "a chunk that goes on behind its size", false
		}
		d.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return "a chunk that goes on behind its size", false
		}
		d.state = chunkSize
	}
	return "", false
}

func (d *chunks) sizeByte(c byte) (what string, large bool) {
	v := int64(-1)
	switch {
	case '0' <= c && c <= '9':
		v = int64(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		v = int64(c|0x20-'a') + 10
	case d.digits == 0:
		return "a chunk without a size", false
	case c == ';':
		d.state = chunkExtension
	case c == '\r':
		d.state = chunkSizeLF
	default:
		return "a bad character in a chunk's size", false
	}
	if v >= 0 {
		if d.digits++; d.digits > maxChunkDigits || d.size > math.MaxInt64>>4 {
			return "a chunk's size", true
		}
		d.size = d.size<<4 | v
	}
	return "", false
}

func (d *chunks) extensionByte(c byte) (what string, large bool) {
	switch {
	case c == '\r':
		d.state = chunkSizeLF
	case classes[c]&inValue == 0:
		return "a control character in a chunk's extension", false
	default:
		if d.extension++; d.extension > maxChunkExtension {
			return "a chunk's extension", true
		}
	}
	return "", false
}

// begin is behind a chunk's line.
func (d *chunks) begin() (what string, large bool) {
	d.excess += int64(d.digits+d.extension) + 5 - 16
	d.excess = max(d.excess-d.size, 0)
	if d.excess > maxChunkExcess {
		return "the extensions of chunks", true
	}
	d.digits, d.extension = 0, 0
	d.state = chunkData
	if d.size == 0 {
		d.state = chunkTrailer
	}
	return "", false
}
