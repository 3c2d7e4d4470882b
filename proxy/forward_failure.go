package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// abandonedBodyGrace is how long net/http may go on discarding what a client
// still sends after its answer: enough for it to read the answer before the
// connection closes under it, too short to be held by a slow sender.
const abandonedBodyGrace = time.Second

// failed makes an AttemptError of an err that came before any response head.
func (a *attempt) failed(err error) error {
	cause := a.cause() // before the body is taken back: an HTTP/1 server takes that for the client's end
	touched, bodyErr := a.takeBack(true)
	e := &AttemptError{Stage: a.stageOf(err), BodyRead: touched, BodyEmpty: a.bodyEmpty(), Timeout: isTimeout(err)}
	// An HTTP/1 server ends the context of a request whose body it cannot
	// read: a body that was stopped or stalled says why, the context not.
	stalled := errors.Is(bodyErr, os.ErrDeadlineExceeded)
	switch {
	case a.body != nil && a.body.stoppedBy(errUpstreamGone):
		e.Timeout = false
		e.Err = fmt.Errorf("upstream %s: %w", a.x.Upstream, errUpstreamGone)
	case cause != nil && !stalled && !errors.Is(cause, context.DeadlineExceeded):
		e.Stage, e.Timeout = StageCanceled, false
		e.Err = fmt.Errorf("upstream %s: exchange ended before a response: %w", a.x.Upstream, cause)
	case bodyErr != nil && !errors.Is(bodyErr, errUnkept):
		e.Stage, e.Timeout = StageCanceled, false
		e.Err = fmt.Errorf("upstream %s: the client's body broke off: %w", a.x.Upstream, bodyErr)
	default:
		e.Err = fmt.Errorf("upstream %s: %w", a.x.Upstream, err)
	}
	return e
}

// bodyComplete reports whether all of the client's body was read.
func (a *attempt) bodyComplete() bool {
	switch {
	case a.body == nil:
		return true
	case a.x.Upload != nil:
		return a.x.Upload.complete()
	}
	return a.body.complete.Load()
}

// bodyEmpty reports whether the request is known to have no content.
func (a *attempt) bodyEmpty() bool { return a.body == nil || a.body.empty() }

// stageOf tells whether the upstream can have seen anything. A dial error after
// a connection had been used is still StageDial: a transport dials again only
// when nothing was written, or for a request that may be repeated.
func (a *attempt) stageOf(err error) Stage {
	var dial reverseproxy.DialError
	if errors.As(err, &dial) || a.connecting.Load() {
		return StageDial
	}
	return StageSent
}

// isTimeout sees through reverseproxy.DialError by its text, since that type
// neither unwraps nor says Timeout.
func isTimeout(err error) bool {
	var t net.Error
	if errors.As(err, &t) && t.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var dial reverseproxy.DialError
	return errors.As(err, &dial) && strings.HasSuffix(dial.Error(), os.ErrDeadlineExceeded.Error())
}

// aborted makes the error for a response that cannot be relayed to its end.
func (a *attempt) aborted(what string, err error) error {
	if cause := a.cause(); cause != nil {
		err = cause
	}
	return fmt.Errorf("%w: upstream %s: %s: %w", ErrAborted, a.x.Upstream, what, err)
}

// takeBack ends the transport's hold on the request's body. An HTTP/1
// connection on which an unfinished body was cut short must not be used again,
// or net/http would read the rest of it as the next request: it closes, which
// while no head has been written, unheaded, the response says.
func (a *attempt) takeBack(unheaded bool) (touched bool, err error) {
	if a.body == nil {
		return false, nil
	}
	if a.r.ProtoMajor == 1 && a.r.Context().Err() != nil {
		a.body.settle()
	}
	touched, err = a.body.release()
	if u := a.x.Upload; u != nil && unheaded {
		// Another attempt may go on with it; who makes none gives it back.
		return !u.leave(), cmp.Or(err, u.failure())
	} else if u != nil {
		u.release()
	}
	if a.bodyComplete() || a.r.ProtoMajor != 1 || unheaded && !touched {
		return touched, err
	}
	abandonBody(a.w)
	return touched, err
}

// abandonBody has the connection of an HTTP/1 request close after the answer,
// without the rest of the request's body. The client gets a while to read the
// answer before a reset that may take it away (RFC 9112 §9.6). net/http gives it
// that after a body that it sees left unread, which it does not behind Caddy's
// readers, or one that is said to be too large.
func abandonBody(w http.ResponseWriter) {
	tooLarge := http.MaxBytesReader(innermost(w), io.NopCloser(strings.NewReader("x")), 0)
	_, _ = tooLarge.Read(make([]byte, 1))
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(abandonedBodyGrace))
}
