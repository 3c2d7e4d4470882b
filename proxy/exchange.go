package proxy

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// A Forwarder sends one request to one upstream and relays what it answers:
// the seam between choosing an upstream and talking to it. Choosing, counting,
// retrying and accounting happen on the other side of it, in the handler.
type Forwarder interface {
	// Forward makes one attempt at x.Upstream. It returns
	//   - nil when the response was relayed to its end, or when a tunnel
	//     took the exchange over (x.Detached reports true);
	//   - an *AttemptError when nothing was written to w, so that the
	//     handler may try again or answer with an error of its own;
	//   - ErrAborted when a part of a response was relayed and the rest
	//     cannot be: the handler then cuts the client's connection, so that
	//     a truncated body never looks whole.
	Forward(w http.ResponseWriter, r *http.Request, x *Exchange) error
}

// ErrAborted says that a response was cut after its head had been relayed.
var ErrAborted = errors.New("response aborted after its head was sent")

// Stage tells how far an attempt came before it failed.
type Stage uint8

const (
	// StageDial: no connection; the upstream has seen nothing of the request.
	StageDial Stage = iota
	// StageSent: the upstream may have seen the request; no byte of a
	// response head came back.
	StageSent
	// StageCanceled: the client went away, or the exchange was cut.
	StageCanceled
)

// AttemptError is a failed attempt of which the client has seen nothing.
type AttemptError struct {
	Err   error
	Stage Stage
	// BodyRead: bytes of the request's body were consumed and not kept, so
	// that a second attempt could not send it whole.
	BodyRead bool
	// BodyEmpty: the request is known to have no content. False: it may
	// have some.
	BodyEmpty bool
	// Timeout: the upstream was too slow (answered as 504, not 502).
	Timeout bool
}

func (e *AttemptError) Error() string { return e.Err.Error() }
func (e *AttemptError) Unwrap() error { return e.Err }

// Exchange is the part of a request that may outlive its handler: a tunnel
// holds it, and it holds no config. The zero value is not usable; the handler
// makes one for each request.
type Exchange struct {
	// Upstream is the address this attempt dials, in Caddy's form:
	// "host:port" or "unix//path".
	Upstream string

	// Own is a field, in canonical form, that only the handler sets in a
	// response: what the upstream says under that name is dropped. Empty:
	// there is none.
	Own string

	// Status is that of the response relayed to the client, 0 before its
	// head was. The forwarder sets it; only the handler reads it.
	Status int

	// Relayed, if not nil, is called when that head is relayed.
	Relayed func(status int)

	// Broken: the upstream's answer could not be read to its end. The forwarder
	// sets it.
	Broken bool

	// CloseCode is that of a WebSocket that is ended. 0: 1012.
	CloseCode uint16

	// Onward says how the body of a download goes on when its upstream
	// dies, by asking Elsewhere for others. nil: it does not.
	Onward    *Onward
	Elsewhere interface {
		// Another moves the exchange to an upstream that it has not been
		// at, and returns its address; false: there is none.
		Another() (upstream string, ok bool)
	}

	// Upload keeps the request's body, so that another attempt can send it.
	// nil: the body is read as it comes, and once.
	Upload *upload

	// Leak counts the response if it is media. nil: nobody does.
	Leak *leak

	// ledger is told what the exchange has turned out to be. nil: nobody is.
	ledger interface{ became(switcher.StreamKind) }

	flow

	mu       sync.Mutex
	end      func(cause error) // guarded by mu; nil: it cannot end but by a cut
	late     *time.Timer       // guarded by mu; cuts what is asked to end, and does not
	cut      func(cause error) // guarded by mu; nil: nothing to cut yet
	cause    error             // guarded by mu; not nil: was cut
	detached bool              // guarded by mu
	finish   func()            // called once, by whoever ends the exchange
}

// Became says what the exchange has turned out to be.
func (x *Exchange) Became(k switcher.StreamKind) {
	x.kind.Store(uint32(k))
	if x.ledger != nil {
		x.ledger.became(k)
	}
}

// Onward is what a forwarder needs to continue a body from another upstream.
type Onward struct {
	resume.Options // but for Next
	Rules          resume.Rules
	// Leaves: it may go on from the other color too, and goes there when it is
	// to end.
	Leaves bool
}

// relays says that the head of a response is relayed now.
func (x *Exchange) relays(status int) {
	x.Status = status
	if x.Relayed != nil {
		x.Relayed(status)
	}
}

// OnCut says how to end the exchange when the deadline of a drain has passed.
// The latest f counts, and is called at most once; if the exchange has been
// cut already, at once. A nil f forgets the one before.
func (x *Exchange) OnCut(f func(cause error)) {
	x.mu.Lock()
	x.cut = f
	cause := x.cause
	if cause != nil {
		x.cut = nil
	}
	x.mu.Unlock()
	if cause != nil && f != nil {
		f(cause)
	}
}

// Cut ends the exchange because of cause. Later calls do nothing, and return
// false.
func (x *Exchange) Cut(cause error) bool {
	x.mu.Lock()
	if x.cause != nil {
		x.mu.Unlock()
		return false
	}
	x.cause = cause
	f := x.cut
	x.cut = nil
	x.mu.Unlock()
	if f != nil {
		f(cause)
	}
	return true
}

// OnEnd says how to end the exchange with manners, so that its client knows what
// happens and loses nothing whole. f must not wait; whoever calls it cuts the
// exchange if it is not over soon. A nil f forgets the one before.
func (x *Exchange) OnEnd(f func(cause error)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.end = f
}

// End asks the exchange to end because of cause, and cuts it where that takes
// longer than patience, or cannot be asked. Later calls do nothing, and return
// false.
func (x *Exchange) End(cause error, patience time.Duration) bool {
	ask := x.toEnd(cause, patience)
	return ask != nil && ask()
}

// toEnd notes that the exchange is to end where it is now, and returns what asks
// it to; nil: it has been asked.
func (x *Exchange) toEnd(cause error, patience time.Duration) (ask func() bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ending.Swap(true) {
		return nil
	}
	f := x.end
	if f == nil {
		return func() bool { return x.Cut(cause) }
	}
	var late *time.Timer
	late = time.AfterFunc(patience, func() {
		x.mu.Lock()
		is := x.late == late
		x.mu.Unlock()
		if is { // it has not moved away instead
			x.Cut(cause)
		}
	})
	x.late = late
	return func() bool { f(cause); return true }
}

// stays takes back that the exchange is to end: it has left what it was to leave.
func (x *Exchange) stays() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ending.Store(false)
	if x.late != nil {
		x.late.Stop()
		x.late = nil
	}
}

// Detach hands the exchange to a tunnel that goes on after the handler has
// returned. The tunnel calls finish exactly once, when both directions ended;
// until then the exchange counts as in-flight.
func (x *Exchange) Detach() (finish func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.detached = true
	x.Onward, x.Elsewhere, x.Upload, x.Relayed = nil, nil, nil, nil // which hold the config, and the request
	return x.finish
}

// Detached reports whether a tunnel has taken the exchange over.
func (x *Exchange) Detached() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.detached
}
