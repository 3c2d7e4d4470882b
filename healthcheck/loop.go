package healthcheck

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// An update is what a loop tells Run after a result.
type update struct {
	index  int
	at     time.Time
	report Report
}

// A loop probes for one check. After newLoop, its own goroutine owns it.
type loop struct {
	index     int
	address   string
	check     Check
	threshold Threshold
	last      []Result      // newest first, replaced and never edited
	idle      chan struct{} // holds a token while no probe runs
}

func newLoop(index int, address string, check Check, seed *Status) *loop {
	check.Settings = check.Settings.WithDefaults()
	l := &loop{index: index, address: address, check: check, idle: make(chan struct{}, 1)}
	l.idle <- struct{}{}
	l.threshold.Settings = check.Settings
	for _, r := range seed.Checks {
		if r.Check == check.Name {
			l.resume(r)
		}
	}
	return l
}

// resume continues from what a former loop reported.
func (l *loop) resume(r Report) {
	l.threshold = Threshold{
		Settings:  l.check.Settings,
		Healthy:   r.Healthy,
		Known:     r.Known,
		Since:     r.Since,
		Passes:    r.Passes,
		Fails:     r.Fails,
		HeldUntil: r.HeldUntil,
		LastFall:  r.LastFall,
		Flaps:     r.Flaps,
	}
	if longest := r.LastFall.Add(l.threshold.Settings.WithDefaults().HoldMax); r.HeldUntil.After(longest) {
		l.threshold.HeldUntil = longest
	}
	l.last = slices.Clone(r.Last[:min(len(r.Last), history)])
}

func (l *loop) report() Report {
	t := &l.threshold
	return Report{
		Check:     l.check.Name,
		Probe:     l.check.Probe.String(),
		Healthy:   t.Healthy,
		Known:     t.Known,
		Since:     t.Since,
		Passes:    t.Passes,
		Fails:     t.Fails,
		Needed:    t.Needed(),
		HeldUntil: t.HeldUntil,
		Held:      t.Held(),
		LastFall:  t.LastFall,
		Flaps:     t.Flaps,
		Last:      l.last,
	}
}

// run probes at once and then in rhythm, until ctx ends and no probe runs.
func (l *loop) run(ctx context.Context, updates chan<- update) {
	defer func() { <-l.idle }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := time.Now()
		err := l.probe(ctx)
		if ctx.Err() != nil {
			return // cut off, so it says nothing about the upstream
		}
		now := time.Now()
		l.record(now, Result{At: start, Took: now.Sub(start), OK: err == nil}, err)
		select {
		case <-ctx.Done():
			return
		case updates <- update{index: l.index, at: now, report: l.report()}:
		}
		pause := l.check.Settings.pause(l.threshold.Known, rand.Float64())
		timer.Reset(time.Until(start.Add(pause)))
	}
}

func (l *loop) record(now time.Time, result Result, err error) {
	if err != nil {
		result.Detail = clean(err.Error())
	}
	l.threshold.Observe(now, result.OK)
	l.last = append([]Result{result}, l.last[:min(len(l.last), history-1)]...)
}

// probe asks once, and never takes longer than the timeout: a probe that
// ignores its context is left behind, and until it returns each further one
// fails without being started, so there is at most one such goroutine.
func (l *loop) probe(ctx context.Context) error {
	timeout := l.check.Settings.Timeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-l.idle:
	case <-ctx.Done():
		return noAnswer(timeout)
	}
	answer := make(chan error, 1)
	go func() {
		answer <- l.check.Probe.Probe(ctx, l.address)
		l.idle <- struct{}{}
	}()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // even a pass is too late now
		return noAnswer(timeout)
	}
	return err
}
