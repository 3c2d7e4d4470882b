package resume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bounds of a Transfer whose Options name none.
const (
	DefaultAttempts = 3
	DefaultPatience = 10 * time.Second
)

// ErrCut says that a body ends short of its length, and that nobody may take it
// for whole.
var ErrCut = errors.New("body cut short")

// ErrNoUpstream is for Next to say that asking again is of no use.
var ErrNoUpstream = errors.New("no other upstream to continue from")

var errPatience = errors.New("no continuation in time")

// Next asks another upstream for the bytes from at on, by a request that
// Plan.Request has prepared, and returns its response as it comes; cause is why
// it is asked. It returns soon after ctx has ended. It gives that ctx to the
// request: it lasts as long as the response may be read.
type Next func(ctx context.Context, at int64, cause error) (*http.Response, error)

// Observer is told what happens, on the goroutine that reads.
type Observer interface {
	Resumed()              // a continuation was accepted
	Carried(n int64)       // n more bytes came by a continuation
	Refused(reason Reason) // an attempt brought no continuation
	Cut(reason Reason)     // a transfer ended short; not if its client left
}

// Options are how a transfer is continued. Next is needed; the rest has
// defaults.
type Options struct {
	Next Next

	// Attempts is how often Next is called in the life of a transfer.
	// 0: DefaultAttempts; below: never.
	Attempts int

	// Patience is the time from a failure to the head of its continuation,
	// over all attempts. 0: DefaultPatience.
	Patience time.Duration

	// Limit bounds those who look for a continuation for the same Key, as of
	// one service or origin. nil: no bound.
	Limit *Limit
	Key   string

	Observer Observer // nil: nobody is told
}

// Transfer is how far a body has come, and how it goes on. One goroutine owns
// it. The zero value is not usable; NewTransfer makes one.
type Transfer struct {
	plan     Plan
	options  Options
	at       int64 // the next byte to come
	attempts int   // made
	carried  bool  // a continuation is being read
	drop     context.CancelCauseFunc
	cut      error // not nil: it is over
}

// NewTransfer begins at the first byte of plan.
func NewTransfer(plan Plan, o Options) *Transfer {
	if o.Attempts == 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	return &Transfer{plan: plan, options: o, at: plan.span.First}
}

// At returns the position, in the whole representation, of the next byte.
func (t *Transfer) At() int64 { return t.at }

// Remaining returns how many bytes are still to come. Take no more of a body.
func (t *Transfer) Remaining() int64 { return t.plan.span.Last + 1 - t.at }

// Advance notes that n bytes have gone to the client. The error, for more than
// remain, is final.
func (t *Transfer) Advance(n int64) error {
	if n < 0 || n > t.Remaining() {
		return t.Surplus()
	}
	t.at += n
	if t.carried && t.options.Observer != nil {
		t.options.Observer.Carried(n)
	}
	return nil
}

// Surplus ends the transfer because a body has more bytes than it announced:
// then nothing vouches for those before, and none is to be asked again.
func (t *Transfer) Surplus() error {
	return t.end(ReasonSurplus, errors.New("the upstream sends more than it announced"), nil)
}

// Resume finds a body that goes on at At, after the one before has failed
// because of cause and has been closed. The response is verified; its body may
// still be shorter or longer than it says. It lives at most as long as ctx, that
// of the client: if that has ended, nothing has failed, and the error is its
// cause. Any other error wraps ErrCut and cause, is final, and is never io.EOF.
func (t *Transfer) Resume(ctx context.Context, cause error) (*http.Response, error) {
	cause = neverEOF(cause)
	if t.drop != nil {
		t.drop(nil)
		t.drop = nil
	}
	switch {
	case t.cut != nil:
		return nil, t.cut
	case ctx.Err() != nil:
		return nil, canceled(ctx, cause)
	case t.Remaining() == 0:
		return nil, fmt.Errorf("all bytes to %d have come: nothing to continue after: %w", t.plan.span.Last, cause)
	case !t.options.Limit.Take(t.options.Key):
		return nil, t.end(ReasonLimit, cause, nil)
	}
	defer t.options.Limit.Give(t.options.Key)
	return t.search(ctx, cause)
}

// search asks until one accepts. The context of a continuation outlasts it, so
// patience is a timer, and no deadline.
func (t *Transfer) search(client context.Context, cause error) (*http.Response, error) {
	ctx, drop := context.WithCancelCause(client)
	patience := time.AfterFunc(t.options.Patience, func() { drop(errPatience) })
	found := false
	defer func() {
		if !found {
			patience.Stop()
			drop(nil)
		}
	}()
	var last error
	for t.attempts < t.options.Attempts {
		t.attempts++
		res, err := t.ask(ctx, cause)
		if err == nil && patience.Stop() && client.Err() == nil {
			found, t.carried, t.drop = true, true, drop
			if t.options.Observer != nil {
				t.options.Observer.Resumed()
			}
			return res, nil
		}
		if err == nil {
			_ = res.Body.Close()
		}
		switch {
		case client.Err() != nil:
			return nil, canceled(client, cause)
		case err == nil, ctx.Err() != nil:
			return nil, t.end(ReasonPatience, cause, last)
		case errors.Is(err, ErrNoUpstream):
			return nil, t.end(ReasonNoUpstream, cause, last)
		}
		last = err
		t.refused(err)
	}
	return nil, t.end(ReasonAttempts, cause, last)
}

// ask makes one attempt. The body of a refused response is closed.
func (t *Transfer) ask(ctx context.Context, cause error) (*http.Response, error) {
	res, err := t.options.Next(ctx, t.at, cause)
	if err != nil {
		return nil, err
	}
	if err := t.plan.Accept(res, t.at); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

func (t *Transfer) refused(err error) {
	if t.options.Observer == nil {
		return
	}
	reason := ReasonFailed
	if refusal, ok := errors.AsType[*RefusalError](err); ok {
		reason = refusal.Reason
	}
	t.options.Observer.Refused(reason)
}

// end cuts the transfer, once. last, if there is one, is told and not wrapped:
// it is of an upstream that the client never saw.
func (t *Transfer) end(reason Reason, cause, last error) error {
	if t.cut != nil {
		return t.cut
	}
	if last != nil {
		t.cut = fmt.Errorf("%w at byte %d of %s (%s): %w; latest attempt: %v", ErrCut, t.at, t.plan.span, reason, cause, last)
	} else {
		t.cut = fmt.Errorf("%w at byte %d of %s (%s): %w", ErrCut, t.at, t.plan.span, reason, cause)
	}
	if t.options.Observer != nil {
		t.options.Observer.Cut(reason)
	}
	return t.cut
}

// canceled is for a client that left: its cause comes first, and what it may
// have made fail is told.
func canceled(ctx context.Context, cause error) error {
	return fmt.Errorf("%w (%v)", neverEOF(context.Cause(ctx)), cause)
}

// neverEOF keeps the end of a connection from passing for the end of a body.
func neverEOF(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %v", io.ErrUnexpectedEOF, err)
	}
	return err
}
