package wsframe

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

// shape makes frames of bytes, two each, so that a fuzzer need not find out how.
func shape(b []byte) (s []byte) {
	for pair := range slices.Chunk(b, 2) {
		if len(pair) < 2 {
			break
		}
		f := frame{first: pair[0], size: int(pair[1] & 0x0f), masked: pair[1]&0x10 != 0}
		if f.first&0x08 != 0 {
			f.first |= 0x80
		} else if pair[1]&0x20 != 0 {
			f.wide = 2 << (2 * (pair[1] >> 6 & 1))
			f.size *= 12
		}
		s = f.append(s)
	}
	return s
}

// FuzzLane asks a Lane to end before or in the middle of some Write, to a peer
// that may fail.
func FuzzLane(f *testing.F) {
	for _, s := range streams {
		f.Add(s, false, []byte{5}, uint8(1), true, -1)
		f.Add(s, false, []byte{2, 7, 1}, uint8(3), false, len(s)/2)
	}
	f.Add([]byte{0x01, 0x33, 0x89, 0x02, 0x80, 0x13}, true, []byte{3, 1}, uint8(2), true, -1)
	f.Fuzz(func(t *testing.T, s []byte, shaped bool, sizes []byte, when uint8, during bool, room int) {
		s = s[:min(len(s), 512)]
		if shaped {
			s = shape(s[:min(len(s), 64)])
		}
		c := courseOf(s)
		out := &sink{room: max(room, -1)}
		l := &Lane{To: out}
		asked, ok := c.play(t, l, out, sizes, int(when), during)
		want, outcome := s, Pending
		if asked >= 0 {
			want, outcome = c.expected(asked)
		}
		if got, err := l.Outcome(); ok && (got != outcome || err != nil || !bytes.Equal(out.got, want)) {
			t.Fatalf("asked at %d: %v, %v, want %v\ngot  %x\nwant %x", asked, got, err, outcome, out.got, want)
		}
		if !bytes.HasPrefix(want, out.got) {
			t.Fatalf("asked at %d, then broken:\ngot %x\nof  %x", asked, out.got, want)
		}
		if ok {
			c.judge(t, out.got, outcome)
			return
		}
		if o, err := l.Outcome(); (o != Failed || err != errBroken) && o != PeerClosed && o != Lost {
			t.Fatalf("a write failed, and the outcome is %v, %v", o, err)
		}
	})
}

// play writes the course and asks for the end at the given chunk. It returns
// where that was, or -1, and whether all writes went well.
func (c course) play(t *testing.T, l *Lane, out *sink, sizes []byte, when int, during bool) (asked int, ok bool) {
	asked = -1
	for at, i := 0, 0; at < len(c.s); i++ {
		end := min(at+1, len(c.s))
		if len(sizes) > 0 {
			end = min(at+int(sizes[i%len(sizes)]%64)+1, len(c.s))
		}
		switch {
		case i == when && during:
			out.during, asked = func() { l.End(goodbye) }, end
		case i == when:
			asked = at
			l.End(goodbye)
		}
		n, err := l.Write(c.s[at:end])
		if err != nil {
			if err != errBroken && err != io.ErrClosedPipe {
				t.Fatal(err)
			}
			return asked, false
		}
		if n != end-at {
			t.Fatalf("wrote %d of %d bytes", n, end-at)
		}
		at = end
	}
	o, _ := l.Outcome()
	return asked, o != Failed
}
