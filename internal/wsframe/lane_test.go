package wsframe

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"unsafe"
)

var goodbye = []byte("\x88\x05\x03\xe9bye")

var errBroken = errors.New("broken pipe")

// sink is a connection that keeps what it gets.
type sink struct {
	got    []byte
	during func() // called once, in the middle of the next write
	room   int    // bytes until writes fail, if not negative
}

func (s *sink) Write(p []byte) (int, error) {
	half := len(p) / 2
	n := s.take(p[:half])
	if f := s.during; f != nil {
		s.during = nil
		f()
	}
	if n += s.take(p[half:]); n < len(p) {
		return n, errBroken
	}
	return n, nil
}

func (s *sink) take(p []byte) int {
	if s.room >= 0 {
		p = p[:min(len(p), s.room)]
		s.room -= len(p)
	}
	s.got = append(s.got, p...)
	return len(p)
}

// expected is what comes out of a Lane that is asked to end when so many bytes
// have passed or are being written.
func (c course) expected(asked int) (out []byte, o Outcome) {
	at, last := c.views[asked], c.views[len(c.s)]
	switch k := c.boundaryFrom(asked); {
	case !at.closing && k >= 0:
		return slices.Concat(c.s[:k], goodbye), Injected
	case last.closed:
		return c.s, PeerClosed
	case last.lost:
		return c.s, Lost
	}
	return c.s, Pending
}

// boundaryFrom is the first boundary after so many bytes or more, or -1.
func (c course) boundaryFrom(n int) int {
	for ; n < len(c.s); n = c.next[n] {
		if c.views[n].boundary {
			return n
		}
	}
	if c.views[len(c.s)].boundary {
		return len(c.s)
	}
	return -1
}

// run writes the chunks that end at the given places to a Lane, and asks it to
// end before the given chunk, or in its middle.
func (c course) run(t *testing.T, chunk int, during bool, ends ...int) {
	ends = append(ends, len(c.s))
	out := &sink{room: -1}
	l := &Lane{To: out}
	var done <-chan struct{}
	at, asked := 0, 0
	for i, end := range ends {
		ask := func() { done = l.End(goodbye) }
		switch {
		case i == chunk && during && end > at:
			out.during, asked = ask, end
		case i == chunk:
			asked = at
			ask()
		}
		if n, err := l.Write(c.s[at:end]); n != end-at || err != nil {
			t.Fatalf("wrote %d of %d bytes: %v", n, end-at, err)
		}
		at = end
	}
	want, outcome := c.expected(asked)
	if !bytes.Equal(out.got, want) {
		t.Fatalf("chunks up to %d, asked at %d (in a write: %v):\ngot  %x\nwant %x", ends, asked, during, out.got, want)
	}
	if got, err := l.Outcome(); got != outcome || err != nil {
		t.Fatalf("chunks up to %d, asked at %d: %v, %v, want %v", ends, asked, got, err, outcome)
	}
	if settled(done) != (outcome != Pending) {
		t.Fatalf("chunks up to %d, asked at %d: %v, and the channel is closed: %v", ends, asked, outcome, settled(done))
	}
	passed := len(out.got)
	if outcome == Injected {
		passed -= len(goodbye)
	}
	if got := l.Swallowed(); got != int64(len(c.s)-passed) {
		t.Fatalf("swallowed %d bytes, want %d", got, len(c.s)-passed)
	}
	if got, want := l.SourceClosed(), c.views[len(c.s)].closed; got != want {
		t.Fatalf("the source has closed: %v, want %v", got, want)
	}
}

func settled(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func TestAnEndAtAnyByteTearsNoFrame(t *testing.T) {
	for name, s := range streams {
		t.Run(name, func(t *testing.T) {
			c := courseOf(s)
			for i := range len(s) + 1 {
				c.run(t, 0, false, i)
				c.run(t, 1, false, i)
				for j := i; j <= len(s); j++ {
					c.run(t, 1, true, i, j)
				}
			}
		})
	}
}

func TestWithoutAnEndEverythingPasses(t *testing.T) {
	for name, s := range streams {
		t.Run(name, func(t *testing.T) {
			out := &sink{room: -1}
			l := &Lane{To: out}
			for i := range s {
				if n, err := l.Write(s[i : i+1]); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if !bytes.Equal(out.got, s) || l.Swallowed() != 0 {
				t.Errorf("got %x, want %x", out.got, s)
			}
			if o, err := l.Outcome(); o != Pending || err != nil {
				t.Error(o, err)
			}
		})
	}
}

func TestAWriteThatFailsAnywhereIsTheOutcomeUnlessTheEndWasWhole(t *testing.T) {
	s := stream(frame{first: 0x81, size: 5}, frame{first: 0x81, size: 3})
	for room := range len(s) {
		for asked := range len(s) + 1 {
			out := &sink{room: room}
			l := &Lane{To: out}
			n, err := l.Write(s[:asked])
			done := l.End(goodbye)
			if err == nil {
				n, err = l.Write(s[asked:])
				n += asked
			}
			c := courseOf(s)
			want, _ := c.expected(asked)
			if len(want) <= room {
				if o, oerr := l.Outcome(); o != Injected || oerr != nil || err != nil || n != len(s) {
					t.Fatalf("room for %d, asked at %d: %v %v; wrote %d, %v", room, asked, o, oerr, n, err)
				}
				continue
			}
			o, oerr := l.Outcome()
			if o != Failed || oerr != errBroken || !settled(done) || !bytes.Equal(out.got, want[:room]) {
				t.Fatalf("room for %d, asked at %d: %v %v (settled: %v), got %x", room, asked, o, oerr, settled(done), out.got)
			}
			// The goroutine of End may have failed; then the next Write does.
			if err == nil || n > max(room, asked) {
				t.Fatalf("room for %d, asked at %d: wrote %d, %v", room, asked, n, err)
			}
			if n, err := l.Write(s); n != 0 || err != io.ErrClosedPipe {
				t.Fatalf("a write after one that failed: %d, %v", n, err)
			}
		}
	}
}

// short takes one byte too few and does not say why.
type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) - 1, nil }

