package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// details renders all that is known of one service.
func details(v *switcher.ServiceView, now time.Time) []line {
	lines := []line{
		line{{bold, v.Name}}.add(plain, "  ").add(phaseStyle(v.Phase), "%s", v.Phase).add(plain, ", generation %d", v.Generation),
		label("split").join(splitBar(v.Split, 20)).add(plain, " %s", v.Split),
	}
	if v.Lock != nil {
		lines = append(lines, label("lock").add(warn, "locked").add(plain, " by %s %s: %s", v.Lock.By, ago(v.Lock.At, now), v.Lock.Reason))
	}
	if v.Cutover != nil {
		lines = append(lines, moveLines(v.Cutover)...)
		lines = append(lines, progress(v, now)...)
		lines = append(lines, comparisonLines(v.Name, v.Cutover)...)
		if d := v.Cutover.Draining; d != nil {
			lines = append(lines, kindLines(d, now)...)
		}
	}
	for _, c := range switcher.Colors {
		lines = append(lines, poolLines(c, v.Pool(c), now)...)
	}
	if p := v.Pins; p != nil {
		lines = append(lines, label("pins").add(plain, "at most %d, %s idle, %d moved", p.Max, short(time.Duration(p.Idle)), p.Moved).
			add(refusedStyle(p.Refused), ", %d refused", p.Refused))
	}
	if v.MediaLeak != nil {
		lines = append(lines, leakLines(v.MediaLeak, now)...)
	}
	lines = append(lines, label("source").add(plain, "%s", source(v.Source, now)))
	for _, n := range v.Source.Notes {
		lines = append(lines, label("").add(warn, "%s", n))
	}
	if v.Last != nil {
		lines = append(lines, label("last").join(moveSummary(v.Last, now)))
	}
	if v.Previous.Valid() {
		l := label("rollback").add(plain, "goes to ").join(line{inked(v.Previous)})
		if w := v.RollbackWindow; w != nil {
			l = l.add(plain, "; window %s: %s", w.State, w.Reason)
		}
		lines = append(lines, l)
	}
	for _, w := range v.Warnings {
		lines = append(lines, label("warning").add(bad, "%s", w))
	}
	return lines
}

// refusedStyle warns of sessions that found no room.
func refusedStyle(n uint64) style {
	if n > 0 {
		return warn
	}
	return plain
}

// label starts a line of details.
func label(name string) line { return line{{dim, fmt.Sprintf("  %-9s ", name)}} }

// moveLines describe the move under way.
func moveLines(c *switcher.CutoverView) []line {
	l := label("move").add(plain, "%s %s of %s: ", c.Kind, c.ID, strings.Join(c.Services, ", ")).
		join(line{inked(c.From), {plain, " → "}, inked(c.To)}).add(plain, "%s", byWhom(c.By))
	if c.Reason != "" {
		l = l.add(plain, ": %s", c.Reason)
	}
	lines := []line{l}
	if len(c.Ramp) > 0 {
		lines = append(lines, label("").add(plain, "ramp %s, gate timeout %s, drain timeout %s%s", c.Ramp,
			short(time.Duration(c.GateTimeout)), short(time.Duration(c.DrainTimeout)), sayDeadlines(c.Deadlines)))
		if c.OnFailure.OrDefault() != switcher.OnFailureRollback {
			lines = append(lines, label("").add(plain, "if a gate closes or it fails: %s", onFailure(c.OnFailure)))
		}
	}
	return lines
}

func poolLines(c switcher.Color, p *switcher.PoolView, now time.Time) []line {
	head := line{{inkOf(c), fmt.Sprintf("  %-9s ", c)}}.add(plain, "%s, %d%%, ", p.Role, p.Weight).
		join(healthy(p.PoolHealth)).add(plain, " healthy, %d in-flight", p.Inflight)
	if p.Pinned > 0 {
		head = head.add(plain, ", %s pinned", sessions(p.Pinned))
	}
	if p.SafeToStop {
		head = head.add(good, ", safe to stop")
	} else if p.Role == "idle" {
		head = head.add(warn, ", not safe to stop")
	}
	lines := []line{head}
	for i := range p.Upstreams {
		lines = append(lines, upstreamLines(&p.Upstreams[i], now)...)
	}
	return lines
}

