package switcher

import "time"

// ServiceView is a service as status shows it: a consistent copy.
type ServiceView struct {
	Name       string `json:"name"`
	Generation uint64 `json:"generation"`
	Phase      Phase  `json:"phase"`
	Active     Color  `json:"active"`
	Previous   Color  `json:"previous,omitempty"` // where a rollback goes
	Split      Split  `json:"split"`
	Lock       *Lock  `json:"lock,omitempty"`
	// Cutover is the move under way.
	Cutover *CutoverView `json:"cutover,omitempty"`
	// Last is the latest ended move.
	Last   *Move      `json:"last,omitempty"`
	Blue   PoolView   `json:"blue"`
	Green  PoolView   `json:"green"`
	Source SourceView `json:"source"`
	// Warnings are things an operator should know, in sentences: state that
	// could not be written, a source that fails.
	Warnings []string `json:"warnings,omitempty"`
}

// Pool returns the view of one color.
func (v *ServiceView) Pool(c Color) *PoolView {
	if c == Green {
		return &v.Green
	}
	return &v.Blue
}

// PoolView is one color.
type PoolView struct {
	Role     string `json:"role"` // active or idle
	Weight   uint8  `json:"weight"`
	Inflight int64  `json:"inflight"`
	PoolHealth
	// SafeToStop: no traffic comes here, nothing is in-flight, and no move
	// under way will send any.
	SafeToStop bool           `json:"safe_to_stop"`
	Upstreams  []UpstreamView `json:"upstreams"`
}

// UpstreamView is one upstream.
type UpstreamView struct {
	Upstream
	Health
	Inflight     int64     `json:"inflight"`
	EjectedUntil time.Time `json:"ejected_until,omitzero"`
}

// SourceView says where the pools come from and how old they are.
type SourceView struct {
	Name    string    `json:"name,omitempty"`
	Updated time.Time `json:"updated,omitzero"`
	Error   string    `json:"error,omitempty"`
	// ErrorSince is when the source began to fail; the pools are older.
	ErrorSince time.Time `json:"error_since,omitzero"`
	SourceReport
	// Remembered says that the pools are those of before the edge started,
	// as the source has not answered since.
	Remembered bool `json:"remembered,omitempty"`
}

// CutoverView is a move under way and how far it has come.
type CutoverView struct {
	Cutover
	// Gates are the latest verdicts, while they are waited for.
	Gates []Verdict `json:"gates,omitempty"`
	// WaitsUntil ends the wait for the gates.
	WaitsUntil time.Time `json:"waits_until,omitzero"`
	// NextStep is when the current step's hold ends; zero when held.
	NextStep time.Time  `json:"next_step,omitzero"`
	Draining *DrainView `json:"draining,omitempty"`
}

// DrainView is the progress of a drain.
type DrainView struct {
	Color    Color     `json:"color"`
	Started  time.Time `json:"started"`
	Deadline time.Time `json:"deadline"` // the latest of all kinds
	Initial  int64     `json:"initial"`  // in-flight when it began
	Inflight int64     `json:"inflight"` // now
	Evicted  int       `json:"evicted"`  // ended at a deadline
	// ETA is when it would end at the pace so far; zero where unknown.
	ETA time.Time `json:"eta,omitzero"`
	// Streams are what it waits for, by kind.
	Streams []StreamCount `json:"streams,omitempty"`
}
