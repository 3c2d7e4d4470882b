package file

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// look is what one reading of the file found.
type look struct {
	sum   [sha256.Size]byte // of the content; zero if it could not be read
	pools switcher.Pools
	err   error
}

// news is what there is to tell after a look.
type news uint8

const (
	nothing news = iota
	update
	failure
	suspicion // look again soon before telling a failure
)

// judge decides what a look means. It never calls a sink, and never asks for
// the time.
type judge struct {
	told      bool              // pools have been told
	pools     [sha256.Size]byte // of the pools last told
	failed    string            // the failure last told; "" after pools
	suspected look              // the failing look before this one
	since     time.Time         // of the first of the failing looks not told; zero: none
}

// see weighs one look. Pools are news when they differ from the last ones, and
// when a failure was told since. A failure is news when it differs from the
// last one told, and was there in two looks in a row with the same content, or
// for patience whatever the content: one look may have met a writer at work.
func (j *judge) see(l look, now time.Time, patience time.Duration) news {
	if l.err == nil {
		j.since = time.Time{}
		sum := sumOf(l.pools)
		if j.told && j.failed == "" && sum == j.pools {
			return nothing
		}
		j.told, j.pools, j.failed = true, sum, ""
		return update
	}
	if l.err.Error() == j.failed {
		j.since = time.Time{}
		return nothing
	}
	last := j.suspected
	j.suspected = l
	if j.since.IsZero() {
		j.since = now
		return suspicion
	}
	if !same(last, l) && now.Sub(j.since) < patience {
		return suspicion
	}
	j.failed, j.since = l.err.Error(), time.Time{}
	return failure
}

func same(a, b look) bool { return a.sum == b.sum && a.err.Error() == b.err.Error() }

// sumOf tells pools apart without keeping what a sink was given.
func sumOf(p switcher.Pools) [sha256.Size]byte {
	text, err := json.Marshal(p)
	if err != nil {
		panic("file: pools do not marshal: " + err.Error()) // strings, numbers and maps always do
	}
	return sha256.Sum256(text)
}

// quiet decides when a burst of events has ended: after calm without one, but
// not later than limit after the first. The zero value waits for nothing.
type quiet struct{ first, last time.Time }

func (q *quiet) event(now time.Time) {
	if q.first.IsZero() {
		q.first = now
	}
	q.last = now
}

// due returns when to look; zero: not until an event comes.
func (q *quiet) due(calm, limit time.Duration) time.Time {
	if q.first.IsZero() {
		return time.Time{}
	}
	calmed, latest := q.last.Add(calm), q.first.Add(limit)
	if latest.Before(calmed) {
		return latest
	}
	return calmed
}
