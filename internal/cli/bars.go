package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// inkOf is the style of a color's own name and bar.
func inkOf(c switcher.Color) style {
	if c == switcher.Green {
		return greenInk
	}
	return blueInk
}

// inked is the name of a color in its ink.
func inked(c switcher.Color) span { return span{inkOf(c), c.String()} }

// splitBar draws a split in width cells: blue full, green shaded, so that it
// can be read without colors. Who takes any traffic has at least one cell.
func splitBar(s switcher.Split, width int) line {
	blue := (int(s.Blue)*width + 50) / 100
	if s.Blue > 0 {
		blue = max(blue, 1)
	}
	if s.Green > 0 {
		blue = min(blue, width-1)
	}
	return line{{blueInk, strings.Repeat("█", blue)}, {greenInk, strings.Repeat("░", width-blue)}}
}

// doneBar draws how much of total is done.
func doneBar(done, total int64, width int) line {
	full := width
	if total > 0 {
		full = int(min(max(done, 0), total) * int64(width) / total)
	}
	return line{{good, strings.Repeat("■", full)}, {dim, strings.Repeat("·", width-full)}}
}

// short writes a duration as a person would say it: two units at most.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return trimZero(d.Round(time.Second).String(), "m0s", "m")
	case d < 48*time.Hour:
		return trimZero(trimZero(d.Round(time.Minute).String(), "m0s", "m"), "h0m", "h")
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

func trimZero(s, end, with string) string {
	if t, ok := strings.CutSuffix(s, end); ok {
		return t + with
	}
	return s
}

// bytesize writes a number of bytes as a person would say it.
func bytesize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	size, unit := float64(n), -1
	for size >= 1023.95 && unit < len(byteUnits)-1 { // what is below is printed below 1024
		size, unit = size/1024, unit+1
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " " + byteUnits[unit]
}

var byteUnits = [...]string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// ago is how long before now t was, "never" for no time.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return short(now.Sub(t)) + " ago"
}
