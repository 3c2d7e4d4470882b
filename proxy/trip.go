package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/internal/h3"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// trip is one request on its way: which upstreams it was tried at, and what
// came of it.
type trip struct {
	edge     *edge
	started  time.Time
	preview  preview
	client   client
	balance  switcher.Balance
	session  switcher.Session // 0: none
	strayed  bool             // it has left the color that it was pinned to
	about    about
	entry    *entry         // of the latest attempt
	upload   *upload        // nil: the body is not kept
	lease    switcher.Lease // of the latest attempt; released
	upstream string
	attempts int
	tried    []*switcher.Endpoint  // of one color
	first    [1]*switcher.Endpoint // spares tried an allocation
}

func newTrip(e *edge, r *http.Request) *trip {
	ip := clientIP(r)
	return &trip{
		edge: e, started: time.Now(),
		preview: e.config.Preview.wanted(r),
		client:  e.config.Sticky.client(e.name, ip, r),
		about:   aboutRequest(r, ip, e.config.TruncateClients),
		session: e.config.Pin.session(r),
		balance: balanceFor(e.config.balance, r),
	}
}

// balanceFor tells requests from what will be a stream that mostly rests.
func balanceFor(b switcher.Balance, r *http.Request) switcher.Balance {
	if webSocketRequest(r) != wsNone || r.Header.Get("Accept") == "text/event-stream" {
		return b.ForStreams()
	}
	return b
}

// run answers the request, and counts it if no upstream's answer was relayed.
func (t *trip) run(w http.ResponseWriter, r *http.Request) error {
	t.edge.budget.earn(*t.edge.config.Retry.BudgetPercent)
	if t.client.cookie != nil && !t.preview.idle {
		http.SetCookie(w, t.client.cookie)
	}
	h3.HoldToLength(r)
	defer foresee(w, r)()
	t.edge.leak.upload(r)
	t.upload = t.edge.upload(w, r)
	defer t.upload.giveBack(w)
	err := t.tryUpstreams(w, r)
	if refusal, ok := errors.AsType[caddyhttp.HandlerError](err); ok && t.lease.Color.Valid() {
		status := 0 // nobody has answered
		if refusal.StatusCode < http.StatusInternalServerError {
			status = refusal.StatusCode // it was the client
		}
		t.edge.outcomes().count(t.lease.Color, status, time.Since(t.started))
	}
	return err
}

// tryUpstreams goes on until one has answered, or no more may be tried.
func (t *trip) tryUpstreams(w http.ResponseWriter, r *http.Request) error {
	var last *AttemptError
	for {
		x, err := t.next(r.Context())
		switch {
		case err != nil && last != nil:
			return t.giveUp(w, r, last, unreplayedNoUpstream)
		case err != nil && r.Context().Err() != nil:
			return t.clientGone(w)
		case err != nil:
			t.failed(r)
			return t.refuse(w, http.StatusServiceUnavailable, err)
		case last != nil && !t.pay(r, last):
			x.close()
			return t.giveUp(w, r, last, unreplayedBudget)
		}
		err = t.attempt(w, r, x)
		failed, ok := errors.AsType[*AttemptError](err)
		if !ok {
			return err
		}
		if failed.Stage == StageCanceled {
			return t.canceled(w, r, failed)
		}
		if last = failed; !t.again(r, failed) {
			return t.giveUp(w, r, failed, t.whyNot(r, failed))
		}
	}
}

// next chooses the color and an upstream, as one counted step.
func (t *trip) next(ctx context.Context) (*entry, error) {
	for {
		x, settled, err := t.choose()
		if x != nil || settled {
			return x, err
		}
		if !t.warmUp(ctx) {
			return nil, err
		}
	}
}

// choose reports, where it finds no upstream, whether that is a settled fact
// or may change as soon as the first probes have answered.
func (t *trip) choose() (x *entry, settled bool, err error) {
	s := t.edge.service
	lease, ok := t.acquire()
	if !ok {
		if table := s.Table(); t.preview.idle && table != nil && table.Draining() {
			return nil, true, fmt.Errorf("service %q: %s drains and takes no preview until it is idle", t.edge.name, table.Active.Other())
		}
		return nil, false, fmt.Errorf("service %q is not running", t.edge.name)
	}
	if lease.Color != t.lease.Color {
		t.tried = t.first[:0]
	}
	t.lease = lease
	pool := lease.Pool()
	pick := func() *switcher.Endpoint {
		return pool.Pick(t.balance, t.client.hash, t.tried, time.Now())
	}
	endpoint := pick()
	if endpoint == nil {
		settled = pool.Settled() || len(t.tried) > 0
		endpoint = pick() // what settled it may have come after the first look
	}
	if endpoint == nil {
		lease.Release()
		if lease.Kept && !t.strayed { // elsewhere it may be served
			t.strayed = true
			lease.Unpin()
			return t.choose()
		}
		h := pool.Health()
		return nil, settled, fmt.Errorf("service %q: %s has %d of %d upstreams healthy: %s",
			t.edge.name, lease.Color, h.Healthy, h.Total, h.Reason)
	}
	t.tried = append(t.tried, endpoint)
	x = t.edge.runtime.ledger.open(t.edge.name, t.about, t.started, lease, endpoint)
	x.Onward, x.Elsewhere, t.entry = t.edge.onward, t, x
	return x, true, nil
}

