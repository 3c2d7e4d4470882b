package origin

import (
	"sync/atomic"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

// Status is what an origin has done since it was made, and how its endpoints
// are.
type Status struct {
	Name      string           `json:"name"`
	Endpoints []EndpointStatus `json:"endpoints"` // in order of preference

	Requests     uint64 `json:"requests"`      // calls of Fetch and Forward
	Failures     uint64 `json:"failures"`      // of these, without any response of an endpoint; clients that left do not count
	Failovers    uint64 `json:"failovers"`     // attempts at a further endpoint for the head of a response
	Resumes      uint64 `json:"resumes"`       // continuations of bodies
	Refused      uint64 `json:"refused"`       // attempts at one that brought none
	Cut          uint64 `json:"cut"`           // bodies that could have gone on, and did not
	Denied       uint64 `json:"denied"`        // AccessDenied of a bucket, taken for 404
	Bytes        uint64 `json:"bytes"`         // of bodies
	ResumedBytes uint64 `json:"resumed_bytes"` // of these, those of continuations
}

// EndpointStatus is how one endpoint is.
type EndpointStatus struct {
	URL       string    `json:"url"`              // with the bucket
	Healthy   bool      `json:"healthy"`          // it is asked before those that are not
	Reason    string    `json:"reason,omitempty"` // why it is not
	Since     time.Time `json:"since"`            // when that last changed
	LastError string    `json:"last_error,omitempty"`
	Attempts  uint64    `json:"attempts"`
	Failures  uint64    `json:"failures"` // of these, those that count against it
	InFlight  int       `json:"in_flight"`
}

// Status returns the present state. Its numbers are not of one instant.
func (o *Origin) Status() Status {
	t := &o.totals
	s := Status{
		Name: o.name, Requests: t.requests.Load(), Failures: t.failures.Load(), Failovers: t.failovers.Load(),
		Resumes: t.resumes.Load(), Refused: t.refused.Load(), Cut: t.cut.Load(), Denied: t.denied.Load(),
		Bytes: t.bytes.Load(), ResumedBytes: t.carried.Load(),
	}
	for _, e := range o.endpoints {
		e.mu.Lock()
		s.Endpoints = append(s.Endpoints, EndpointStatus{
			URL: e.place.String(), Healthy: e.healthy, Reason: e.reasonLocked(), Since: e.since, LastError: e.failure,
			Attempts: e.attempts.Load(), Failures: e.failures.Load(), InFlight: len(e.slots),
		})
		e.mu.Unlock()
	}
	return s
}

// totals are the counts of an origin, and the observer of its resumes.
type totals struct {
	requests, failures, failovers, denied, bytes atomic.Uint64
	resumes, refused, cut, carried               atomic.Uint64
}

var _ resume.Observer = (*totals)(nil)

func (t *totals) Resumed()              { t.resumes.Add(1) }
func (t *totals) Carried(n int64)       { t.carried.Add(uint64(n)) }
func (t *totals) Refused(resume.Reason) { t.refused.Add(1) }
func (t *totals) Cut(resume.Reason)     { t.cut.Add(1) }
