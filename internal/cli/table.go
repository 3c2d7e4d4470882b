package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// layout is how wide the table may be. The zero value fits any terminal of
// minWidth.
type layout struct {
	name, bar int // cells of the service's name, and of the split
	active    bool
	units     string // after the headings of pairs
}

func layoutFor(width int) layout {
	switch {
	case width <= 0 || width >= 96: // 0: not a terminal
		return layout{name: 24, bar: 10, active: true, units: " b/g"}
	case width >= 78:
		return layout{name: 20, bar: 5, active: true}
	}
	return layout{name: 11, bar: 5}
}

// statusTable renders all services, one row each, with what an operator must
// know of one below its row. The rows fit width; what is below may not.
func statusTable(views []switcher.ServiceView, width int, now time.Time) []line {
	if len(views) == 0 {
		return []line{say("no services are configured")}
	}
	l := layoutFor(width)
	names := []string{"SERVICE", "PHASE", "ACTIVE", "SPLIT" + l.units, "HEALTHY" + l.units, "IN-FLIGHT" + l.units, "GEN"}
	rows := [][]line{l.choose(headings(names...))}
	for i := range views {
		rows = append(rows, l.choose(tableRow(&views[i], l)))
	}
	table := grid(rows)
	lines := []line{table[0]}
	for i := range views {
		lines = append(lines, table[i+1])
		lines = append(lines, notes(&views[i], now)...)
	}
	return lines
}

// choose leaves out the column that there may be no room for.
func (l layout) choose(row []line) []line {
	if l.active {
		return row
	}
	return slices.Delete(row, 2, 3)
}

func headings(names ...string) (row []line) {
	for _, n := range names {
		row = append(row, line{{dim, n}})
	}
	return row
}

func tableRow(v *switcher.ServiceView, l layout) []line {
	return []line{
		{{bold, cut(clean(v.Name), l.name)}},
		{{phaseStyle(v.Phase), v.Phase.String()}},
		{inked(v.Active)},
		splitBar(v.Split, l.bar).add(plain, " %d/%d", v.Split.Blue, v.Split.Green),
		healthy(v.Blue.PoolHealth).add(plain, " ").join(healthy(v.Green.PoolHealth)),
		say("%d %d", v.Blue.Inflight, v.Green.Inflight),
		say("%d", v.Generation),
	}
}

func (l line) join(other line) line { return append(l, other...) }

func phaseStyle(p switcher.Phase) style {
	if p == switcher.Steady {
		return plain
	}
	return warn
}

// healthy is "2/3", loud when some are missing.
func healthy(h switcher.PoolHealth) line {
	s := good
	switch {
	case h.Total == 0:
		s = dim
	case h.Healthy == 0:
		s = bad
	case h.Healthy < h.Total:
		s = warn
	}
	return line{{s, fmt.Sprintf("%d/%d", h.Healthy, h.Total)}}
}

// notes are what stands below a service's row.
func notes(v *switcher.ServiceView, now time.Time) (lines []line) {
	if l := v.Lock; l != nil {
		lines = append(lines, line{{warn, "  locked"}, {plain, fmt.Sprintf(" by %s %s: %s", l.By, ago(l.At, now), l.Reason)}})
	}
	if c := v.Cutover; c != nil {
		lines = append(lines, line{{warn, "  " + string(c.Kind)}}.join(moving(v, now)))
	}
	if v.MediaLeak != nil {
		lines = append(lines, line{{warn, "  media"}, {plain, " " + leakText(v.MediaLeak, now)}})
	}
	for _, w := range v.Warnings {
		lines = append(lines, line{{bad, "  warning"}, {plain, " " + w}})
	}
	return lines
}

// moving says in half a line what the move under way is at.
func moving(v *switcher.ServiceView, now time.Time) line {
	c := v.Cutover
	l := say(" to ").join(line{inked(c.To)})
	switch {
	case c.Ending != "":
		return l.add(warn, " is undone (%s): %s", c.Ending, c.Detail)
	case c.Held != nil:
		return l.add(plain, " held%s: %s", byWhom(c.Held.By), c.Held.Reason)
	case v.Lock != nil && v.Phase != switcher.Draining:
		return l.add(plain, " stands still under the lock")
	case c.Draining != nil:
		return l.add(plain, " drains %s: %d in-flight%s%s", c.Draining.Color, c.Draining.Inflight,
			kindCounts(c.Draining), drainTimes(c.Draining, now))
	case closedGate(c.Gates) != "":
		return l.add(plain, " waits for %s", closedGate(c.Gates))
	case !c.NextStep.IsZero():
		return l.add(plain, " step %d of %d, next in %s", c.Step, len(c.Ramp)+1, short(c.NextStep.Sub(now)))
	}
	return l.add(plain, " is %s", v.Phase)
}

func byWhom(by string) string {
	if by == "" {
		return ""
	}
	return " by " + by
}

// closedGate names the first gate that is not open, and why.
func closedGate(gates []switcher.Verdict) string {
	for _, g := range gates {
		if g.Decision != switcher.Pass {
			return g.String()
		}
	}
	return ""
}
