package consul

import (
	"fmt"
	"maps"
	"time"
)

// FleetStats is how a Fleet fares. The zero value: it has not run.
type FleetStats struct {
	// Answered is when Consul last gave an answer that a leader stands
	// behind: the age of what is known. The zero time: never.
	Answered time.Time `json:"answered,omitzero"`
	// Error is why the keys cannot be read, or not all of them; empty if all
	// is well. ErrorSince is when that began.
	Error      string    `json:"error,omitempty"`
	ErrorSince time.Time `json:"error_since,omitzero"`
	// WriteError is why something could last not be written to Consul, or to
	// the edge's memory.
	WriteError string `json:"write_error,omitempty"`
	// Results counts the notices, by result.
	Results map[Result]uint64 `json:"results"`
	// Strays counts the keys below the prefix that mean nothing.
	Strays int `json:"strays,omitempty"`
}

// Stats returns them as of now. It may be called at any time.
func (f *Fleet) Stats() FleetStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Results = maps.Clone(s.Results)
	return s
}

// Local returns this edge's own status of a service, also if Consul cannot be
// told; false if the service is not there, or nothing is known yet.
func (f *Fleet) Local(service string) (EdgeStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.locals[service]
	return s, ok
}

// Trouble says what keeps a service from being where the fleet is, or the fleet
// from knowing where it is; empty if nothing does.
func (f *Fleet) Trouble(service string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.troubles[service]
}

// setLocal notes what is known here: the status, and what stands in the way.
func (f *Fleet) setLocal(service string, s EdgeStatus, level Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.locals[service] = s
	switch level.Result {
	case "", Applied, Waiting:
		delete(f.troubles, service)
	default:
		f.troubles[service] = fmt.Sprintf("%s: %s", level.Result, plain(level.Reason, maxText))
	}
}

func (f *Fleet) forget(service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.locals, service)
	delete(f.troubles, service)
}

// seen notes how an answer was.
func (f *Fleet) seen(t *tree) {
	trouble := ""
	switch {
	case t.err != nil:
		trouble = t.err.Error()
	case !t.vouched:
		trouble = "no leader stands behind the answer"
	case t.filtered && f.client.token.none():
		trouble = "to an edge without a token Consul does not say whether it may read all keys below " + f.config.Prefix + ": give it one"
	case t.filtered:
		trouble = "the token may not read all keys below " + f.config.Prefix
	case t.cut:
		trouble = "there are more keys below " + f.config.Prefix + " than are looked at"
	}
	f.mu.Lock()
	before := f.stats.Error
	if trouble == "" {
		f.stats.ErrorSince = time.Time{}
	} else if before == "" {
		f.stats.ErrorSince = t.at
	}
	f.stats.Error = trouble
	if t.err == nil && t.vouched {
		f.stats.Answered, f.stats.Strays = t.at, t.strays
	}
	f.mu.Unlock()
	switch {
	case trouble != "" && trouble != before:
		f.config.Log.Warn("the keys of the fleet cannot be relied on: nothing moves by them", "edge", f.config.Edge, "error", trouble)
		if before == "" {
			f.account(Notice{Key: f.prefix, Outcome: Outcome{Unreadable, plain(trouble, maxText)}})
		}
	case trouble == "" && before != "":
		f.config.Log.Info("the keys of the fleet can be read again", "edge", f.config.Edge)
	}
}

// wrote notes whether the latest write went through.
func (f *Fleet) wrote(err error) {
	text := ""
	if err != nil {
		text = plain(err.Error(), maxText)
	}
	f.mu.Lock()
	before := f.stats.WriteError
	f.stats.WriteError = text
	f.mu.Unlock()
	if text != "" && text != before {
		f.config.Log.Warn("the fleet could not be told; it is tried again", "edge", f.config.Edge, "error", text)
	}
}

// notice accounts for one value.
func (f *Fleet) notice(n Notice) {
	n.Reason = plain(n.Reason, maxText)
	if n.Result != Applied && n.Result != Waiting {
		f.config.Log.Warn("a key of the fleet moved nothing", "service", n.Service, "key", n.Key, "index", n.Index, "result", n.Result, "reason", n.Reason)
	}
	f.account(n)
}

func (f *Fleet) account(n Notice) {
	n.At = time.Now()
	f.mu.Lock()
	f.stats.Results[n.Result]++
	f.mu.Unlock()
	f.config.Noticed(n)
}
