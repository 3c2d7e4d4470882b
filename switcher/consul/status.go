package consul

import (
	"fmt"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Status is how old the data of a Source are, and what is wrong with them. The
// zero value: it has not run.
type Status struct {
	// Answered is when Consul last gave a good answer, also if nothing had
	// changed: the age of the data. Of two queries it is the older one's.
	// The zero time: never.
	Answered time.Time `json:"answered,omitzero"`
	// Vouched is false when no leader stood behind that answer, or it was stale.
	Vouched bool `json:"vouched"`
	// Index of that answer.
	Index uint64 `json:"index,omitempty"`
	// Error is what was last told to the sink; empty if all is well.
	Error string `json:"error,omitempty"`
	// ErrorSince is when it began to fail.
	ErrorSince time.Time `json:"error_since,omitzero"`
	// Held counts the upstreams that vanished from the catalog and are kept.
	Held switcher.PerColor[int] `json:"held"`
	// LeftOut counts the instances that cannot be used.
	LeftOut switcher.PerColor[int] `json:"left_out"`
	// Reasons are why, of the first few.
	Reasons []string `json:"reasons,omitempty"`
	// Colorless counts the instances of neither color.
	Colorless int `json:"colorless,omitempty"`
}

// Status returns it as of now. It may be called at any time.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Reasons = slices.Clone(status.Reasons)
	return status
}

// Report implements switcher.Reporter.
func (s *Source) Report() switcher.SourceReport {
	now := s.Status()
	report := switcher.SourceReport{Answered: now.Answered}
	if !now.Answered.IsZero() && !now.Vouched {
		report.Notes = append(report.Notes, "no leader stands behind Consul's last answer")
	}
	for _, c := range switcher.Colors {
		if n := now.Held.Of(c); n > 0 {
			report.Notes = append(report.Notes, fmt.Sprintf("%d %s upstreams are gone from the catalog and kept", n, c))
		}
		if n := now.LeftOut.Of(c); n > 0 {
			report.Notes = append(report.Notes, fmt.Sprintf("%d %s instances cannot be used", n, c))
		}
	}
	report.Notes = append(report.Notes, now.Reasons...)
	if now.Colorless > 0 {
		report.Notes = append(report.Notes, fmt.Sprintf("%d instances are of neither color", now.Colorless))
	}
	return report
}

// note publishes the status, and logs instances that are newly left out.
func (r *run) note(answers switcher.PerColor[answer], failure error) {
	older := answers.Blue.good
	if answers.Green.good.at.Before(older.at) {
		older = answers.Green.good
	}
	now := Status{Answered: older.at, Vouched: older.vouched, Index: older.index, Colorless: r.sides.Blue.strays}
	if r.subs.Blue != r.subs.Green {
		now.Colorless += r.sides.Green.strays
	}
	for _, c := range switcher.Colors {
		d := r.sides.Of(c)
		*now.Held.At(c), *now.LeftOut.At(c) = d.held, d.chosen.left
		for _, reason := range d.chosen.refused {
			now.Reasons = append(now.Reasons, c.String()+": "+reason)
		}
	}
	if len(now.Reasons) > 0 && !slices.Equal(now.Reasons, r.logged) {
		r.config.Log.Warn("instances in Consul's catalog cannot be used and are left out", "source", r.String(), "reasons", now.Reasons)
	}
	r.logged = now.Reasons
	r.mu.Lock()
	defer r.mu.Unlock()
	if failure != nil {
		now.Error, now.ErrorSince = failure.Error(), r.status.ErrorSince
		if now.ErrorSince.IsZero() {
			now.ErrorSince = time.Now()
		}
	}
	r.status = now
}