func TestAShortWriteIsAFailure(t *testing.T) {
	l := &Lane{To: short{}}
	if n, err := l.Write([]byte("\x81\x00")); n != 1 || err != io.ErrShortWrite {
		t.Errorf("%d, %v", n, err)
	}
	if done := l.End(goodbye); !settled(done) {
		t.Error("an end after a failure is not settled")
	}
	if o, err := l.Outcome(); o != Failed || err != io.ErrShortWrite {
		t.Error(o, err)
	}
}

func TestTheFirstEndCounts(t *testing.T) {
	out := &sink{room: -1}
	l := &Lane{To: out}
	_, _ = l.Write([]byte("\x81\x01"))
	first, second := l.End(goodbye), l.End([]byte("\x88\x00"))
	if first != second || settled(first) {
		t.Errorf("two channels, or settled too early (%v)", settled(first))
	}
	_, _ = l.Write([]byte("a\x81\x00"))
	if third := l.End([]byte("\x88\x00")); third != first || !settled(first) {
		t.Error("another channel, or not settled")
	}
	if want := "\x81\x01a" + string(goodbye); string(out.got) != want {
		t.Errorf("got %q, want %q", out.got, want)
	}
}

func TestAnEmptyFrameEndsALaneWithoutAWord(t *testing.T) {
	out := &sink{room: -1}
	l := &Lane{To: out}
	_, _ = l.Write([]byte("\x81\x01"))
	done := l.End(nil)
	_, _ = l.Write([]byte("a\x81\x00"))
	if !settled(done) || string(out.got) != "\x81\x01a" || l.Swallowed() != 2 {
		t.Errorf("got %q, swallowed %d, settled %v", out.got, l.Swallowed(), settled(done))
	}
}

func TestALaneThatIsStoppedWritesNothingMore(t *testing.T) {
	for _, tt := range []struct {
		before string
		asked  bool // before it is stopped
		want   Outcome
	}{
		{"", false, Stopped},
		{"\x81\x00", false, Stopped},
		{"\x81\x01", false, Stopped},
		{"\x81\x01", true, Stopped},
		{"\x81\x00", true, Injected},
		{"\x88\x00", false, PeerClosed},
		{"\x88\x00", true, PeerClosed},
		{"\x88\x01", true, Stopped},
		{"\x09", false, Lost},
		{"\x09", true, Lost},
	} {
		out := &sink{room: -1}
		l := &Lane{To: out}
		_, _ = l.Write([]byte(tt.before))
		if tt.asked {
			l.End(goodbye)
		}
		l.Stop()
		l.Stop()
		size := len(out.got)
		done := l.End(goodbye)
		if o, err := l.Outcome(); o != tt.want || err != nil || !settled(done) || len(out.got) != size {
			t.Errorf("after %q, asked %v: %v, %v (settled %v), %q", tt.before, tt.asked, o, err, settled(done), out.got)
		}
		if n, err := l.Write([]byte("\x81\x00")); len(out.got) != size || tt.want != Injected && (n != 0 || err != io.ErrClosedPipe) {
			t.Errorf("a write after Stop: %d, %v; %q", n, err, out.got)
		}
	}
}

func TestWhatWasAskedForIsWrittenByWhoeverComesNext(t *testing.T) {
	const frame = "\x81\x00"
	for name, next := range map[string]func(*Lane) (passes string){
		"Stop":  func(l *Lane) string { l.Stop(); return "" },
		"End":   func(l *Lane) string { l.End(nil); return "" },
		"Write": func(l *Lane) string { _, _ = l.Write([]byte(frame + frame)); return frame },
	} {
		out := &sink{room: -1}
		l := &Lane{To: out}
		_, _ = l.Write([]byte(frame))
		if l.Ask(goodbye); string(out.got) != frame {
			t.Errorf("asked: %q", out.got)
		}
		want := frame + next(l) + string(goodbye)
		l.Stop()
		if o, err := l.Outcome(); string(out.got) != want || o != Injected || err != nil {
			t.Errorf("%s: %q, %v, %v", name, out.got, o, err)
		}
	}
}

func TestTheZeroLaneFailsAndDoesNotPanic(t *testing.T) {
	var a, b Lane
	if _, err := a.Write([]byte("a")); err != errNowhere {
		t.Error(err)
	}
	if done := b.End(goodbye); !settled(done) {
		t.Error("the end of a lane to nowhere is not settled")
	}
	if o, err := b.Outcome(); o != Failed || err != errNowhere {
		t.Error(o, err)
	}
	new(Lane).Stop()
}

func TestAnIdleLaneTakesFiftySixBytes(t *testing.T) {
	if size := unsafe.Sizeof(Lane{}); size != 56 {
		t.Errorf("%d bytes", size)
	}
}
