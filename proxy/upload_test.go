package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/spool"
)

// scribbler gives out a part, and then uses the buffer it is lent before it has
// anything to put there.
type scribbler struct {
	part        string
	waits, goes chan struct{}
	scribbled   bool
}

func (s *scribbler) Read(p []byte) (int, error) {
	switch {
	case s.part != "":
		n := copy(p, s.part)
		s.part = ""
		return n, nil
	case !s.scribbled:
		s.scribbled = true
		for i := range p {
			p[i] = '!'
		}
		close(s.waits)
		<-s.goes
		return copy(p, " and the rest"), nil
	}
	return 0, io.EOF
}

func TestAnAttemptReadsWhatWasKeptWhileTheClientIsStillAwaited(t *testing.T) {
	src := &scribbler{part: "a part", waits: make(chan struct{}), goes: make(chan struct{})}
	r := httptest.NewRequest("PUT", "/", src)
	var room spool.Room
	u := newUpload(httptest.NewRecorder(), r, spool.New(&room, *kept(t, 4096, 0), -1))
	first, second := &requestBody{size: -1}, &requestBody{size: -1}
	u.lend(first, func(int) {})
	b := make([]byte, 100)
	n, err := first.Read(b)
	must(t, err)
	equal(t, "first attempt", string(b[:n]), "a part")
	ended := make(chan error)
	go func() {
		_, err := first.Read(make([]byte, 100))
		ended <- err
	}()
	<-src.waits
	touched, err := first.release()
	must(t, err)
	equal(t, "touched by itself", touched, true)
	equal(t, "ended with", receive(t, ended), errBodyReleased)
	equal(t, "whole", u.leave(), true)

	counted := 0
	u.lend(second, func(n int) { counted += n })
	n, err = second.Read(b)
	must(t, err)
	equal(t, "second attempt", string(b[:n]), "a part")
	close(src.goes)
	equal(t, "its rest", readAll(t, second), " and the rest")
	equal(t, "counted", counted, len("a part and the rest"))
	_, _ = second.release()
	u.release()
	m, d := room.Held()
	equal(t, "held", m+d, 0)
}

func TestWhatOutgrowsItsBoundBetweenTwoAttemptsIsStillSentWhole(t *testing.T) {
	src := &scribbler{part: strings.Repeat("x", 4090), waits: make(chan struct{}), goes: make(chan struct{})}
	var room spool.Room
	u := newUpload(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", src), spool.New(&room, *kept(t, 4096, 0), -1))
	first, second := &requestBody{size: -1}, &requestBody{size: -1}
	u.lend(first, func(int) {})
	_, err := io.ReadFull(first, make([]byte, 4090))
	must(t, err)
	go func() { _, _ = first.Read(make([]byte, 100)) }()
	<-src.waits
	_, _ = first.release()
	equal(t, "whole", u.leave(), true)
	close(src.goes)
	until(t, "it is kept no more", func() bool { return errors.Is(u.why(), spool.ErrTooLarge) })
	u.lend(second, func(int) {})
	equal(t, "second attempt", readAll(t, second), strings.Repeat("x", 4090)+" and the rest")
	_, _ = second.release()
	equal(t, "whole after that", u.leave(), false)
	u.release()
}

func TestAKeptBodyThatCannotBeReadBackIsNotTheClientsFault(t *testing.T) {
	f := newFront(t, nil, "")
	fw := transportForwarderOf(t, nil)
	dead, next := dyingAfter(t, 10), dyingAfter(t, 10)
	results := make(chan error, 1)
	f.before = func(w http.ResponseWriter, r *http.Request) {
		keep := spool.New(&f.room, *kept(t, 4096, 0), -1)
		u := newUpload(w, r, keep)
		attemptError(t, fw.Forward(w, r, &Exchange{Upstream: dead, Upload: u}), StageSent)
		keep.Free()
		results <- fw.Forward(w, r, &Exchange{Upstream: next, Upload: u})
		u.release()
		panic(http.ErrAbortHandler)
	}
	f.start(t, frontH1)
	c, _ := dialRaw(t, f.addr())
	send(t, c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"+strings.Repeat("x", 50))
	a := attemptError(t, receive(t, results), StageSent)
	equal(t, "says so", errors.Is(a, errUnkept), true)
	equal(t, "BodyRead", a.BodyRead, true)
}
