package cli

import (
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// progress renders how far the move under way on v has come: what it waits
// for, and for how long. Of a service at rest it is empty.
func progress(v *switcher.ServiceView, now time.Time) []line {
	c := v.Cutover
	if c == nil {
		return nil
	}
	var lines []line
	if c.Ending != "" {
		lines = append(lines, label("undone").add(warn, "%s: %s", c.Ending, c.Detail))
	}
	switch {
	case c.Draining != nil:
		if l := heldLine(c.Draining, now); l != nil {
			lines = append(lines, l)
		}
		return append(lines, drainLine(c.Draining, now))
	case c.Held != nil:
		lines = append(lines, label("held").add(warn, "at step %d of %d%s", c.Step, len(c.Ramp)+1, byWhom(c.Held.By)).add(plain, ": %s", c.Held.Reason))
	case v.Lock != nil:
		lines = append(lines, label("locked").add(warn, "stands still%s: %s", byWhom(v.Lock.By), v.Lock.Reason))
	case !c.NextStep.IsZero() && c.NextStep.After(now):
		lines = append(lines, label("step").add(plain, "%d of %d, next in %s", c.Step, len(c.Ramp)+1, short(c.NextStep.Sub(now))))
	}
	return append(lines, gateLines(c, now)...)
}

// comparisonLines show how the target of a ramp does, or did, beside the other color.
func comparisonLines(service string, c *switcher.CutoverView) (lines []line) {
	for _, of := range c.Compared {
		if of.Service != service {
			continue
		}
		for _, f := range of.Findings {
			s := map[compare.State]style{compare.NoWorse: good, compare.Worse: bad}[f.State]
			lines = append(lines, label("compared").add(s, "%s", f.State.Words()).
				add(plain, ": %s", f.Brief(c.From.String(), c.To.String())))
		}
	}
	return lines
}

func drainLine(d *switcher.DrainView, now time.Time) line {
	return label("drain").join(line{inked(d.Color), {plain, " "}}).
		join(doneBar(d.Initial-d.Inflight, d.Initial, 20)).
		add(plain, " %d of %d in-flight%s", d.Inflight, d.Initial, drainTimes(d, now))
}

// leftLine is what the drain of a move waits for, if it is in one.
func leftLine(c *switcher.CutoverView, now time.Time) line {
	if c.Draining == nil {
		return nil
	}
	return kindsLine(c.Draining, now)
}

// gateLines show the gates, while some keep the move waiting.
func gateLines(c *switcher.CutoverView, now time.Time) (lines []line) {
	if closedGate(c.Gates) == "" {
		return nil
	}
	for _, g := range c.Gates {
		lines = append(lines, label("gate").join(verdictLine(g)))
	}
	if !c.WaitsUntil.IsZero() {
		lines = append(lines, label("").add(dim, "gives up in %s", short(c.WaitsUntil.Sub(now))))
	}
	return lines
}

// verdictLine shows what one gate says.
func verdictLine(g switcher.Verdict) line {
	s := map[switcher.Decision]style{switcher.Pass: good, switcher.Refuse: bad}[g.Decision]
	if s == plain {
		s = warn
	}
	l := line{}.add(s, "%-6s", g.Decision).add(plain, " %s", g.Gate)
	if g.Service != "" {
		l = l.add(plain, " of %s", g.Service)
	}
	return l.add(plain, ": %s", g.Reason)
}

// liveMove renders the move that a command waits for, to be redrawn.
func liveMove(views []switcher.ServiceView, id string, since time.Duration, now time.Time) []line {
	var members []*switcher.ServiceView
	for i := range views {
		if c := views[i].Cutover; c != nil && c.ID == id {
			members = append(members, &views[i])
		}
	}
	if len(members) == 0 {
		return nil
	}
	c := members[0].Cutover
	head := line{{bold, string(c.Kind)}}.add(plain, " %s ", id).join(line{inked(c.From), {plain, " → "}, inked(c.To)})
	rows := make([][]line, len(members))
	for i, v := range members {
		rows[i] = []line{
			say("  %-8s", cut(clean(v.Name), 24)), {{phaseStyle(v.Phase), v.Phase.String()}},
			splitBar(v.Split, 20).add(plain, " %s", v.Split),
		}
	}
	lines := append([]line{head.add(plain, ", %s", short(since.Truncate(time.Second)))}, grid(rows)...)
	lines = append(lines, progress(members[0], now)...) // one move, one progress
	if l := leftLine(c, now); l != nil {
		lines = append(lines, l)
	}
	return lines
}
