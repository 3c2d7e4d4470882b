package wsframe

import (
	"fmt"
	"io"
	"testing"
)

const chunkSize = 32 << 10

// chunkOf is a chunk of frames with payloads of one size, cut where it is full.
func chunkOf(size int) (s []byte) {
	for len(s) < chunkSize {
		s = frame{first: 0x81, size: size, masked: true}.append(s)
	}
	return s[:chunkSize]
}

func BenchmarkTracker(b *testing.B) {
	for _, size := range []int{0, 6, 60, 125, 1000, 16000, 1 << 20} {
		b.Run(fmt.Sprintf("frames of %d bytes", size), func(b *testing.B) {
			chunk := chunkOf(size)
			b.SetBytes(chunkSize)
			b.ReportAllocs()
			for b.Loop() {
				var t Tracker
				t.Advance(chunk)
			}
		})
	}
}

func BenchmarkLane(b *testing.B) {
	for _, size := range []int{6, 125, 1 << 20} {
		b.Run(fmt.Sprintf("frames of %d bytes", size), func(b *testing.B) {
			l := Lane{To: io.Discard}
			chunk := stream(frame{first: 0x81, size: size, masked: true})
			if size > chunkSize {
				_, _ = l.Write([]byte("\x82\x7f\x00\xff\xff\xff\xff\xff\xff\xff"))
				chunk = chunk[:chunkSize]
			}
			for len(chunk)*2 <= chunkSize {
				chunk = append(chunk, chunk...)
			}
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = l.Write(chunk)
			}
		})
	}
}

func TestFollowingAllocatesNothing(t *testing.T) {
	chunk := chunkOf(60)
	l := Lane{To: io.Discard}
	if n := testing.AllocsPerRun(100, func() { _, _ = l.Write(chunk) }); n != 0 {
		t.Errorf("%v allocations for a Write", n)
	}
}
