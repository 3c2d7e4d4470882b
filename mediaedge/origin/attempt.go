package origin

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// attempt is one request to one endpoint, from its place among the endpoint's
// connections to the end of its body. lease makes one; ask sends it.
type attempt struct {
	o     *Origin
	e     *endpoint
	probe bool // its answer decides whether the endpoint comes back

	client func() error // Err of the client's context
	cancel context.CancelCauseFunc
	failed bool // already blamed for its status
	over   atomic.Bool
}

// ask sends the question and waits for the head of an answer that has been
// understood: that means something to the client, or is one of the statuses by
// which an endpoint says that it cannot. The body is still as it came, but for
// errors of a bucket, which have none. On any error the attempt is over; if the
// client's context has ended, the error is that of the context.
func (a *attempt) ask(client context.Context, q question, wait time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(client)
	a.client, a.cancel = client.Err, cancel
	r, refusal := a.o.request(ctx, a.e, q)
	if refusal != nil {
		a.left()
		return nil, refusal
	}
	a.e.attempts.Add(1)
	late := time.AfterFunc(wait, func() { cancel(errHead) })
	res, err := roundTrip(a.e.transport, r)
	fault := ""
	if err == nil {
		fault = a.explain(ctx, q, res)
	}
	if !late.Stop() {
		if err == nil {
			_ = res.Body.Close()
		}
		err = errHead
	}
	switch {
	case err != nil && client.Err() != nil:
		a.left()
		return nil, client.Err()
	case err == error(errHead) && q.held:
		a.left()
		return nil, a.heldTooLong(wait)
	case err != nil:
		return nil, a.fail(err.Error(), statusOf(err))
	case fault != "":
		return nil, a.fail(fault, http.StatusBadGateway)
	}
	if reason := unfit(q, res); reason != "" {
		_ = res.Body.Close()
		a.answered()
		a.end()
		return nil, &Error{Origin: a.o.name, Endpoint: a.e.place.String(), Reason: reason, status: http.StatusBadGateway, final: true}
	}
	if retryable(res.StatusCode) {
		a.blame("status " + strconv.Itoa(res.StatusCode))
	} else {
		a.answered()
	}
	a.attach(res)
	return res, nil
}

// attach makes the body of the answer one of the attempt's.
func (a *attempt) attach(res *http.Response) {
	if !hasBody(res) {
		_ = res.Body.Close()
		res.Body = http.NoBody
		a.whole()
		a.end()
		return
	}
	res.Body = newBody(a, res.Body)
}

// fail ends the attempt and blames its endpoint.
func (a *attempt) fail(reason string, status int) *Error {
	err := a.error(reason, status)
	a.blame(err.Reason)
	a.end()
	return err
}

func (a *attempt) error(reason string, status int) *Error {
	return &Error{Origin: a.o.name, Endpoint: a.e.place.String(), Reason: printable(reason), status: status}
}

func (a *attempt) blame(reason string) {
	a.failed = true
	a.e.failures.Add(1)
	a.o.observe(a.e, func(now time.Time) {
		a.e.failure = reason
		a.e.passive.failed(now, a.probe)
	})
	a.probe = false
}

func (a *attempt) answered() {
	a.o.observe(a.e, func(time.Time) { a.e.passive.answered(a.probe) })
	a.probe = false
}

func (a *attempt) whole() {
	if !a.failed {
		a.o.observe(a.e, func(time.Time) { a.e.passive.whole() })
	}
}

// left ends an attempt of which nothing is known.
func (a *attempt) left() {
	a.o.observe(a.e, func(time.Time) { a.e.passive.left(a.probe) })
	a.end()
}

// end gives the connection back, once.
func (a *attempt) end() {
	if a.over.CompareAndSwap(false, true) {
		a.cancel(nil)
		<-a.e.slots
	}
}
