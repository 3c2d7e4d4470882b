package switcher

import "time"

// Health is what this edge's own checks say of one upstream. The zero value
// means: not probed yet, not healthy.
type Health struct {
	Healthy bool `json:"healthy"`
	// Known is false until the checks have reached a first verdict.
	Known bool `json:"known"`
	// Since is when Healthy last changed.
	Since time.Time `json:"since,omitzero"`
	// Reason says which check failed, what came back, and what is still
	// needed; empty when healthy.
	Reason string `json:"reason,omitempty"`
	// Held says that it passes its checks, and that only a hold-down after flaps
	// keeps it from being healthy. It serves where no other upstream does.
	Held bool `json:"held,omitempty"`
	// Checks holds each check with its last results.
	Checks []CheckHealth `json:"checks,omitempty"`
}

// CheckHealth is the state of one check of one upstream.
type CheckHealth struct {
	Check   string    `json:"check"`
	Healthy bool      `json:"healthy"`
	Since   time.Time `json:"since,omitzero"`
	// Passes and Fails count consecutive results; one of them is 0.
	Passes int `json:"passes"`
	Fails  int `json:"fails"`
	// Needed is how many more passes make it healthy; 0 when it is.
	Needed int `json:"needed,omitempty"`
	// HeldUntil is the end of a hold-down after flapping.
	HeldUntil time.Time `json:"held_until,omitzero"`
	// Last holds the latest results, newest first.
	Last []CheckResult `json:"last,omitempty"`
}

// CheckResult is the outcome of one probe.
type CheckResult struct {
	At     time.Time `json:"at"`
	Took   Duration  `json:"took"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail,omitempty"`
}
