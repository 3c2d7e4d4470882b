package healthcheck

import (
	"context"
	"slices"
	"sync"
)

// A Check is a probe with a name and a rhythm.
type Check struct {
	Name     string // unique among the checks of an upstream
	Probe    Probe
	Settings Settings // valid; zeros mean defaults
}

// A Checker runs all the checks of one upstream.
type Checker struct {
	loops   []*loop
	status  Status // owned by Run's goroutine, as is the call of publish
	publish func(Status)
}

// NewChecker makes a Checker for address. Its caller has validated the address
// and the settings, and gives at least one check: without any, Run publishes
// nothing.
//
// The seed, if not nil, is the last Status of the Checker before a reload:
// checks with a name it knows continue with their verdict and history, and an
// upstream that was healthy stays so until a check says otherwise. It is
// believed, so it must come from this process and never from disk.
//
// The publish function gets a Status of its own after every result. Calls
// never overlap and end before Run returns; while one lasts, probing waits.
func NewChecker(address string, checks []Check, seed *Status, publish func(Status)) *Checker {
	c := &Checker{publish: publish}
	if seed == nil {
		seed = &Status{}
	}
	c.status = Status{Healthy: seed.Healthy, Known: seed.Known, Since: seed.Since}
	for i, check := range checks {
		l := newLoop(i, address, check, seed)
		c.loops = append(c.loops, l)
		c.status.Checks = append(c.status.Checks, l.report())
	}
	return c
}

// Run probes until ctx ends, and returns when all its goroutines have. It may
// be called once. It waits for a probe that ignores its context; the verdict
// does not.
func (c *Checker) Run(ctx context.Context) {
	updates := make(chan update)
	var running sync.WaitGroup
	for _, l := range c.loops {
		running.Go(func() { l.run(ctx, updates) })
	}
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-updates:
			c.status.Checks[u.index] = u.report
			c.status = next(c.status, c.status.Checks, u.at)
			published := c.status
			published.Checks = cloneReports(published.Checks)
			c.publish(published)
		}
	}
}

// cloneReports copies as deep as there is something to edit.
func cloneReports(reports []Report) []Report {
	reports = slices.Clone(reports)
	for i := range reports {
		reports[i].Last = slices.Clone(reports[i].Last)
	}
	return reports
}
