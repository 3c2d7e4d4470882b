package cmcd

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// ContentType is that of a posted body of events (CTA-5004-B, event mode).
const ContentType = "application/cmcd"

// Bounds of a body of events.
const (
	MaxEvents     = 200
	MaxEventsBody = 64 << 10 // bytes
)

// ErrEvents is what ParseEvents returns for a body beyond its bounds.
var ErrEvents = errors.New("a body of CMCD events is longer than 64 KiB or 200 lines; players send fewer at a time")

// ParseEvents reads a body of events: a dictionary on each line. It counts the
// lines that Parse refuses as invalid. A body that is too long, or cannot be
// read to its end, is refused whole.
func ParseEvents(body io.Reader) (reports []Report, invalid int, err error) {
	b, err := io.ReadAll(io.LimitReader(body, MaxEventsBody+1))
	if err != nil {
		return nil, 0, fmt.Errorf("reading a body of CMCD events: %w", err)
	}
	if len(b) > MaxEventsBody {
		return nil, 0, ErrEvents
	}
	lines := 0
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if lines++; lines > MaxEvents {
			return nil, 0, ErrEvents
		}
		report, err := Parse(line)
		if err != nil {
			invalid++
			continue
		}
		reports = append(reports, report)
	}
	return reports, invalid, nil
}
