package cli

import (
	"fmt"
	"io"
	"strings"
)

// screen redraws a block of lines in place, below what was printed before.
// The zero value cannot be used: size must be set.
type screen struct {
	w     io.Writer
	color bool
	// size of the terminal in cells, as it is now.
	size func() (width, height int)
	// full: the block is all there is on the terminal, which is in raw mode
	// and does not turn a line feed into a new line.
	full bool

	rows   int // on the screen now
	hidden bool
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	altOn      = "\x1b[?1049h\x1b[H"
	altOff     = "\x1b[?1049l"
	clearDown  = "\r\x1b[J" // from the start of this line
	clearLine  = "\x1b[K"   // to the end of this line
)

// draw replaces the block. A line that is longer than the terminal is wide is
// cut, and a block that is higher too, since one that wraps or scrolls could
// not be found again.
func (s *screen) draw(lines []line) {
	width, height := s.size()
	lines = lines[:min(len(lines), max(height-1, 1))]
	newline := "\n"
	if s.full {
		newline = "\r\n"
	}
	var b strings.Builder
	if !s.hidden {
		b.WriteString(hideCursor)
		s.hidden = true
	}
	b.WriteString(s.up())
	p := paper{width: max(width, 1), color: s.color}
	for _, l := range lines {
		b.WriteString(p.render(l) + clearLine + newline)
	}
	b.WriteString(clearDown)
	s.rows = len(lines)
	_, _ = io.WriteString(s.w, b.String())
}

// up moves to the first line of the block.
func (s *screen) up() string {
	if s.full {
		return "\x1b[H"
	}
	if s.rows == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", s.rows)
}

// erase takes the block away, so that lines can be printed in its place.
func (s *screen) erase() {
	if s.rows > 0 {
		_, _ = io.WriteString(s.w, s.up()+clearDown)
		s.rows = 0
	}
}

// close takes the block away and gives the cursor back.
func (s *screen) close() {
	s.erase()
	if s.hidden {
		s.hidden = false
		_, _ = io.WriteString(s.w, showCursor)
	}
}
