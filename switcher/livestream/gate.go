// Package livestream is the gate that has the target's live HLS streams watched,
// and compared with those on air, before viewers come to them.
package livestream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck/hls"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Limits of a Gate.
const (
	MaxPaths = 16 // of one gate

	maxUpstreams = 32              // of the target that are watched: the first healthy ones
	atOnce       = 8               // looks at a time
	lookFor      = 4 * time.Second // at one stream of one upstream
	leastEvery   = 250 * time.Millisecond
	mostEvery    = 2 * time.Second
)

// Gate watches each stream at each healthy upstream of the target for three of
// its target durations before a step, and compares it with the same stream at an
// upstream of the other color. What may yet become well is waited for, until the
// gate timeout, which must be longer than that; streams that players cannot go on
// with from those on air are refused. A color on air that has no stream is nothing
// to compare with. A plan looks once. It must not be copied after first use.
type Gate struct {
	// Called is the gate's name. Default: live.
	Called string
	// Paths of the streams: of their multivariant playlists, as a rule.
	Paths []string
	// Limits of what is well.
	Limits hls.Limits
	// Upstreams are asked through it. Required.
	Upstreams hls.Upstreams

	watching sync.Mutex // held by the round that looks
	move     string     // that watched is of
	watched  []*watch   // what is seen; by path and upstream
	last     switcher.Verdict
	at       time.Time // of last
}

// watch is one stream at one upstream.
type watch struct {
	path, address string
	onAir         bool // it is of the color that loses traffic
	looks         []hls.Look
}

// Name implements switcher.Gate.
func (g *Gate) Name() string {
	if g.Called == "" {
		return "live"
	}
	return g.Called
}

// Check implements switcher.Gate.
func (g *Gate) Check(ctx context.Context, p switcher.GateInput) switcher.Verdict {
	if len(p.Healthy(p.To)) == 0 {
		return switcher.Verdict{Reason: fmt.Sprintf("%s has no healthy upstream to watch", p.To)}
	}
	if p.Planned() {
		return g.plan(ctx, p)
	}
	if !g.watching.TryLock() {
		return switcher.Verdict{Reason: "the streams are still being looked at"}
	}
	defer g.watching.Unlock()
	if move := fmt.Sprint(p.ID, " ", p.Step); g.move != move {
		g.move, g.watched, g.at = move, nil, time.Time{}
	}
	if !g.at.IsZero() && p.Now.Sub(g.at) < g.every() {
		return g.last
	}
	g.watched = g.wanted(p, g.watched)
	if !g.look(ctx, g.watched, p.Now, false) {
		g.watched = slices.DeleteFunc(g.watched, func(w *watch) bool { return len(w.looks) == 0 })
		return unseen
	}
	v := g.judge(p)
	if v.Decision == switcher.Pass { // now it is worth to fetch segments
		if !g.look(ctx, g.watched, p.Now, true) {
			return unseen
		}
		v = g.judge(p)
	}
	g.last, g.at = v, p.Now
	return v
}

// unseen is the verdict of a round that was called off.
var unseen = switcher.Verdict{Reason: "the check was called off while the streams were looked at"}

// plan judges what one look can.
func (g *Gate) plan(ctx context.Context, p switcher.GateInput) switcher.Verdict {
	watched := g.wanted(p, nil)
	if !g.look(ctx, watched, p.Now, true) {
		return unseen
	}
	found, odd, final := g.findings(watched)
	if len(found) > 0 {
		return closed(found, final)
	}
	return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf(
		"%s looks well; a cutover watches for %s before each step%s", g.count(watched), longest(watched), remarks(odd))}
}

// judge says whether all that is watched is well, and has been watched for long
// enough.
func (g *Gate) judge(p switcher.GateInput) switcher.Verdict {
	found, odd, final := g.findings(g.watched)
	if len(found) > 0 {
		return closed(found, final)
	}
	for _, w := range g.watched {
		if w.onAir {
			continue
		}
		first, latest := w.looks[0].At, &w.looks[len(w.looks)-1]
		if until := first.Add(hls.Watch(latest)); p.Now.Before(until) {
			return switcher.Verdict{Reason: fmt.Sprintf("%s at %s is watched for %s, until %s (gate_timeout must be longer than that)",
				w.path, w.address, hls.Watch(latest), until.Format(time.TimeOnly))}
		}
	}
	return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf("%s fresh for %s%s", g.count(g.watched), longest(g.watched), remarks(odd))}
}

