package wsframe

import (
	"encoding/binary"
	"testing"
	"unsafe"
)

// course is a stream with what is to be said after each of its bytes.
type course struct {
	s     []byte
	views []view // after so many bytes
	next  []int  // the first boundary beyond so many bytes, or the end
}

func courseOf(s []byte) course {
	c := course{s, make([]view, len(s)+1), make([]int, len(s)+1)}
	next := len(s)
	for i := len(s); i >= 0; i-- {
		c.views[i], c.next[i] = reference(s[:i]), next
		if c.views[i].boundary {
			next = i
		}
	}
	return c
}

// check follows the stream in chunks that end at the given places, once at a
// stroke and once frame by frame.
func (c course) check(t *testing.T, ends ...int) {
	var whole, stepped Tracker
	at := 0
	for _, end := range append(ends, len(c.s)) {
		whole.Advance(c.s[at:end])
		if got := seen(&whole); got != c.views[end] {
			t.Fatalf("split at %d, after %d of %d bytes:\ngot  %+v\nwant %+v", ends, end, len(c.s), got, c.views[end])
		}
		for at < end {
			want := min(c.next[at], end) - at
			if got := stepped.Next(c.s[at:end]); got != want {
				t.Fatalf("split at %d, Next at %d: %d bytes, want %d", ends, at, got, want)
			}
			at += want
			if got := seen(&stepped); got != c.views[at] {
				t.Fatalf("split at %d, Next up to %d:\ngot  %+v\nwant %+v", ends, at, got, c.views[at])
			}
		}
	}
}

func TestASplitAtAnyPairOfBytesChangesNothing(t *testing.T) {
	for name, s := range streams {
		t.Run(name, func(t *testing.T) {
			c := courseOf(s)
			for i := range len(s) + 1 {
				for j := i; j <= len(s); j++ {
					c.check(t, i, j)
				}
			}
		})
	}
}

func TestByteByByteNothingChanges(t *testing.T) {
	for name, s := range streams {
		t.Run(name, func(t *testing.T) {
			var ends []int
			for i := range s {
				ends = append(ends, i)
			}
			courseOf(s).check(t, ends...)
		})
	}
}

func TestALongFrameMayBeSplitAnywhere(t *testing.T) {
	for _, masked := range []bool{false, true} {
		s := stream(frame{first: 0x81, size: 1}, frame{first: 0x02, size: 65535, masked: masked}, frame{first: 0x80, size: 65536, masked: masked}, frame{first: 0x89})
		c := courseOf(s)
		var near []int // headers
		for i := range s {
			c.check(t, i)
			if v := c.views[i]; !v.known || v.boundary || v.left < 8 || v.left > 65530 {
				near = append(near, i)
			}
		}
		for n, i := range near {
			for _, j := range near[n:] {
				c.check(t, i, j)
			}
		}
	}
}

func TestAFrameBeyondFourGigabytesIsCountedToItsEnd(t *testing.T) {
	const size = 1<<33 + 5
	chunk := make([]byte, 1<<20)
	for _, masked := range []bool{false, true} {
		var tr Tracker
		header := binary.BigEndian.AppendUint64([]byte{0x82, 0x7f}, size)
		want := uint64(size)
		if masked {
			header[1], want = 0xff, want+4
		}
		tr.Advance(header)
		for want > 0 {
			if left, known := tr.Left(); left != want || !known || tr.Boundary() {
				t.Fatalf("left %d (known %v, boundary %v), want %d", left, known, tr.Boundary(), want)
			}
			p := chunk[:min(uint64(len(chunk)), want)]
			if n := tr.Next(p); n != len(p) {
				t.Fatalf("Next: %d, want %d", n, len(p))
			}
			want -= uint64(len(p))
		}
		if n := tr.Next(chunk[:0]); n != 0 || !tr.Boundary() {
			t.Errorf("not at a boundary after the last byte: %+v", seen(&tr))
		}
	}
}

func TestTheLongestFrameIsAFrameAndALongerOneIsNot(t *testing.T) {
	for _, tt := range []struct {
		second byte
		size   uint64
		left   uint64
		lost   bool
	}{
		{127, 1<<63 - 1, 1<<63 - 1, false},
		{255, 1<<63 - 1, 1<<63 + 3, false},
		{127, 1 << 63, 0, true},
		{255, 1<<64 - 1, 0, true},
	} {
		var tr Tracker
		tr.Advance(binary.BigEndian.AppendUint64([]byte{0x82, tt.second}, tt.size))
		if left, _ := tr.Left(); left != tt.left || tr.Lost() != tt.lost {
			t.Errorf("%x: left %x, lost %v", tt.size, left, tr.Lost())
		}
	}
}

func TestWhatIsLostStaysLost(t *testing.T) {
	for _, s := range []string{"\x09", "\x08\x00", "\x89\x7e", "\x88\xff", "\x8f\x7f", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"} {
		var tr Tracker
		tr.Advance([]byte(s))
		for range 100 {
			if n := tr.Next([]byte{0x81, 0x00, 0x81}); n != 3 || !tr.Lost() || tr.Boundary() {
				t.Fatalf("%q: Next %d, %+v", s, n, seen(&tr))
			}
		}
	}
}

func TestATrackerFitsInSixteenBytes(t *testing.T) {
	if size := unsafe.Sizeof(Tracker{}); size != 16 {
		t.Errorf("%d bytes", size)
	}
}

func FuzzTracker(f *testing.F) {
	for _, s := range streams {
		f.Add(s, []byte{1})
		f.Add(s, []byte{3, 0, 1, 200})
	}
	f.Fuzz(func(t *testing.T, s, sizes []byte) {
		s = s[:min(len(s), 512)]
		var ends []int
		for at, i := 0, 0; len(sizes) > 0 && i < len(s); i++ {
			if at += int(sizes[i%len(sizes)]); at > len(s) {
				break
			}
			ends = append(ends, at)
		}
		courseOf(s).check(t, ends...)
	})
}
