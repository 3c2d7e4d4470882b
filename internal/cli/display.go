package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// quiet is the display of --json: only the outcome counts.
type quiet struct{}

func (quiet) event(switcher.Event)         {}
func (quiet) views([]switcher.ServiceView) {}
func (quiet) note(line)                    {}
func (quiet) pace() time.Duration          { return 5 * time.Second }
func (quiet) close()                       {}

// teletype shows a move as lines, one for each event, timed from the start of
// the command.
type teletype struct {
	w     io.Writer
	paper paper
	start time.Time

	drainSaid time.Time // when the last drain line was printed
}

// drainEvery is how often a teletype says how far a drain has come.
const drainEvery = 10 * time.Second

func (t *teletype) stamp(at time.Time) span {
	return span{dim, fmt.Sprintf("+%.1fs ", max(0, at.Sub(t.start).Seconds()))}
}

func (t *teletype) event(e switcher.Event) {
	t.paper.print(t.w, append(line{t.stamp(e.At)}, eventText(e)...))
}

func (t *teletype) note(l line) {
	t.paper.print(t.w, append(line{t.stamp(time.Now())}, l...))
}

func (t *teletype) views(views []switcher.ServiceView) {
	now := time.Now()
	if t.drainSaid.IsZero() {
		t.drainSaid = now
	}
	if now.Sub(t.drainSaid) < drainEvery {
		return
	}
	for i := range views {
		if c := views[i].Cutover; c != nil && c.Draining != nil {
			t.drainSaid = now
			if l := heldLine(c.Draining, now); l != nil {
				t.note(l)
			}
			t.note(drainLine(c.Draining, now))
			if l := leftLine(c, now); l != nil {
				t.note(l)
			}
			return // one move, one drain
		}
	}
}

func (*teletype) pace() time.Duration { return 5 * time.Second }
func (*teletype) close()              {}

// eventText says what an event is about.
func eventText(e switcher.Event) line {
	l := line{{bold, e.Service}, {plain, ": "}}
	if e.Service == "" {
		l = nil
	}
	switch e.Type {
	case switcher.EventSplit:
		return l.join(splitBar(e.Split, 10)).add(plain, " %s", e.Detail)
	case switcher.EventEnd:
		l = l.add(plain, "%s ", e.Kind).add(resultStyle(e.Result), "%s", e.Result).add(plain, " in %s", short(time.Duration(e.Took)))
		if e.Detail != "" {
			l = l.add(plain, ": %s", e.Detail)
		}
		return l
	case switcher.EventLost:
		return line{{warn, "some events were lost: too many at once"}}
	case switcher.EventHealth, switcher.EventPools, switcher.EventSource:
		l = l.add(dim, "%s ", e.Type)
		if e.Color.Valid() {
			l = append(l, inked(e.Color), span{plain, " "})
		}
	case switcher.EventHold:
		return l.add(plain, "%s%s", e.Detail, byWhom(e.By))
	}
	if e.Detail == "" {
		return l.add(plain, "%s", e.Type)
	}
	return l.add(plain, "%s", e.Detail)
}

// stage shows a move on a terminal: what has happened as lines that stay, and
// below them how far it has come, redrawn in place.
type stage struct {
	teletype
	id     string
	screen screen
	last   []switcher.ServiceView
}

func (s *stage) event(e switcher.Event) {
	s.screen.erase()
	s.teletype.event(e)
	s.redraw()
}

func (s *stage) note(l line) {
	s.screen.erase()
	s.teletype.note(l)
	s.redraw()
}

func (s *stage) views(views []switcher.ServiceView) {
	s.last = views
	s.redraw()
}

func (s *stage) redraw() {
	now := time.Now()
	s.screen.draw(liveMove(s.last, s.id, now.Sub(s.start), now))
}

func (*stage) pace() time.Duration { return 250 * time.Millisecond }
func (s *stage) close()            { s.screen.close() }
