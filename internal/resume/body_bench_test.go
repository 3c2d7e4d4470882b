package resume

import (
	"io"
	"testing"
)

func TestReadingABodyAllocatesNothing(t *testing.T) {
	b, _ := newBody(t, endless{}, Options{Next: none(t)})
	p := make([]byte, 16)
	if n := testing.AllocsPerRun(1000, func() { _, _ = b.Read(p) }); n != 0 {
		t.Errorf("%v allocations for each Read", n)
	}
}

// endless reads as much as it is asked for.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkRead(b *testing.B) {
	p := make([]byte, 32<<10)
	plan := planOf(exchange())
	for name, size := range map[string]int{"32KiB": len(p), "512B": 512} {
		p := p[:size]
		b.Run("plain/"+name, func(b *testing.B) {
			var r io.Reader = endless{}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = r.Read(p)
			}
		})
		b.Run("body/"+name, func(b *testing.B) {
			plan := plan
			plan.span = ContentRange{0, 1 << 60, 1<<60 + 1}
			r := NewBody(b.Context(), io.NopCloser(endless{}), NewTransfer(plan, Options{}))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = r.Read(p)
			}
		})
	}
}
