package cli

import (
	"fmt"
	"io"
	"strings"
)

// style is how a span looks on a terminal with colors. The zero value is
// plain.
type style uint8

const (
	plain style = iota
	bold
	dim
	blueInk
	greenInk
	good
	warn
	bad
)

// ansi holds the escape sequence of each style.
var ansi = [...]string{
	bold: "\x1b[1m", dim: "\x1b[2m", blueInk: "\x1b[94m", greenInk: "\x1b[32m",
	good: "\x1b[32m", warn: "\x1b[33m", bad: "\x1b[31m",
}

const ansiOff = "\x1b[0m"

// span is text in one style. The text may come from anywhere: it is made safe
// when it is printed.
type span struct {
	style style
	text  string
}

// line is one line of output.
type line []span

// say makes a plain line.
func say(format string, args ...any) line { return line{{plain, fmt.Sprintf(format, args...)}} }

// add appends text in a style.
func (l line) add(s style, format string, args ...any) line {
	return append(l, span{s, fmt.Sprintf(format, args...)})
}

// width is the number of cells that l takes.
func (l line) width() (n int) {
	for _, s := range l {
		n += cells(clean(s.text))
	}
	return n
}

// pad fills l with blanks up to width.
func (l line) pad(width int) line {
	return l.add(plain, "%s", strings.Repeat(" ", max(0, width-l.width())))
}

// paper is what lines are printed on.
type paper struct {
	// width in cells to cut lines at; 0 cuts nothing.
	width int
	// color allows styles.
	color bool
}

// minWidth is the least width that renderings are made for: where nothing is
// redrawn, a narrower terminal wraps.
const minWidth = 60

// render returns l as it is printed, without a line break.
func (p paper) render(l line) string {
	var b strings.Builder
	left := p.width
	overflow := p.width > 0 && l.width() > left
	for _, s := range l {
		text := clean(s.text)
		if overflow && cells(text) >= left {
			text, left = cut(text+" ", left), 0 // the blank makes cut mark the end
		} else {
			left -= cells(text)
		}
		if text == "" {
			continue
		}
		if p.color && s.style != plain {
			text = ansi[s.style] + text + ansiOff
		}
		b.WriteString(text)
	}
	return strings.TrimRight(b.String(), " ")
}

// print writes lines; an error of the terminal is nobody's to handle.
func (p paper) print(w io.Writer, lines ...line) {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(p.render(l) + "\n")
	}
	_, _ = io.WriteString(w, b.String())
}

// grid lines up cells in columns, two blanks apart.
func grid(rows [][]line) []line {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], cell.width())
		}
	}
	lines := make([]line, len(rows))
	for y, row := range rows {
		for i, cell := range row {
			if i < len(row)-1 {
				cell = cell.pad(widths[i] + 2)
			}
			lines[y] = append(lines[y], cell...)
		}
	}
	return lines
}
