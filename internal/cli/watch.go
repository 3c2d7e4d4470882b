package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func watchCommand() command {
	return command{
		name: "watch", usage: "[service...] [--json]",
		short: "Follows the services live",
		long: `
Shows the services live on a terminal: the table of status, moves with their
progress, the oldest streams that drains wait for, and the latest events. q or
Ctrl-C quits.

Piped, it prints one line for each event; with --json one JSON object for each
event. It stays when the edge restarts, and goes on once it is back.`,
		example:   "  $ greenroom watch\n  $ greenroom watch app\n  $ greenroom watch --json | jq -c 'select(.type==\"end\")'",
		timeoutIs: "How long to watch, as 10m; 0 watches until you quit",
		setup:     func(*cobra.Command) action { return watch },
	}
}

func watch(ctx context.Context, s *session, names []string) (report, error) {
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	ctx, quit := context.WithCancel(ctx)
	feed, over := newFeed(s.edge, names), make(chan struct{})
	go func() { feed.run(ctx); close(over) }()
	defer func() { quit(); <-over }()
	views, err := feed.greet(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return report{}, nil // told to stop before it began
		}
		return report{}, err
	}
	if file, ok := s.live(); ok {
		restore := s.keys(ctx, quit)
		defer restore()
		s.watchLive(ctx, feed, newBoard(views, names), file)
		return report{}, nil
	}
	return report{}, s.watchLines(ctx, feed)
}

// watchLines prints events until ctx ends or nobody reads on.
func (s *session) watchLines(ctx context.Context, feed *feed) error {
	p := s.paper(s.out)
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-feed.updates:
			switch {
			case u.down != nil:
				s.paper(s.errs).print(s.errs, say("the event stream broke, asking again: %s", u.down))
			case u.Hello != nil:
			case s.json:
				if err := printJSON(s.out, u.Event, nil); err != nil {
					return err
				}
			default:
				stamp := span{dim, u.Event.At.Local().Format("2006-01-02T15:04:05.000Z07:00 ")}
				p.print(s.out, append(line{stamp}, eventText(u.Event)...))
			}
		}
	}
}

// watchLive redraws the board on each event, and each second.
func (s *session) watchLive(ctx context.Context, feed *feed, b *board, file *os.File) {
	screen := screen{w: s.out, color: colorful(), full: true, size: func() (int, int) { return sizeOf(file) }}
	_, _ = fmt.Fprint(s.out, altOn)
	defer func() { screen.close(); _, _ = fmt.Fprint(s.out, altOff) }()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		width, height := screen.size()
		screen.draw(b.lines(width, height, time.Now()))
		select {
		case <-ctx.Done():
			return
		case u := <-feed.updates:
			b.take(u)
		case <-ticker.C:
		}
		if len(feed.updates) == 0 {
			b.look(ctx, s)
		}
	}
}

// board is what a live watch shows.
type board struct {
	names  []string // none: all
	views  []switcher.ServiceView
	events []switcher.Event // the latest, newest last
	down   error
	oldest oldest
}

const boardEvents = 8

func newBoard(views []switcher.ServiceView, names []string) *board {
	return &board{names: names, views: views}
}

func (b *board) take(u update) {
	switch {
	case u.down != nil:
		b.down = u.down
	case u.Hello != nil:
		b.views, b.down = u.Hello, nil
	default:
		b.events = append(b.events, u.Event)
		b.events = b.events[max(0, len(b.events)-boardEvents):]
	}
}

// look fetches the views; where that fails, the old ones stay.
func (b *board) look(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	views, err := s.edge.Services(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.down = err
		}
		return
	}
	b.down = nil
	b.views = slices.DeleteFunc(views, func(v switcher.ServiceView) bool {
		return len(b.names) > 0 && !slices.Contains(b.names, v.Name)
	})
	b.oldest.look(ctx, s.edge, b.views, time.Now())
}

// lines renders the board to fit a terminal.
func (b *board) lines(width, height int, now time.Time) []line {
	head := line{{bold, "greenroom"}}.add(dim, "  %s  q quits", now.Local().Format("15:04:05"))
	if b.down != nil {
		head = head.add(bad, "  the edge is gone: %s", b.down)
	}
	moving := slices.Clone(b.views)
	for i := range moving {
		moving[i].MediaLeak = nil // is no news, and would take the room of the events
	}
	lines := append([]line{head, nil}, statusTable(moving, width, now)...)
	shown := make(map[string]bool)
	for i := range b.views {
		if c := b.views[i].Cutover; c != nil && !shown[c.ID] {
			shown[c.ID] = true
			lines = append(append(lines, nil), liveMove(b.views, c.ID, now.Sub(c.Started), now)...)
			lines = append(lines, b.oldest.lines(b.views, c.ID, width, now)...)
		}
	}
	room := height - 1 - len(lines) - 1
	if room < 1 || len(b.events) == 0 {
		return lines
	}
	lines = append(lines, nil)
	for _, e := range b.events[max(0, len(b.events)-room):] {
		lines = append(lines, append(line{{dim, e.At.Local().Format("15:04:05 ")}}, eventText(e)...))
	}
	return lines
}