// acquire chooses the color, as one counted step.
func (t *trip) acquire() (switcher.Lease, bool) {
	if t.preview.idle {
		return t.edge.service.AcquireIdle()
	}
	return t.edge.service.AcquireSession(t.client.bucket, t.session)
}

// An edge that has just started holds requests back until its first probes
// have answered: at most warmUp in all, looking each warmUpStep.
const (
	warmUp     = 5 * time.Second
	warmUpStep = 5 * time.Millisecond
)

func (t *trip) warmUp(ctx context.Context) bool {
	if time.Since(t.started) > warmUp {
		return false
	}
	timer := time.NewTimer(warmUpStep)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt sends the request to one upstream and accounts for it.
func (t *trip) attempt(w http.ResponseWriter, r *http.Request, x *entry) error {
	t.attempts++
	t.upstream = x.Upstream
	x.CloseCode, x.Upload, x.Leak = uint16(t.edge.config.CloseCode), t.upload, t.edge.leak
	if name := t.edge.config.ColorHeader; name != "" {
		w.Header().Set(name, x.lease.Color.String())
		x.Own = http.CanonicalHeaderKey(name)
	}
	defer func() {
		if !x.Detached() {
			x.close()
		}
	}()
	if t.sampled() != nil {
		x.Relayed = func(status int) { t.answered(r, status) }
	}
	err := t.edge.forwarder.Forward(w, r, &x.Exchange)
	switch failed, ok := errors.AsType[*AttemptError](err); {
	case !ok:
		x.endpoint.Connected()
		t.edge.outcomes().count(x.lease.Color, x.Status, time.Since(t.started))
		if x.Broken {
			t.failed(r)
		}
	case failed.Stage == StageDial:
		t.sampled().Refused()
		x.endpoint.ConnectFailed(t.edge.config.Retry.ejection(), time.Now())
	case failed.Stage == StageSent:
		t.sampled().Connected()
		x.endpoint.Connected()
	}
	return err
}

// again reports whether the request may be tried at another upstream: only if
// no upstream can have acted on it, or if it may reach more than one.
func (t *trip) again(r *http.Request, failed *AttemptError) bool {
	harmless := failed.Stage == StageDial ||
		!failed.Timeout && slices.Contains(idempotent, r.Method) && (r.ContentLength == 0 || failed.BodyEmpty) ||
		!failed.Timeout && t.edge.config.Replay.allows(r)
	return harmless && !failed.BodyRead && t.attempts <= *t.edge.config.Retry.Attempts
}

// pay takes a retry from the budget, and counts it.
func (t *trip) pay(r *http.Request, failed *AttemptError) bool {
	paid := t.edge.budget.spend(*t.edge.config.Retry.BudgetMin, time.Now())
	if paid {
		t.edge.outcomes().retries.Inc()
		if failed.Stage != StageDial && hasBody(r) {
			t.edge.outcomes().replays.Inc()
		}
	}
	return paid
}

// idempotent methods without a body by nature (RFC 9110 §9.2.2).
var idempotent = []string{http.MethodGet, http.MethodHead, http.MethodOptions}

// statusClientGone is what access logs show for a client that went away.
const statusClientGone = 499

// canceled answers for an exchange that ended before a response: because the
// client went away, we cut it, or the client's body could not be read. That the
// context of r has ended comes last: an HTTP/1 server ends it with any
// Read that fails, of a client that is still there too.
func (t *trip) canceled(w http.ResponseWriter, r *http.Request, failed *AttemptError) error {
	switch refused, ok := errors.AsType[caddyhttp.HandlerError](failed); {
	case errors.Is(failed, errEvicted), errors.Is(failed, errExit):
		return t.refuse(w, http.StatusServiceUnavailable, failed)
	case errors.Is(failed, os.ErrDeadlineExceeded):
		return t.refuse(w, http.StatusRequestTimeout, failed)
	case ok: // as by the handler request_body
		return t.refuse(w, refused.StatusCode, failed)
	case r.Context().Err() != nil:
		t.left(r)
		return t.clientGone(w)
	}
	return t.refuse(w, http.StatusBadRequest, failed)
}

func (t *trip) clientGone(w http.ResponseWriter) error {
	t.upload.giveBack(w)
	if t.lease.Color.Valid() {
		t.edge.outcomes().count(t.lease.Color, statusClientGone, time.Since(t.started))
	}
	w.WriteHeader(statusClientGone)
	return nil
}

// refuse is the answer of the edge itself.
func (t *trip) refuse(w http.ResponseWriter, status int, cause error) error {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if name := t.edge.config.ColorHeader; name != "" {
		w.Header().Del(name) // no color has answered
	}
	return caddyhttp.Error(status, cause)
}

// placeholder gives Caddy's logs and headers what is known of the trip.
func (t *trip) placeholder(key string) (any, bool) {
	key, ours := strings.CutPrefix(key, "http.blue_green.")
	if !ours {
		return nil, false
	}
	switch key {
	case "service":
		return t.edge.name, true
	case "color":
		return t.lease.Color.String(), true
	case "generation":
		if t.lease.Table == nil {
			return 0, true
		}
		return t.lease.Table.Generation, true
	case "upstream":
		return t.upstream, true
	case "attempts":
		return t.attempts, true
	case "preview":
		return t.preview.idle, true
	}
	return nil, false
}
