package wsframe

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a peer that takes each write only when it is told to, or refuses it
// when it is closed. It has no lock: two writes at once are a data race.
type slow struct {
	sink
	take chan struct{}
	cut  chan struct{}
}

func newSlow() *slow {
	return &slow{sink{room: -1}, make(chan struct{}), make(chan struct{})}
}

func (s *slow) Write(p []byte) (int, error) {
	select {
	case <-s.take:
		return s.sink.Write(p)
	case <-s.cut:
		return 0, io.ErrClosedPipe
	}
}

func TestAnEndBehindABlockedWriteReturnsAtOnceAndIsHonouredAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newSlow()
		l := &Lane{To: peer}
		go func() { _, _ = l.Write([]byte("\x81\x01a\x01\x02b")) }()
		synctest.Wait()
		done := l.End(goodbye) // were it to block, the bubble would deadlock
		peer.take <- struct{}{}
		synctest.Wait()
		if settled(done) {
			t.Error("settled in the middle of a frame")
		}
		go func() { _, _ = l.Write([]byte("c\x00\x01d")) }()
		peer.take <- struct{}{}
		synctest.Wait()
		if settled(done) {
			t.Error("settled before the close frame was taken")
		}
		peer.take <- struct{}{}
		<-done
		if want := "\x81\x01a\x01\x02bc" + string(goodbye); string(peer.got) != want || l.Swallowed() != 3 {
			t.Errorf("got %q, want %q; swallowed %d", peer.got, want, l.Swallowed())
		}
	})
}

func TestAFrameThatIsNotFinishedKeepsAnEndWaitingUntilTheCallersBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newSlow()
		l := &Lane{To: peer}
		go func() { _, _ = l.Write([]byte("\x81\x05he")) }()
		peer.take <- struct{}{}
		synctest.Wait()
		start := time.Now()
		select {
		case <-l.End(goodbye):
			t.Error("settled in the middle of a frame")
		case <-time.After(5 * time.Second):
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %v", waited)
		}
		close(peer.cut)
		if _, err := l.Write([]byte("llo")); err != io.ErrClosedPipe {
			t.Error(err)
		}
		if o, err := l.Outcome(); o != Failed || err != io.ErrClosedPipe {
			t.Error(o, err)
		}
		if string(peer.got) != "\x81\x05he" {
			t.Errorf("got %q", peer.got)
		}
	})
}

func TestWhileEndWritesTheCloseFrameAWriteIsSwallowedAndStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newSlow()
		l := &Lane{To: peer}
		go l.End(goodbye)
		synctest.Wait()
		if n, err := l.Write([]byte("\x81\x01a\x88\x00")); n != 5 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if !l.SourceClosed() {
			t.Error("the peer's close frame was swallowed unseen")
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			l.Stop()
		}()
		synctest.Wait()
		if settled(stopped) {
			t.Error("Stop did not wait for the close frame")
		}
		peer.take <- struct{}{}
		<-stopped
		if o, err := l.Outcome(); o != Injected || err != nil || !bytes.Equal(peer.got, goodbye) {
			t.Errorf("%v, %v, got %q", o, err, peer.got)
		}
	})
}

func TestACutReleasesAnEndThatWritesAndAStopThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newSlow()
		l := &Lane{To: peer}
		go l.End(goodbye)
		synctest.Wait()
		go close(peer.cut)
		l.Stop()
		if o, err := l.Outcome(); o != Failed || err != io.ErrClosedPipe {
			t.Error(o, err)
		}
	})
}

// TestAnEndAmongWritesIsWhole is for the race detector, too: neither the Lane
// nor the test locks the writer.
func TestAnEndAmongWritesIsWhole(t *testing.T) {
	courses := []course{courseOf(streams["fragments"]), courseOf(streams["close, masked"]), courseOf(streams["lengths"])}
	outcomes := map[Outcome]int{}
	for round := range 3000 {
		c := courses[round%len(courses)]
		out := &sink{room: -1}
		l := &Lane{To: out}
		var wg sync.WaitGroup
		wg.Go(func() {
			for rest := c.s; len(rest) > 0; runtime.Gosched() {
				n := 1 + rand.IntN(min(len(rest), 9))
				if wrote, err := l.Write(rest[:n]); wrote != n || err != nil {
					t.Error(wrote, err)
				}
				rest = rest[n:]
			}
			l.Stop()
			out.got = append(out.got, "END"...) // nothing is written any more
		})
		for range 2 {
			wg.Go(func() {
				for range rand.IntN(20) {
					runtime.Gosched()
				}
				<-l.End(goodbye)
			})
		}
		wg.Go(func() {
			for o := Pending; o == Pending; o, _ = l.Outcome() {
				_, _ = l.Swallowed(), l.SourceClosed()
				runtime.Gosched()
			}
		})
		wg.Wait()
		o, err := l.Outcome()
		if outcomes[o]++; err != nil {
			t.Fatal(err)
		}
		c.judge(t, bytes.TrimSuffix(out.got, []byte("END")), o)
	}
	t.Log(outcomes)
}

// judge wants whole frames and one close frame, wherever the end came.
func (c course) judge(t *testing.T, got []byte, o Outcome) {
	t.Helper()
	if o != Injected {
		if !bytes.Equal(got, c.s) {
			t.Fatalf("%v, and yet not all passed: %x of %x", o, got, c.s)
		}
		return
	}
	passed, ok := bytes.CutSuffix(got, goodbye)
	if !ok || !bytes.HasPrefix(c.s, passed) || !c.views[len(passed)].boundary || c.views[len(passed)].closed {
		t.Fatalf("not a prefix of whole frames and one close frame: %x of %x", got, c.s)
	}
	if v := reference(got); !v.boundary || !v.closed {
		t.Fatalf("not frames: %x", got)
	}
}
