package proxy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// farewell ends a response between two of its messages, where its format has a
// way to say so: server-sent events and gRPC.
type farewell struct {
	wake func(cause error) // ends the Read of the upstream that waits for the next message

	mu      sync.Mutex
	between boundary // guarded by mu
	reading bool     // guarded by mu: between Reads nothing needs to be woken
	cause   error    // guarded by mu; not nil: it is to end
	done    bool     // guarded by mu: it has ended by itself
}

// boundary follows the messages of a body.
type boundary interface {
	// pass takes the next bytes, and reports whether they end a message.
	pass(p []byte) bool
	// whole reports whether the last message is complete.
	whole() bool
}

func newFarewell(kind switcher.StreamKind, wake func(error)) *farewell {
	switch kind {
	case switcher.StreamSSE:
		return &farewell{wake: wake, between: &eventBoundary{}}
	case switcher.StreamGRPC:
		return &farewell{wake: wake, between: &messageBoundary{}}
	}
	return nil
}

// farewellOf is newFarewell for a response, but for one whose bytes have a coding:
// its messages do not show, and what the edge writes behind them would be no part
// of it. gRPC compresses within its messages.
func farewellOf(h http.Header, kind switcher.StreamKind, wake func(error)) *farewell {
	for _, coding := range h["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return nil
		}
	}
	return newFarewell(kind, wake)
}

// ask is an Exchange's OnEnd.
func (f *farewell) ask(cause error) {
	f.mu.Lock()
	if !f.done {
		f.cause = cause
	}
	wake := f.reading && f.between.whole() && !f.done
	f.mu.Unlock()
	if wake {
		f.wake(cause)
	}
}

// awaits says that a Read begins, and reports whether it is too late for one.
func (f *farewell) awaits() (over bool) {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	over = f.cause != nil && f.between.whole()
	f.reading = !over
	return over
}

// passed takes what was read, and returns how much of it is to be written: where
// the response is to end, no more than up to the end of a message.
func (f *farewell) passed(p []byte) int {
	if f == nil {
		return len(p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = false
	switch {
	case f.cause == nil:
		f.between.pass(p)
		return len(p)
	case f.between.whole(): // asked while this was read: what it begins may not end
		return 0
	}
	for i := range p {
		if f.between.pass(p[i : i+1]) {
			return i + 1
		}
	}
	return len(p)
}

// finish says that the response has come to its own end, which needs no other.
func (f *farewell) finish() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cause, f.done = nil, true
}

// over reports whether the response ended as it was asked to.
func (f *farewell) over() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause != nil && f.between.whole()
}

// eventBoundary finds the empty lines that end server-sent events (WHATWG HTML
// §9.2.5). Lines end with LF, CR or CRLF. The zero value is before the first.
type eventBoundary struct {
	inLine, inEvent, cr bool
}

func (b *eventBoundary) whole() bool { return !b.inEvent }

func (b *eventBoundary) pass(p []byte) bool {
	for _, c := range p {
		switch {
		case c == '\n' && b.cr: // the second half of an end that counted already
			b.cr = false
		case c == '\n' || c == '\r':
			b.inEvent = b.inEvent && b.inLine
			b.inLine, b.cr = false, c == '\r'
		default:
			b.inLine, b.inEvent, b.cr = true, true, false
		}
	}
	return b.whole()
}

// messageBoundary follows gRPC's length-prefixed messages: one byte of flags, a
// length of four, and so many bytes. The zero value is before the first.
type messageBoundary struct {
	head [5]byte
	got  int    // bytes of head
	left uint32 // bytes of the message
}

func (b *messageBoundary) whole() bool { return b.got == 0 && b.left == 0 }

func (b *messageBoundary) pass(p []byte) bool {
	for len(p) > 0 {
		if b.left > 0 {
			n := min(uint32(min(len(p), 1<<30)), b.left)
			b.left -= n
			p = p[n:]
			continue
		}
		n := copy(b.head[b.got:], p)
		b.got += n
		p = p[n:]
		if b.got == len(b.head) {
			b.got, b.left = 0, binary.BigEndian.Uint32(b.head[1:])
		}
	}
	return b.whole()
}

// Clients of server-sent events come back after this time, each by its own
// chance (the field "retry").
const (
	comeBackAfter  = time.Second
	comeBackWithin = 4 * time.Second
)

// sayGoodbye writes what a client is to know of the end; trailers are announced
// already.
func (a *attempt) sayGoodbye(kind switcher.StreamKind, announced []string) error {
	switch kind {
	case switcher.StreamSSE:
		wait := comeBackAfter + rand.N(comeBackWithin)
		if _, err := fmt.Fprintf(a.w, "retry: %d\n\n", wait.Milliseconds()); err != nil {
			return err
		}
		return a.flush()
	case switcher.StreamGRPC:
		for name, value := range map[string]string{"Grpc-Status": "14", "Grpc-Message": "the service moves: try again"} { // UNAVAILABLE
			if !slices.Contains(announced, name) {
				name = http.TrailerPrefix + name
			}
			a.w.Header()[name] = []string{value}
		}
		return a.flush() // they have time of their own to be written in
	}
	return nil
}

// requestKind is what an exchange is while its response has not begun.
func requestKind(r *http.Request, hasBody bool) switcher.StreamKind {
	switch {
	case isGRPC(r.Header):
		return switcher.StreamGRPC
	case hasBody:
		return switcher.StreamUpload
	}
	return switcher.StreamRequest
}

// responseKind is what it is afterwards.
func responseKind(before switcher.StreamKind, res *http.Response) switcher.StreamKind {
	switch {
	case isEventStream(res.Header):
		return switcher.StreamSSE
	case before == switcher.StreamGRPC:
		return before
	case res.ContentLength < 0:
		return switcher.StreamLive
	}
	return switcher.StreamDownload
}

func isGRPC(h http.Header) bool {
	const grpc = "application/grpc"
	kind, found := strings.CutPrefix(h.Get("Content-Type"), grpc)
	return found && (kind == "" || kind[0] == '+' || kind[0] == ';')
}
