package proxy

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// inPieces passes text in random pieces, and returns after which bytes the
// boundary was whole.
func inPieces(b boundary, text string) (whole map[int]bool) {
	whole = make(map[int]bool)
	for at := 0; at < len(text); {
		n := 1 + rand.IntN(min(5, len(text)-at))
		at += n
		if b.pass([]byte(text[at-n : at])) {
			whole[at] = true
		}
	}
	return whole
}

func TestAnEventEndsWithAnEmptyLine(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ends bool
	}{
		"nothing yet":          {"", true},
		"half a line":          {"data: x", false},
		"a line":               {"data: x\n", false},
		"an event":             {"data: x\n\n", true},
		"with CR LF":           {"data: x\r\n\r\n", true},
		"with CR":              {"data: x\r\r", true},
		"mixed":                {"data: x\n\r\n", true},
		"half of CR LF":        {"data: x\r\n\r", true},
		"a comment":            {": still here\n", false},
		"a comment, ended":     {": still here\n\n", true},
		"empty lines":          {"\n\n\n", true},
		"the next has begun":   {"data: x\n\nd", false},
		"two":                  {"data: x\n\ndata: y\n\n", true},
		"an empty line within": {"data: x\n\n\ndata: y\n", false},
	} {
		for range 20 {
			b := new(eventBoundary)
			inPieces(b, c.text)
			if b.whole() != c.ends {
				t.Errorf("%s: whole is %v", name, b.whole())
			}
		}
	}
}

func TestAMessageOfGRPCEndsAfterItsLength(t *testing.T) {
	var text []byte
	ends := map[int]bool{}
	for _, size := range []int{0, 1, 5, 300, 70000} {
		text = append(text, byte(size%2))
		text = binary.BigEndian.AppendUint32(text, uint32(size))
		text = append(text, strings.Repeat("\x00\x01", size)[:size]...)
		ends[len(text)] = true
	}
	for range 20 {
		b := new(messageBoundary)
		if !b.whole() {
			t.Fatal("not whole before the first")
		}
		for at := range inPieces(b, string(text)) {
			if !ends[at] {
				t.Fatalf("whole after %d bytes", at)
			}
		}
		if !b.whole() {
			t.Fatal("not whole after the last")
		}
	}
}

func TestAFarewellWakesOnlyAReaderBetweenMessages(t *testing.T) {
	woken := 0
	f := newFarewell(switcher.StreamSSE, func(error) { woken++ })
	equal(t, "over", f.awaits(), false)
	f.passed([]byte("data: half"))
	f.ask(errEvicted)
	equal(t, "woken while it writes", woken, 0)
	equal(t, "over in the middle", f.awaits(), false)
	f.ask(errEvicted)
	equal(t, "woken in the middle", woken, 0)
	f.passed([]byte(" of it\n\n"))
	equal(t, "over at the end", f.awaits(), true)
	equal(t, "over", f.over(), true)

	f = newFarewell(switcher.StreamSSE, func(error) { t.Error("woken although it has ended") })
	f.awaits()
	f.finish()
	f.ask(errEvicted)
	equal(t, "over after its own end", f.over(), false)

	f = newFarewell(switcher.StreamGRPC, func(cause error) {
		if !errors.Is(cause, errEvicted) {
			t.Error(cause)
		}
		woken++
	})
	equal(t, "over", f.awaits(), false)
	f.ask(errEvicted)
	equal(t, "woken", woken, 1)
	equal(t, "over", f.over(), true)

	if f := newFarewell(switcher.StreamDownload, nil); f != nil || f.awaits() || f.over() {
		t.Error("a download has no messages")
	}
}

func TestKindsOfRequestsAndResponses(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;x": true,
		"application/grpc-web": false, "application/json": false, "": false,
	} {
		equal(t, contentType, isGRPC(map[string][]string{"Content-Type": {contentType}}), want)
	}
}
