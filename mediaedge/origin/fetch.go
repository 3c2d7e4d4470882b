package origin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

// maxAttempts is how many endpoints are asked for the head of one response.
const maxAttempts = 3

// Fetch asks for the object with GET or HEAD. Of h only Range and conditions
// are sent. ctx is that of whoever reads: when it ends, so does the body.
//
// The response has no request, no trailers, and no fields but those that are
// of use to a client or a cache. Its body must be closed, and ends with io.EOF
// only if it was whole; else with the error of ctx, an *Error, or one that wraps
// resume.ErrCut. If Range was not fit to be sent, or If-Range named
// another version than the origin has, the status is 200 as for any server.
//
// The error is that of ctx if it has ended, else an *Error.
func (b Object) Fetch(ctx context.Context, method string, h http.Header) (*http.Response, error) {
	o := b.origin
	if o == nil {
		return nil, &Error{Reason: "an object of no origin", status: http.StatusBadGateway, final: true}
	}
	o.totals.requests.Add(1)
	q, refusal := o.ask(b, method, h)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := o.hold(q); refusal != nil {
		return nil, refusal
	}
	res, err := o.fetch(ctx, q)
	o.release(q)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		o.totals.failures.Add(1)
		return nil, err
	}
	return present(res), nil
}

// fetch asks one endpoint after the other. If none can answer, the last answer
// that says so is better than an error.
func (o *Origin) fetch(ctx context.Context, q question) (*http.Response, error) {
	var answer *http.Response // the last that says so; it holds its connection
	var failure error
	var tried uint32
	for n := 0; n < maxAttempts; n++ {
		a, err := o.lease(ctx, tried, o.timeouts.Head)
		if err != nil {
			failure = err
			break
		}
		if a == nil {
			break
		}
		if tried != 0 {
			o.totals.failovers.Add(1)
		}
		tried |= 1 << a.e.index
		res, err := a.ask(ctx, q, o.patience(q))
		if err != nil {
			failure = err
			if e, ok := errors.AsType[*Error](err); !ok || e.final {
				discard(answer)
				return nil, err
			}
			continue
		}
		discard(answer)
		switch {
		case retryable(res.StatusCode):
			answer = res
		case otherVersion(q, res):
			discard(res)
			answer = nil
			q = q.whole() // and so only once
			tried &^= 1 << a.e.index
			n--
		default:
			res.Body = o.onward(ctx, q, a.e, res)
			return res, nil
		}
	}
	if answer != nil {
		return answer, nil
	}
	return nil, failure
}

func discard(res *http.Response) {
	if res != nil {
		_ = res.Body.Close()
	}
}

// again is the pause before all endpoints are asked for a continuation once
// more; twice as long the next time, and so on.
const again = 500 * time.Millisecond

// continuation looks for endpoints that have the rest of a body.
type continuation struct {
	o      *Origin
	q      question
	plan   resume.Plan
	tried  uint32
	rounds int
}

// onward returns the body of res, made to go on from another endpoint if e dies
// and the rules allow it.
func (o *Origin) onward(ctx context.Context, q question, e *endpoint, res *http.Response) io.ReadCloser {
	if o.resume.Attempts < 0 {
		return res.Body
	}
	plan, reason := resume.Start(res.Request, res, resume.Rules{LastModified: o.resume.LastModified})
	if reason != "" {
		return res.Body
	}
	c := &continuation{o: o, q: q, plan: plan, tried: 1 << e.index}
	return resume.NewBody(ctx, res.Body, resume.NewTransfer(plan, resume.Options{
		Next: c.next, Attempts: o.resume.Attempts, Patience: o.resume.Patience, Limit: &o.limit, Observer: &o.totals,
	}))
}

// next asks one endpoint for the bytes from at on: one after the other, then
// all again, the one that died included.
func (c *continuation) next(ctx context.Context, at int64, _ error) (*http.Response, error) {
	if c.tried == 1<<len(c.o.endpoints)-1 {
		if c.rounds > 0 && !pause(ctx, again<<(c.rounds-1)) {
			return nil, ctx.Err()
		}
		c.rounds++
		c.tried = 0
	}
	wait := min(c.o.timeouts.Head, c.o.resume.Patience/2)
	a, err := c.o.lease(ctx, c.tried, wait)
	if err != nil {
		return nil, err
	}
	c.tried |= 1 << a.e.index
	q := c.q
	q.held = false // it is there
	q.fields = make(http.Header, 3)
	c.plan.Request(q.fields, at)
	return a.ask(ctx, q, wait)
}

// pause reports whether ctx still goes on after d.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
