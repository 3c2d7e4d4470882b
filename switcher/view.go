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
	// RollbackWindow says whether a rollback is still reckoned with.
	RollbackWindow *RollbackWindow `json:"rollback_window,omitempty"`
	// Last is the latest ended move.
	Last   *Move      `json:"last,omitempty"`
	Blue   PoolView   `json:"blue"`
	Green  PoolView   `json:"green"`
	Source SourceView `json:"source"`
	// Pins are the sessions that keep their color; nil: none do.
	Pins *PinsView `json:"pins,omitempty"`
	// MediaLeak is the media that has gone through the pools; nil: none. The
	// views in a Receipt have none.
	MediaLeak *MediaLeak `json:"media_leak,omitempty"`
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
	// Pinned counts the sessions that keep to this color.
	Pinned int64 `json:"pinned,omitempty"`
	// SafeToStop: no traffic comes here, that of pinned sessions neither,
	// nothing is in-flight, and no move under way will send any.
	SafeToStop bool           `json:"safe_to_stop"`
	Upstreams  []UpstreamView `json:"upstreams"`
}

// PinsView is how a service's sessions keep their color, since the edge began.
type PinsView struct {
	Max     int      `json:"max"` // how many there can be
	Idle    Duration `json:"idle"`
	Refused uint64   `json:"refused"` // requests that found no room for their session
	Moved   uint64   `json:"moved"`   // sessions that left their color while they lived
}

// MediaLeak is the media that has gone through a service's pools, which could
// come from elsewhere, since the process began.
type MediaLeak struct {
	Responses int64 `json:"responses"`
	Bytes     int64 `json:"bytes"` // of their bodies
	// Kinds are the kinds of media with any, the one with most bytes first.
	Kinds []KindLeak `json:"kinds,omitempty"`
	// Uploads are requests with media, and UploadBytes what clients sent.
	Uploads     int64 `json:"uploads,omitempty"`
	UploadBytes int64 `json:"upload_bytes,omitempty"`
	// Last is when the latest of either began, and Example its path, or nearly
	// the latest's: at most 120 bytes, without its query.
	Last    time.Time `json:"last"`
	Example string    `json:"example,omitempty"`
}

// KindLeak is the part of one kind of media, as playlist or segment.
type KindLeak struct {
	Kind      string `json:"kind"`
	Responses int64  `json:"responses"`
	Bytes     int64  `json:"bytes"`
}

// HeldView is the sessions that a drain waits for.
type HeldView struct {
	Sessions int64 `json:"sessions"`
	// Oldest is when the oldest of them began; zero: not known.
	Oldest time.Time `json:"oldest,omitzero"`
	// Until is when they are no longer waited for.
	Until time.Time `json:"until"`
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
	Deadline time.Time `json:"deadline"` // the latest of all kinds, and after that of pinned sessions
	Initial  int64     `json:"initial"`  // in-flight when it began
	Inflight int64     `json:"inflight"` // now
	Evicted  int       `json:"evicted"`  // ended at a deadline
	// ETA is when it would end at the pace so far; zero where unknown.
	ETA time.Time `json:"eta,omitzero"`
	// Held are the sessions that may still come to the color; nil: nothing
	// comes any more.
	Held *HeldView `json:"held,omitempty"`
	// Streams are what it waits for, by kind.
	Streams []StreamCount `json:"streams,omitempty"`
}
