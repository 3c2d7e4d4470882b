package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Probe is one check against one address.
type Probe interface {
	// Probe returns nil for a pass; otherwise the error's text says what came
	// back. It must return soon after ctx ends, and is never called again for
	// the same check before it has returned.
	Probe(ctx context.Context, address string) error

	// String names the probe for people: "http GET /healthz".
	String() string
}

// maxText bounds the text of a failure, in bytes.
const maxText = 200

// attempt does one probe's work and puts its failure into words. Errors lose
// their chain on purpose: nobody branches on them, and the text of the chain
// may be the upstream's.
func attempt(ctx context.Context, work func(context.Context) error) error {
	start := time.Now()
	err := work(ctx)
	if err == nil {
		return nil
	}
	// A socket's deadline may fire a moment before the context's.
	deadline, ok := ctx.Deadline()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case ok && !time.Now().Before(deadline):
		return noAnswer(deadline.Sub(start).Round(time.Millisecond))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed in the middle of the answer")
	case errors.Is(err, io.EOF):
		return errors.New("connection closed without an answer")
	}
	return errors.New(clean(err.Error()))
}

// noAnswer is the failure of a probe that ran out of time.
func noAnswer(within time.Duration) error {
	return fmt.Errorf("no answer within %v", within)
}

// clean makes text that an upstream may have written safe for a log line and a
// terminal: what does not print is escaped, and the length is bounded. Cleaning
// it again changes nothing.
func clean(text string) string {
	var b strings.Builder
	for _, r := range text {
		piece := string(r) // U+FFFD, if it was no UTF-8
		if !strconv.IsPrint(r) {
			quoted := strconv.Quote(piece)
			piece = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(piece) > maxText {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}
