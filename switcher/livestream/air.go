package livestream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/healthcheck/hls"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Limits of looks at the color on air. Together they and lookFor are less than
// gates are given for a round.
const (
	maxOnAir   = 8                       // upstreams that are tried: the first healthy ones
	onAirFor   = 2500 * time.Millisecond // at one of them
	onAirUntil = 3 * time.Second         // in a round another one is tried
)

// air is one stream of the color that loses traffic.
type air struct {
	turn  int  // of the upstream that is looked at next
	whole bool // one showed the stream whole in this round
	// By address, the tries since one did; and when the first of them was.
	failed map[string]flaw
	since  time.Time
}

// flaw is why an upstream's stream is nothing to compare with, or not all of it.
type flaw struct {
	why     string
	missing bool // it says that it has none
}

// onAir are the upstreams of the color on air that may be looked at.
func onAir(p switcher.GateInput) []switcher.UpstreamState {
	list := p.Healthy(p.From)
	return list[:min(len(list), maxOnAir)]
}

// look looks at the stream at one upstream after the other, until one shows it
// whole, beginning with the one that did so last. Without any it returns the look
// that shows the most of it, or nil; whose turn it was not yet is tried in the
// next round.
func (a *air) look(ctx context.Context, l *hls.Looker, p switcher.GateInput) (best *hls.Look) {
	list, began := onAir(p), time.Now()
	a.whole = false
	for range list {
		if time.Since(began) >= onAirUntil || ctx.Err() != nil {
			break
		}
		address := list[a.turn%len(list)].Address
		look, within := lookFrom(ctx, l, address, p.Now)
		if !within {
			break // the round is over: that says nothing of the upstream
		}
		f := flawOf(&look)
		if f == (flaw{}) {
			a.whole, a.failed = true, nil
			return &look
		}
		if a.failed == nil {
			a.failed, a.since = make(map[string]flaw), p.Now
		}
		a.failed[address] = f
		a.turn++
		if look.Err == "" && (best == nil || readable(&look) > readable(best)) {
			best = &look
		}
	}
	return best
}

func lookFrom(ctx context.Context, l *hls.Looker, address string, now time.Time) (look hls.Look, within bool) {
	short, cancel := context.WithTimeout(ctx, onAirFor)
	defer cancel()
	look = l.Look(short, address, now, false)
	return look, ctx.Err() == nil
}

func flawOf(l *hls.Look) flaw {
	if l.Err != "" {
		return flaw{line(l.Err), l.Missing}
	}
	for i := range l.Tracks {
		if t := &l.Tracks[i]; t.Err != "" {
			return flaw{line(t.URI + ": " + t.Err), false}
		}
	}
	return flaw{}
}

func readable(l *hls.Look) (n int) {
	for i := range l.Tracks {
		if l.Tracks[i].Err == "" {
			n++
		}
	}
	return n
}

// silence says why there is nothing to compare a stream with, or not all of it;
// nothing where there is. It is settled if that is no obstacle: nobody has the
// stream, or nobody has shown it for as long as the target's is watched.
func (a *air) silence(p switcher.GateInput, watch time.Duration) (why string, settled bool) {
	list := onAir(p)
	switch {
	case len(list) == 0:
		return fmt.Sprintf("%s has no healthy upstream", p.From), true
	case a.whole:
		return "", false
	}
	missing, first := 0, "there was no time to ask"
	settled = watch > 0 && p.Now.Sub(a.since) >= watch
	for _, u := range slices.Backward(list) {
		f, tried := a.failed[u.Address]
		if !tried {
			settled = false
			continue
		}
		first = u.Address + ": " + f.why
		if f.missing {
			missing++
		}
	}
	if missing == len(list) {
		return fmt.Sprintf("none of %d healthy upstreams of %s has it (404)", len(list), p.From), true
	}
	return fmt.Sprintf("none of %d healthy upstreams of %s shows it whole (%s)", len(list), p.From, first), settled
}
