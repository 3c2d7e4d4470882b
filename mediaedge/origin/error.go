package origin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrHeadSent is wrapped by an error of Forward that comes too late for another
// answer: the client must be cut, by panic(http.ErrAbortHandler), so that what
// it has does not look whole.
var ErrHeadSent = errors.New("the head of the response has been sent")

// Error is why there is no response, or no more of its body. It holds nothing
// of the request, and none of the errors it was made of: a timeout of ours is
// not to be taken for the end of the client's context.
type Error struct {
	Origin   string // its name
	Endpoint string // scheme, host and base path; empty: none was asked
	Reason   string // printable, and not longer than a line

	status int
	final  bool // another endpoint is not to be asked
}

func (e *Error) Error() string {
	if e.Endpoint == "" {
		return fmt.Sprintf("origin %s: %s", e.Origin, e.Reason)
	}
	return fmt.Sprintf("origin %s: %s: %s", e.Origin, e.Endpoint, e.Reason)
}

// Status is what to answer: 504 for a timeout; 503 if all connections are in
// use; 502 for other trouble with the origin; 400, 404 and 405 for what was not
// asked of it, because of the request's fields or query, because it cannot be
// an object's name, and because of its method.
func (e *Error) Status() int { return e.status }

// Timeout reports whether the origin took too long.
func (e *Error) Timeout() bool { return e.status == http.StatusGatewayTimeout }

// The two timeouts that this package watches by itself.
var (
	errHead = timeout("no head of a response in time")
	errIdle = timeout("no bytes of the body in time")
)

type timeout string

func (t timeout) Error() string { return string(t) }
func (timeout) Timeout() bool   { return true }

// statusOf tells timeouts from other failures.
func statusOf(err error) int {
	if t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && t.Timeout() {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// maxReason bounds what is told of a failure, in bytes.
const maxReason = 200

// printable bounds text that the other side may have written, and escapes what
// does not print.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		piece := string(r)
		if !strconv.IsPrint(r) {
			piece = strconv.QuoteRune(r)
			piece = piece[1 : len(piece)-1]
		}
		if b.Len()+len(piece) > maxReason {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}
