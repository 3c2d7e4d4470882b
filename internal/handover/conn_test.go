package handover

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// talk is both ends of a conversation, the second as it comes.
func talk(t *testing.T) (*Conn, *os.File) {
	t.Helper()
	ours, theirs, err := pair()
	must(t, err)
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours, theirs
}

// both is both ends of a conversation.
func both(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, theirs := talk(t)
	b, err := newConn(theirs)
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return a, b
}

func TestDocumentsComeWholeAndInOrderWhateverTheirSize(t *testing.T) {
	a, b := both(t)
	sizes := []int{0, 1, 64<<10 - 3, 64<<10 - 2, 64 << 10, 300 << 10, 5 << 20, 2}
	sent := make(chan error, 1)
	go func() {
		var errs []error
		for _, n := range sizes {
			errs = append(errs, a.Send(strings.Repeat("ä\n", n/2), time.Minute))
		}
		sent <- errors.Join(errs...)
	}()
	for _, n := range sizes {
		var text string
		must(t, b.Receive(&text, time.Minute))
		if text != strings.Repeat("ä\n", n/2) {
			t.Errorf("%d bytes became %d", n, len(text))
		}
	}
	must(t, <-sent)
}

func TestADocumentThatIsTooLongIsRefused(t *testing.T) {
	a, theirs := talk(t)
	wrote := make(chan error, 1)
	go func() {
		_, err := theirs.Write(append(bytes.Repeat([]byte("1"), maxLine+1), '\n'))
		wrote <- err
	}()
	var v any
	if err := a.Receive(&v, time.Minute); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %.100v", err)
	}
	must(t, a.Close())
	<-wrote // with an error or not
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	a, theirs := talk(t)
	for _, line := range []string{"", "{", "nonsense", "{}{}", `{"Args": 7}`, "\x00\xff", `["a"]`, "{} x"} {
		_, err := theirs.WriteString(line + "\n")
		must(t, err)
		if err := a.Receive(new(said), time.Minute); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
	_, err := theirs.WriteString(`{"Content":"good"}` + "\n")
	must(t, err)
	var v said
	must(t, a.Receive(&v, time.Minute))
	if v.Content != "good" {
		t.Errorf("after garbage: %+v", v)
	}
}

func TestWhatComesLateIsForWhoeverAsksNext(t *testing.T) {
	a, theirs := talk(t)
	var v said
	if err := a.Receive(&v, time.Nanosecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing came: %v", err)
	}
	_, err := theirs.WriteString(`{"Content":`)
	must(t, err)
	for { // until the half has been read
		if err := a.Receive(&v, time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("half a document: %v", err)
		}
		if len(a.part) > 0 {
			break
		}
	}
	_, err = theirs.WriteString(`"whole"}` + "\n")
	must(t, err)
	must(t, a.Receive(&v, time.Minute))
	if v.Content != "whole" {
		t.Errorf("%+v", v)
	}
}

func TestAPeerThatGoesAwayIsNoticed(t *testing.T) {
	a, theirs := talk(t)
	_, err := theirs.WriteString(`{"half`)
	must(t, err)
	got := make(chan error, 1)
	go func() { got <- a.Receive(new(said), 0) }()
	must(t, theirs.Close())
	if err := <-got; !errors.Is(err, io.EOF) {
		t.Errorf("receive: %v", err)
	}
	if err := a.Send("anyone?", time.Minute); err == nil {
		t.Error("send: no error")
	}
}

func TestAPeerThatDoesNotListenHoldsNobodyUp(t *testing.T) {
	a, _ := talk(t)
	if err := a.Send(strings.Repeat("x", 8<<20), time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
