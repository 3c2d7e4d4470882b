// Package livestream is the gate that has the target's live HLS streams watched,
// and compared with those on air, before viewers come to them.
package livestream

import (
	"cmp"
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

	// unasked is how long a gate can go without being asked before what it has
	// watched is worth nothing: more than a round of gates takes, at most.
	unasked = 15 * time.Second
)

// Gate watches each stream at each healthy upstream of the target for three of
// its target durations before a step, and compares it with the same stream at an
// upstream of the other color. A playlist is watched from the first look on since
// which all could read it; while nobody asks the gate, nothing is. What may yet
// become well is waited for, until the gate timeout, which must be longer than
// that; streams that players cannot go on with from those on air are refused.
//
// A color on air whose healthy upstreams all say that they have no such stream is
// nothing to compare with. Neither is one of which none has shown it whole for
// three target durations: its players have nothing to go on with either, and a
// cutover away from it must be possible. The reason says so. A plan looks once. A
// Gate must not be copied after first use.
type Gate struct {
	// Called is the gate's name. Default: live.
	Called string
	// Paths of the streams: of their multivariant playlists, as a rule.
	Paths []string
	// Limits of what is well.
	Limits hls.Limits
	// Host that Upstreams send, of which URLs in playlists are the upstream's own.
	// Default: the upstream's address.
	Host string
	// Upstreams are asked through it. Required.
	Upstreams hls.Upstreams

	watching sync.Mutex // held by the round that looks
	move     string     // that streams are of
	asked    time.Time  // the gate, most recently
	streams  []*stream  // what is seen; by path
	last     switcher.Verdict
	at       time.Time // of last
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
		streams := g.wanted(p, nil)
		if !g.look(ctx, p, streams, true) {
			return unseen
		}
		return g.judge(p, streams)
	}
	if !g.watching.TryLock() {
		return switcher.Verdict{Reason: "the streams are still being looked at"}
	}
	defer g.watching.Unlock()
	if move := fmt.Sprint(p.ID, " ", p.Step); g.move != move || p.Now.Sub(g.asked) > unasked {
		g.move, g.streams, g.at = move, nil, time.Time{}
	}
	g.asked = p.Now
	if !g.at.IsZero() && p.Now.Sub(g.at) < g.every() {
		return g.last
	}
	g.streams = g.wanted(p, g.streams)
	if !g.look(ctx, p, g.streams, false) {
		return unseen
	}
	v := g.judge(p, g.streams)
	if v.Decision == switcher.Pass { // now it is worth to fetch segments
		if !g.look(ctx, p, g.streams, true) {
			return unseen
		}
		v = g.judge(p, g.streams)
	}
	if v.Decision == switcher.Refuse {
		g.streams = nil
	}
	g.last, g.at = v, p.Now
	return v
}

// unseen is the verdict of a round that was called off.
var unseen = switcher.Verdict{Reason: "the check was called off while the streams were looked at"}

// wanted are the streams of now: what is known of before, and what is new.
func (g *Gate) wanted(p switcher.GateInput, before []*stream) (list []*stream) {
	next := p.Healthy(p.To)
	for i, path := range g.Paths {
		s := &stream{path: path}
		var known []*watch
		if before != nil {
			s.air, known = before[i].air, before[i].watched
		}
		for _, u := range next[:min(len(next), maxUpstreams)] {
			w := &watch{address: u.Address}
			if j := slices.IndexFunc(known, func(o *watch) bool { return o.address == w.address }); j >= 0 {
				w = known[j]
			}
			s.watched = append(s.watched, w)
		}
		list = append(list, s)
	}
	return list
}

// look looks once at all streams, at the same time. With samples it fetches
// segments, too. It reports false if the round was called off meanwhile: what fails
// then is no fault of a stream, and not noted.
func (g *Gate) look(ctx context.Context, p switcher.GateInput, streams []*stream, samples bool) bool {
	places := make(chan struct{}, atOnce)
	var looking sync.WaitGroup
	for _, s := range streams {
		looking.Go(func() {
			l := &hls.Looker{Path: s.path, Host: g.Host, Upstreams: g.Upstreams}
			onAir := s.air.look(ctx, l, p)
			var all sync.WaitGroup
			defer all.Wait()
			for _, w := range s.watched {
				places <- struct{}{}
				all.Go(func() {
					defer func() { <-places }()
					timed, cancel := context.WithTimeout(ctx, lookFor)
					defer cancel()
					look := l.Look(timed, w.address, p.Now, samples)
					if !calledOff(ctx) {
						w.note(s.path, &look, onAir, g.Limits)
					}
				})
			}
		})
	}
	looking.Wait()
	return !calledOff(ctx)
}

func calledOff(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// judge says whether all streams are well, and have been watched for long enough.
func (g *Gate) judge(p switcher.GateInput, streams []*stream) switcher.Verdict {
	var wrong, odd, waits, alone tally
	final := ""
	for _, s := range streams {
		for _, w := range s.watched {
			wrong.join(w.wrong)
			odd.join(w.odd)
			final = cmp.Or(final, w.final)
		}
		switch why, settled := s.air.silence(p, s.longest()); {
		case why != "" && settled:
			alone.add(fmt.Sprintf("%s is compared with nothing, as %s", s.path, why))
		case why != "":
			waits.add(fmt.Sprintf("%s cannot be compared: %s", s.path, why))
		}
	}
	wrong.join(waits)
	alone.join(odd)
	remarks := ""
	if alone.n > 0 {
		remarks = "; but " + alone.String()
	}
	switch {
	case final != "":
		wrong.first = final
		return switcher.Verdict{Decision: switcher.Refuse, Reason: wrong.String()}
	case wrong.n > 0:
		return switcher.Verdict{Reason: wrong.String()}
	case p.Planned():
		return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf(
			"%s looks well; a cutover watches for %s before each step%s", g.count(streams), longest(streams), remarks)}
	}
	if reason := watching(streams); reason != "" {
		return switcher.Verdict{Reason: reason}
	}
	return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf("%s fresh for %s%s", g.count(streams), longest(streams), remarks)}
}

// watching names a stream that has not been watched for long enough yet.
func watching(streams []*stream) string {
	for _, s := range streams {
		for _, w := range s.watched {
			if since, least, yet := w.trail.Watching(); yet {
				return fmt.Sprintf("%s at %s is watched for %s, since %s (gate_timeout must be longer than that)",
					s.path, w.address, least, since.Format(time.TimeOnly))
			}
		}
	}
	return ""
}

// every is the time between two looks: a quarter of the shortest target duration.
func (g *Gate) every() time.Duration {
	every := mostEvery
	for _, s := range g.streams {
		for _, w := range s.watched {
			if w.target > 0 {
				every = min(every, w.target/4)
			}
		}
	}
	return max(every, leastEvery)
}

func longest(streams []*stream) (d time.Duration) {
	for _, s := range streams {
		d = max(d, s.longest())
	}
	return d
}

// count says how much is watched.
func (g *Gate) count(streams []*stream) string {
	upstreams, tracks := 0, 0
	for _, s := range streams {
		upstreams = len(s.watched)
		for _, w := range s.watched {
			tracks += w.tracks
		}
	}
	return fmt.Sprintf("%s at %d upstreams, %d playlists,", line(strings.Join(g.Paths, ", ")), upstreams, tracks)
}

var _ switcher.Gate = (*Gate)(nil)
