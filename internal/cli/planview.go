package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// planLines renders what a cutover would do, step by step, and whether it
// would go through now.
func planLines(p *switcher.Plan) []line {
	lines := []line{line{{bold, "plan"}}.add(plain, ": %s from ", strings.Join(p.Services, ", ")).
		join(line{inked(p.From), {plain, " to "}, inked(p.To)})}
	n := 0
	step := func(format string, args ...any) line {
		n++
		return say("  %d. ", n).add(plain, format, args...)
	}
	if len(p.Gates) == 0 {
		lines = append(lines, step("no gates to ask"))
	} else {
		lines = append(lines, step("ask the gates, for at most %s, before each step:", short(time.Duration(p.GateTimeout))))
	}
	for _, g := range p.Gates {
		lines = append(lines, say("     ").join(verdictLine(g)))
	}
	for _, s := range p.Ramp {
		lines = append(lines, step("give ").join(line{inked(p.To)}).add(plain, " %d%%%s", s.Weight, holdOf(s)))
	}
	for _, c := range p.Compare {
		lines = append(lines, say("     compare the colors meanwhile; %s", c))
	}
	if len(p.Ramp) > 0 {
		lines = append(lines, say("     if a gate closes on the way, or ").join(line{inked(p.To)}).add(plain, " fails or does worse: %s", onFailure(p.OnFailure)))
	}
	flip := step("flip: give ").join(line{inked(p.To)}).add(plain, " 100%%")
	switch {
	case p.Pinned == 0:
	case p.Pins == switcher.PinsDrop:
		flip = flip.add(plain, ", %s along with it", sessions(p.Pinned))
	default:
		flip = flip.add(plain, "; %s stay on ", sessions(p.Pinned)).join(line{inked(p.From)}).
			add(plain, " while they live, for at most %s", short(time.Duration(p.PinDeadline)))
	}
	lines = append(lines, flip,
		step("drain ").join(line{inked(p.From)}).add(plain, ": %d in-flight now; what is left after %s%s is cut",
			p.Inflight, short(time.Duration(p.DrainTimeout)), sayDeadlines(p.Deadlines)))
	if p.RollbackWindow > 0 {
		lines = append(lines, say("     a rollback is reckoned with for %s after the flip", short(time.Duration(p.RollbackWindow))))
	}
	if len(p.Blocked) == 0 {
		return append(lines, line{{good, "It would go through now."}})
	}
	lines = append(lines, line{{bad, "It would not go through now:"}})
	for _, b := range p.Blocked {
		lines = append(lines, say("  - %s", b))
	}
	return lines
}

// onFailure says what a failure policy does.
func onFailure(p switcher.FailurePolicy) string {
	switch p.OrDefault() {
	case switcher.OnFailureFreeze:
		return "stay at the weight, until somebody resumes or goes back (freeze)"
	case switcher.OnFailureForwardOnly:
		return "stay at the weight, and go on when that is mended (forward_only)"
	}
	return "all traffic goes back at once (rollback)"
}

func holdOf(s switcher.Step) string {
	switch s.Hold {
	case switcher.UntilResumed:
		return ", until somebody says resume"
	case 0:
		return ", and go on as soon as the gates allow"
	}
	return fmt.Sprintf(", for %s", short(s.Hold))
}

// historyLines renders moves, newest first, with what there is to say of each
// below it.
func historyLines(moves []switcher.Move) []line {
	if len(moves) == 0 {
		return []line{say("nothing has moved yet")}
	}
	rows := [][]line{headings("ENDED", "MOVE", "TO", "RESULT", "GEN", "TOOK", "CUT", "BY")}
	for i := range moves {
		rows = append(rows, historyRow(&moves[i]))
	}
	table := grid(rows)
	lines := []line{table[0]}
	for i := range moves {
		m := &moves[i]
		lines = append(lines, table[i+1])
		if m.Reason != "" {
			lines = append(lines, line{{dim, "  reason  "}, {plain, m.Reason}})
		}
		if m.Detail != "" {
			lines = append(lines, line{{dim, "  detail  "}, {plain, m.Detail}})
		}
	}
	return lines
}

func historyRow(m *switcher.Move) []line {
	to := say("-")
	if m.To.Valid() {
		to = line{inked(m.To)}
	}
	return []line{
		say("%s", m.Ended.Local().Format("2006-01-02 15:04:05")),
		say("%s", m.Kind),
		to,
		{{resultStyle(m.Result), string(m.Result)}},
		say("%d", m.Generation),
		say("%s", short(m.Ended.Sub(m.Started))),
		say("%d", m.Evicted),
		say("%s", m.By),
	}
}