func upstreamLines(u *switcher.UpstreamView, now time.Time) []line {
	l := say("    %s  ", u.Address).join(verdict(u.Health, now))
	if u.EjectedUntil.After(now) {
		l = l.add(warn, ", ejected for %s", short(u.EjectedUntil.Sub(now)))
	}
	l = l.add(plain, "  %d in-flight, weight %d", u.Inflight, max(u.Weight, 1))
	for _, k := range slices.Sorted(maps.Keys(u.Meta)) {
		l = l.add(dim, "  %s=%s", k, u.Meta[k])
	}
	lines := []line{l}
	if u.Reason != "" {
		lines = append(lines, say("      %s", u.Reason))
	}
	for i := range u.Checks {
		lines = append(lines, checkLine(&u.Checks[i], now))
	}
	return lines
}

func verdict(h switcher.Health, now time.Time) line {
	var l line
	switch {
	case !h.Known:
		return line{{dim, "not probed yet"}}
	case h.Healthy:
		l = line{{good, "healthy"}}
	default:
		l = line{{bad, "not healthy"}}
	}
	if !h.Since.IsZero() {
		l = l.add(plain, " for %s", short(now.Sub(h.Since)))
	}
	return l
}

// checkLine shows a check and its latest results, the newest first.
func checkLine(c *switcher.CheckHealth, now time.Time) line {
	l := say("      %s: ", c.Check)
	switch {
	case c.Needed > 0:
		l = l.add(warn, "needs %d more passes", c.Needed)
	case c.Healthy:
		l = l.add(good, "%d passes", c.Passes)
	default:
		l = l.add(bad, "%d fails", c.Fails)
	}
	if c.HeldUntil.After(now) {
		l = l.add(warn, ", held down for %s", short(c.HeldUntil.Sub(now)))
	}
	for i, r := range c.Last {
		if i == 3 {
			break
		}
		s, word := good, "ok"
		if !r.OK {
			s, word = bad, "failed"
		}
		l = l.add(plain, "; ").add(s, "%s", word).add(plain, " in %s %s", short(time.Duration(r.Took)), ago(r.At, now))
		if r.Detail != "" {
			l = l.add(plain, " (%s)", r.Detail)
		}
	}
	return l
}

func source(s switcher.SourceView, now time.Time) string {
	name := s.Name
	if name == "" {
		name = "not named"
	}
	text := name + ", updated " + ago(s.Updated, now)
	switch {
	case s.Remembered:
		text = name + ", remembered from before the edge started"
	case !s.Answered.IsZero():
		text += ", confirmed " + ago(s.Answered, now)
	}
	if s.Error != "" {
		text += fmt.Sprintf(", failing for %s: %s", short(now.Sub(s.ErrorSince)), s.Error)
	}
	return text
}

// moveSummary is one ended move in one line.
func moveSummary(m *switcher.Move, now time.Time) line {
	l := say("%s %s", m.Kind, m.ID)
	if m.To.Valid() {
		l = l.add(plain, " to ").join(line{inked(m.To)})
	}
	l = l.add(plain, ": ").add(resultStyle(m.Result), "%s", m.Result).add(plain, " %s%s", ago(m.Ended, now), byWhom(m.By))
	if m.Evicted > 0 {
		l = l.add(warn, ", %d cut", m.Evicted)
	}
	if m.Detail != "" {
		l = l.add(plain, ": %s", m.Detail)
	}
	return l
}

func resultStyle(r switcher.Result) style {
	if r == switcher.ResultDone {
		return good
	}
	return warn
}
