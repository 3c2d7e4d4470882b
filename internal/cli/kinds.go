package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// kindCounts is half a line: how many there are of each kind.
func kindCounts(d *switcher.DrainView) string {
	var counts []string
	for _, c := range d.Streams {
		counts = append(counts, fmt.Sprintf("%s %d", c.Kind, c.Count))
	}
	return inBrackets(counts)
}

// inBrackets is a list after what it belongs to; of nothing it is empty.
func inBrackets(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// kindText is what a drain waits for of one kind, and until when.
func kindText(c switcher.StreamCount, now time.Time) string {
	text := fmt.Sprintf("%s %d", c.Kind, c.Count)
	if !c.Oldest.IsZero() {
		text += ", oldest " + short(now.Sub(c.Oldest))
	}
	switch {
	case c.Deadline.IsZero():
	case c.Deadline.After(now):
		text += ", cut in " + short(c.Deadline.Sub(now))
	default:
		text += ", past its deadline"
	}
	if c.ETA.After(now) {
		text += ", gone in ~" + short(c.ETA.Sub(now))
	}
	if c.Ending > 0 {
		text += fmt.Sprintf(", ending %d", c.Ending)
	}
	return text
}

// kindLines are what a drain waits for, a line for each kind.
func kindLines(d *switcher.DrainView, now time.Time) (lines []line) {
	for _, c := range d.Streams {
		lines = append(lines, label("").add(plain, "%s", kindText(c, now)))
	}
	return lines
}

// kindsLine is the same in one line; of nothing it is nil.
func kindsLine(d *switcher.DrainView, now time.Time) line {
	var texts []string
	for _, c := range d.Streams {
		texts = append(texts, kindText(c, now))
	}
	if len(texts) == 0 {
		return nil
	}
	return label("left").add(plain, "%s", strings.Join(texts, "; "))
}

// heldLine says which sessions may still come to the color that drains; where
// none may it is nil.
func heldLine(d *switcher.DrainView, now time.Time) line {
	h := d.Held
	if h == nil {
		return nil
	}
	l := label("pins").add(plain, "%s pinned to ", sessions(h.Sessions)).join(line{inked(d.Color)})
	if !h.Oldest.IsZero() {
		l = l.add(plain, ", oldest %s", short(now.Sub(h.Oldest)))
	}
	return l.add(plain, ", until %s at most", h.Until.In(now.Location()).Format("15:04:05")).add(dim, " (in %s)", short(h.Until.Sub(now)))
}

func sessions(n int64) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}

// drainTimes says when a drain will be over.
func drainTimes(d *switcher.DrainView, now time.Time) string {
	var s string
	if d.Inflight > 0 && !d.ETA.IsZero() {
		s += ", about " + short(d.ETA.Sub(now)) + " left"
	}
	switch first, last := cutTimes(d); {
	case d.Inflight == 0 || last.IsZero():
	case first.Equal(last):
		s += ", cut in " + short(last.Sub(now))
	case first.After(now):
		s += ", cut in " + short(first.Sub(now)) + " to " + short(last.Sub(now))
	default:
		s += ", the last cut in " + short(last.Sub(now))
	}
	if d.Evicted > 0 {
		s += fmt.Sprintf(", %d cut", d.Evicted)
	}
	return s
}

// cutTimes are the first and the last deadline of what is left.
func cutTimes(d *switcher.DrainView) (first, last time.Time) {
	for _, c := range d.Streams {
		switch {
		case c.Deadline.IsZero():
			continue
		case first.IsZero():
			first, last = c.Deadline, c.Deadline
		case c.Deadline.Before(first):
			first = c.Deadline
		case c.Deadline.After(last):
			last = c.Deadline
		}
	}
	if first.IsZero() {
		return d.Deadline, d.Deadline
	}
	return first, last
}
