package healthcheck

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// history is how many results a Report keeps.
const history = 10

// A Result is the answer to one probe.
type Result struct {
	At     time.Time     `json:"at"`      // when the probe began
	Took   time.Duration `json:"took_ns"` // until its answer, or its timeout
	OK     bool          `json:"ok"`
	Detail string        `json:"detail,omitempty"` // what came back; empty when OK; printable and bounded
}

// A Report is the state of one check. The fields it shares with [Threshold]
// mean the same.
type Report struct {
	Check     string    `json:"check"` // its name
	Probe     string    `json:"probe"` // what it does: "http GET /healthz"
	Healthy   bool      `json:"healthy"`
	Known     bool      `json:"known"`
	Since     time.Time `json:"since,omitzero"`
	Passes    int       `json:"passes"`
	Fails     int       `json:"fails"`
	Needed    int       `json:"needed"` // passes in a row until healthy; 0 when it is
	HeldUntil time.Time `json:"held_until,omitzero"`
	Held      bool      `json:"held,omitempty"` // it passes, and only a hold-down keeps it from being healthy
	LastFall  time.Time `json:"last_fall,omitzero"`
	Flaps     int       `json:"flaps"`
	Last      []Result  `json:"last"` // newest first, at most 10
}

// A Status is the state of one upstream: all its checks together. The zero
// value is that of an upstream about which nothing is known.
type Status struct {
	Healthy bool      `json:"healthy"`          // every check is
	Known   bool      `json:"known"`            // the checks that have a verdict suffice for this one
	Since   time.Time `json:"since,omitzero"`   // when Healthy last changed, or was first known
	Reason  string    `json:"reason,omitempty"` // why it is not healthy, and what is missing; empty when it is
	Held    bool      `json:"held,omitempty"`   // it is not, and only for hold-downs: each check passes
	Checks  []Report  `json:"checks"`           // in the order in which they were given
}

// next is the status after prev, given the checks' present reports. A check
// without a verdict makes an upstream unhealthy, but not one that was healthy
// before: that one came from a seed, and a check added by a reload must not
// drop it before it has an answer.
func next(prev Status, reports []Report, now time.Time) Status {
	s := Status{Healthy: len(reports) > 0, Since: prev.Since, Checks: reports}
	for _, r := range reports {
		if r.Known && !r.Healthy {
			s.Known, s.Healthy = true, false
		}
		if !r.Known && !prev.Healthy {
			s.Healthy = false
		}
	}
	s.Known = s.Known || s.Healthy
	s.Held = s.Known && !s.Healthy && !slices.ContainsFunc(reports, func(r Report) bool { return !r.Healthy && !r.Held })
	if s.Healthy != prev.Healthy || s.Known && s.Since.IsZero() {
		s.Since = now
	}
	if !s.Healthy {
		s.Reason = reason(reports, now)
	}
	return s
}

// reason tells of the first check with a bad verdict, else of the first
// without one, and counts the others.
func reason(reports []Report, now time.Time) string {
	var culprit *Report
	others := -1
	for i := range reports {
		r := &reports[i]
		if r.Healthy {
			continue
		}
		others++
		if culprit == nil || r.Known && !culprit.Known {
			culprit = r
		}
	}
	if culprit == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "check %q: %s; ", culprit.Check, culprit.lastFailure())
	fmt.Fprintf(&b, "%s needed", count(culprit.Needed, "more pass", "more passes"))
	if now.Before(culprit.HeldUntil) {
		fmt.Fprintf(&b, "; flapping, held until %s", culprit.HeldUntil.UTC().Format(time.RFC3339))
	}
	if others > 0 {
		fmt.Fprintf(&b, "; %s not healthy", count(others, "more check", "more checks"))
	}
	return b.String()
}

func (r *Report) lastFailure() string {
	for _, result := range r.Last {
		if !result.OK {
			return result.Detail
		}
	}
	if !r.Known {
		return "no verdict yet"
	}
	return fmt.Sprintf("no failure in the last %d probes", len(r.Last))
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