// findings are what is wrong, what is only odd, and whether waiting is no use.
func (g *Gate) findings(watched []*watch) (wrong, odd []string, final bool) {
	for _, w := range watched {
		if w.onAir {
			continue
		}
		latest := &w.looks[len(w.looks)-1]
		list := hls.Judge(w.looks, g.Limits)
		if air := onAir(watched, w.path); air != nil {
			list = append(list, hls.Compare(latest, air, g.Limits)...)
		}
		for _, f := range list {
			text := fmt.Sprintf("%s at %s: %s", w.path, w.address, f.What)
			if !f.Fail {
				odd = append(odd, text)
				continue
			}
			wrong, final = append(wrong, text), final || f.Final
		}
	}
	return wrong, odd, final
}

// closed is the verdict on what is wrong: the first of it, and how much more.
func closed(wrong []string, final bool) switcher.Verdict {
	v := switcher.Verdict{Reason: wrong[0] + more(len(wrong)-1)}
	if final {
		v.Decision = switcher.Refuse
	}
	return v
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// remarks are what does not close the gate.
func remarks(odd []string) string {
	if len(odd) == 0 {
		return ""
	}
	return "; but " + odd[0] + more(len(odd)-1)
}

// onAir is the latest look at a stream of the color that loses traffic; nil if
// it has none.
func onAir(watched []*watch, path string) *hls.Look {
	for _, w := range watched {
		if w.onAir && w.path == path {
			if l := &w.looks[len(w.looks)-1]; l.Err == "" {
				return l
			}
		}
	}
	return nil
}

// wanted are the watches of now: of those before, and new ones.
func (g *Gate) wanted(p switcher.GateInput, before []*watch) (list []*watch) {
	next, air := p.Healthy(p.To), p.Healthy(p.From)
	next, air = next[:min(len(next), maxUpstreams)], air[:min(len(air), 1)]
	for _, path := range g.Paths {
		for i, u := range slices.Concat(next, air) {
			w := &watch{path: path, address: u.Address, onAir: i >= len(next)}
			if j := slices.IndexFunc(before, func(o *watch) bool {
				return o.path == w.path && o.address == w.address && o.onAir == w.onAir
			}); j >= 0 {
				w = before[j]
			}
			list = append(list, w)
		}
	}
	return list
}

// look adds a look to each watch. It forgets those that are older than what is
// judged, so that a stream that has stood still for once is fresh again one day.
// With samples it repeats the latest look. It reports false if the round was called
// off meanwhile: what fails then is no fault of a stream, and not added.
func (g *Gate) look(ctx context.Context, watched []*watch, now time.Time, samples bool) bool {
	places := make(chan struct{}, atOnce)
	var looking sync.WaitGroup
	for _, w := range watched {
		places <- struct{}{}
		looking.Go(func() {
			defer func() { <-places }()
			timed, cancel := context.WithTimeout(ctx, lookFor)
			defer cancel()
			l := hls.Looker{Path: w.path, Upstreams: g.Upstreams}
			look := l.Look(timed, w.address, now, samples && !w.onAir)
			if calledOff(ctx) {
				return
			}
			if n := len(w.looks); n > 0 && w.looks[n-1].At.Equal(now) {
				w.looks = w.looks[:n-1]
			}
			w.looks = append(w.looks, look)
			oldest := now.Add(-hls.Watch(&look) - 2*mostEvery)
			for len(w.looks) > 1 && !w.looks[1].At.After(oldest) {
				w.looks = slices.Delete(w.looks, 0, 1)
			}
		})
	}
	looking.Wait()
	return !calledOff(ctx)
}

func calledOff(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// every is the time between two looks: a quarter of the shortest target duration.
func (g *Gate) every() time.Duration {
	every := mostEvery
	for _, w := range g.watched {
		if t := w.looks[len(w.looks)-1].Target(); t > 0 {
			every = min(every, t/4)
		}
	}
	return max(every, leastEvery)
}

func longest(watched []*watch) (d time.Duration) {
	for _, w := range watched {
		d = max(d, hls.Watch(&w.looks[len(w.looks)-1]))
	}
	return d
}

// count says how much is watched.
func (g *Gate) count(watched []*watch) string {
	upstreams, tracks := 0, 0
	for _, w := range watched {
		if !w.onAir {
			upstreams++
			tracks += len(w.looks[len(w.looks)-1].Tracks)
		}
	}
	return fmt.Sprintf("%s at %d upstreams, %d playlists,", strings.Join(g.Paths, ", "), upstreams/max(len(g.Paths), 1), tracks)
}

var _ switcher.Gate = (*Gate)(nil)
