package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/spool"
)

// keeping is an upload of src with so much room, and a first attempt at it.
func keeping(t *testing.T, src io.Reader, room *spool.Room, memory int64) (*upload, *requestBody) {
	r := httptest.NewRequest("PUT", "/", src)
	r.ContentLength = -1
	u := newUpload(httptest.NewRecorder(), r, spool.New(room, *kept(t, memory, 0), -1))
	first := &requestBody{size: -1}
	u.lend(first, func(int) {})
	return u, first
}

func nothingHeld(t *testing.T, room *spool.Room) {
	t.Helper()
	m, d := room.Held()
	equal(t, "held", m+d, 0)
}

func TestABodyThatBreaksOffIsWholeForNoAttempt(t *testing.T) {
	var room spool.Room
	broken := errors.New("broken off")
	src := io.MultiReader(strings.NewReader("a part"), failingReader{broken})
	u, first := keeping(t, src, &room, 4096)
	text, err := io.ReadAll(first)
	equal(t, "what came", string(text), "a part")
	equal(t, "error", err, broken)
	_, err = first.release()
	equal(t, "error on release", err, broken)
	equal(t, "whole", u.leave(), false)
	equal(t, "failure", u.failure(), broken)
	equal(t, "why it is not kept", u.why(), nil) // it was: that is not the reason
	u.release()
	nothingHeld(t, &room)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestAnUploadWhoseClientBrokeOffIsNotCalledTooLarge(t *testing.T) {
	var room spool.Room
	u, first := keeping(t, failingReader{io.ErrUnexpectedEOF}, &room, 4096)
	_, _ = first.Read(make([]byte, 1))
	_, _ = first.release()
	e, _ := newTestEdge(t, new(Service), nil)
	trip := &trip{edge: e, upload: u}
	failed := &AttemptError{Err: errUpstreamGone, Stage: StageSent, BodyRead: !u.leave()}
	equal(t, "why not", trip.whyNot(httptest.NewRequest("PUT", "/", nil), failed), unreplayedClient)
	u.release()
}

func TestABodyThatOutgrowsItsBoundIsFreedThoughItsAttemptStalls(t *testing.T) {
	src := &scribbler{part: strings.Repeat("x", 4090), waits: make(chan struct{}), goes: make(chan struct{})}
	var room spool.Room
	u, first := keeping(t, src, &room, 4096)
	_, err := io.ReadFull(first, make([]byte, 4090))
	must(t, err)
	ended := make(chan struct{})
	go func() {
		_, _ = first.Read(make([]byte, 100))
		close(ended)
	}()
	<-src.waits
	must(t, u.reader.stop()) // it asks for nothing more, and has not ended
	<-ended
	close(src.goes)
	until(t, "nothing is kept", func() bool { m, d := room.Held(); return m+d == 0 })
	equal(t, "whole", u.leave(), false)
	u.release()
}

func TestWhatOutgrewItsBoundIsFreedWhenTheNextAttemptHasReadIt(t *testing.T) {
	src := &scribbler{part: strings.Repeat("x", 4090), waits: make(chan struct{}), goes: make(chan struct{})}
	var room spool.Room
	u, first := keeping(t, src, &room, 4096)
	_, err := io.ReadFull(first, make([]byte, 4090))
	must(t, err)
	go func() { _, _ = first.Read(make([]byte, 100)) }()
	<-src.waits
	_, _ = first.release()
	equal(t, "whole", u.leave(), true)
	close(src.goes)
	until(t, "it is kept no more", func() bool { return errors.Is(u.why(), spool.ErrTooLarge) })
	second := &requestBody{size: -1}
	u.lend(second, func(int) {})
	_, err = io.ReadFull(second, make([]byte, 4090))
	must(t, err)
	nothingHeld(t, &room) // though nobody asks for the rest
	equal(t, "rest", readAll(t, second), " and the rest")
	_, _ = second.release()
	u.release()
}

func TestACompleteBodyHoldsNothingButWhatCounts(t *testing.T) {
	var room spool.Room
	u, first := keeping(t, strings.NewReader("a body"), &room, 4096)
	equal(t, "body", readAll(t, first), "a body")
	u.mu.Lock()
	equal(t, "without a buffer", u.buf == nil, true)
	u.mu.Unlock()
	_, _ = first.release()
	equal(t, "whole", u.leave(), true)
	second := &requestBody{size: -1}
	u.lend(second, func(int) {})
	equal(t, "body again", readAll(t, second), "a body")
	_, _ = second.release()
	u.release()
	nothingHeld(t, &room)
}

func TestAReadAfterAKeptBodyCouldNotBeReadBackFailsAgain(t *testing.T) {
	var room spool.Room
	r := httptest.NewRequest("PUT", "/", strings.NewReader("a body"))
	keep := spool.New(&room, *kept(t, 4096, 0), -1)
	u := newUpload(httptest.NewRecorder(), r, keep)
	first, second := &requestBody{size: -1}, &requestBody{size: -1}
	u.lend(first, func(int) {})
	equal(t, "body", readAll(t, first), "a body")
	_, _ = first.release()
	equal(t, "whole", u.leave(), true)
	keep.Free()
	u.lend(second, func(int) {})
	for range 2 {
		if _, err := second.Read(make([]byte, 10)); !errors.Is(err, errUnkept) {
			t.Errorf("got %v", err)
		}
	}
	_, _ = second.release()
	equal(t, "whole after that", u.leave(), false)
	u.release()
}

// one is a listener with one connection.
type one struct {
	c    chan net.Conn
	done chan struct{}
}

func (l one) Addr() net.Addr { return &net.TCPAddr{} }
func (l one) Close() error   { close(l.done); return nil }

func (l one) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Without Connection: close the server would first wait for the rest of the
// body, as long as it is given.
func TestAClientThatStallsInItsUploadIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var room spool.Room
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := newUpload(w, r, spool.New(&room, *kept(t, 4096, 0), -1))
			body := &requestBody{size: -1}
			u.lend(body, func(int) {})
			_, err := io.ReadFull(body, make([]byte, 4))
			must(t, err)
			go func() { _, _ = body.Read(make([]byte, 1)) }()
			synctest.Wait()
			_, _ = body.release()
			u.leave()
			u.giveBack(w)
			w.WriteHeader(http.StatusBadGateway)
		})}
		client, conn := net.Pipe()
		l := one{make(chan net.Conn, 1), make(chan struct{})}
		l.c <- conn
		go func() { _ = server.Serve(l) }()
		started := time.Now()
		send(t, client, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabcd") // and no more
		br := bufio.NewReader(client)
		if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 502 ") || !strings.Contains(head, "Connection: close\r\n") {
			t.Errorf("head %q", head)
		}
		equal(t, "waited", time.Since(started), 0)
		equal(t, "rest", readAll(t, br), "")
		nothingHeld(t, &room)
		must(t, server.Close())
	})
}
