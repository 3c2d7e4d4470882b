package proxy

import (
	"context"
	"net/http"

	"github.com/greenroom-proxy/greenroom/internal/resume"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// goOn replaces the body of a download by one that goes on from other upstreams,
// if the rules allow it. The reason is why they do not; it counts only if the
// upstream dies.
func (a *attempt) goOn(res *http.Response) resume.Reason {
	if a.x.Onward == nil || res.ContentLength < resume.MinLength {
		return resume.ReasonSmall
	}
	plan, reason := resume.Start(a.outgoing(), res, a.x.Onward.Rules)
	if reason != "" {
		return reason
	}
	ctx, drop := context.WithCancelCause(a.r.Context())
	a.mu.Lock()
	a.drop = drop
	a.mu.Unlock()
	options := a.x.Onward.Options
	options.Next = a.continuation(plan)
	res.Body = resume.NewBody(ctx, res.Body, resume.NewTransfer(plan, options))
	if a.leaves() {
		a.x.OnEnd(func(cause error) { a.cancel(cause) }) // it goes on from the other color
	}
	return ""
}

// leaves reports whether a body goes on from the other color when it is to end.
// What has messages ends between two of them instead.
func (a *attempt) leaves() bool {
	return a.x.Onward.Leaves && a.x.streamKind() == switcher.StreamDownload
}

// leg is the context of a continuation. It ends when the exchange is to leave where
// it is now, which may have been asked since it came there.
func (a *attempt) leg(ctx context.Context) context.Context {
	if !a.leaves() {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	a.x.OnEnd(cancel)
	if a.x.ending.Load() {
		cancel(errEvicted)
	}
	return ctx
}

// continuation asks the upstreams that the Exchange names for the rest. The
// context is not that of the attempt, which ended with its upstream.
func (a *attempt) continuation(plan resume.Plan) resume.Next {
	return func(ctx context.Context, at int64, _ error) (*http.Response, error) {
		address, ok := a.x.Elsewhere.Another()
		if !ok {
			return nil, resume.ErrNoUpstream
		}
		to, err := a.f.targets.get(address)
		if err != nil {
			return nil, err
		}
		tc := a.f.transportContext(a.leg(ctx), a, to)
		out := a.outgoing().WithContext(tc)
		u := *out.URL
		u.Host = tc.urlHost(to)
		out.URL, out.Header = &u, out.Header.Clone()
		plan.Request(out.Header, at)
		return a.f.rt.RoundTrip(out)
	}
}
