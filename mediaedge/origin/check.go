package origin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck"
)

// probe runs the check of one endpoint until ctx ends. Then nothing is known.
func (o *Origin) probe(ctx context.Context, e *endpoint) {
	check := healthcheck.Check{Name: "origin", Probe: probe{o, e}, Settings: o.check.Settings}
	healthcheck.NewChecker(e.addr, []healthcheck.Check{check}, nil, func(s healthcheck.Status) {
		o.observe(e, func(time.Time) { e.active = &s })
	}).Run(ctx)
	e.mu.Lock()
	e.active = nil
	e.mu.Unlock()
}

// probe asks as a fetch does: with the same fields, and the same signature.
type probe struct {
	o *Origin
	e *endpoint
}

var _ healthcheck.Probe = probe{}

func (p probe) question() question {
	q := question{method: http.MethodGet, path: p.o.check.Path}
	if q.path == "" {
		q.path = "/"
	}
	if p.o.s3 != nil {
		q.method = http.MethodHead
	}
	return q
}

// Probe asks once, on a connection of its own. The address is the endpoint's.
func (p probe) Probe(ctx context.Context, _ string) error {
	r, refusal := p.o.request(ctx, p.e, p.question())
	if refusal != nil {
		return refusal
	}
	res, err := p.e.prober.RoundTrip(r)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if !p.o.check.Status.Contains(res.StatusCode) {
		return fmt.Errorf("status %d, want %v", res.StatusCode, p.o.check.Status)
	}
	return nil
}

func (p probe) String() string {
	q := p.question()
	return q.method + " " + p.e.place.String() + q.path
}
