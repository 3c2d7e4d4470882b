package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// display shows a move while it is waited for.
type display interface {
	// event shows an event that concerns the move.
	event(e switcher.Event)
	// views shows the services that move, as they are now.
	views(views []switcher.ServiceView)
	// note shows a remark of the waiting command itself.
	note(l line)
	// pace is how often views are to be fetched.
	pace() time.Duration
	// close leaves the terminal as it was.
	close()
}

// waiter brings a follow to its end.
type waiter struct {
	edge edge
	feed *feed
	f    *follow
	show display
	// gone is since when the edge cannot be reached.
	gone time.Time
	// gaps: events were lost on the way, perhaps the one of the end.
	gaps bool
}

// await returns when there is nothing to wait for any more, when ctx ends, or
// when the edge has been gone for too long. A move that is neither heard of
// nor found by looking would be waited for in vain, so it looks now and then
// whatever the events say.
func (w *waiter) await(ctx context.Context) error {
	ticker := time.NewTicker(w.show.pace())
	defer ticker.Stop()
	look := true
	for !w.f.done() {
		if look && len(w.feed.updates) == 0 {
			look = false
			w.look(ctx)
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u := <-w.feed.updates:
			look = w.take(u) || look
		case <-ticker.C:
			look = true
		}
		if !w.gone.IsZero() && time.Since(w.gone) > goneTimeout {
			return fmt.Errorf("%w for %s: once it is back, its state tells how the move stands", control.ErrUnreachable, goneTimeout)
		}
	}
	w.settle(ctx)
	return nil
}

// settle waits for the announcement of an end that was found by looking, where
// it is on its way: only that tells how long the drain took.
func (w *waiter) settle(ctx context.Context) {
	enough := time.After(5 * time.Second)
	for w.f.ended() && !w.f.heard() && !w.gaps {
		select {
		case u := <-w.feed.updates:
			w.take(u)
		case <-enough:
			return
		case <-ctx.Done():
			return
		}
	}
}

// take takes in one update, and reports whether to look at the services. The
// views of a hello may be older than the move itself, so they are not used.
func (w *waiter) take(u update) (look bool) {
	switch {
	case u.down != nil:
		w.gaps = true
		if w.gone.IsZero() {
			w.gone = time.Now()
			w.show.note(line{{warn, "the event stream broke, asking again: "}, {plain, u.down.Error()}})
		}
		return false
	case u.Hello != nil:
		if !w.gone.IsZero() {
			w.gone = time.Time{}
			w.show.note(say("the event stream is back"))
		}
		return true
	case u.Event.Type == switcher.EventLost:
		w.gaps = true
		return true
	}
	w.f.event(u.Event)
	if !w.f.concerns(u.Event) {
		return false
	}
	w.show.event(u.Event)
	return true
}

// look asks the edge where the services stand. An error is not handled here:
// the stream breaks with the edge, and the next look comes soon.
func (w *waiter) look(ctx context.Context) {
	views, err := w.fetch(ctx)
	if err != nil {
		return
	}
	if c := w.f.undoes(views); c != nil {
		w.show.note(line{{warn, "the move is being undone"}, {plain, fmt.Sprintf(" (%s): %s", c.Ending, c.Detail)}})
	}
	w.show.views(views)
}

// fetch brings the follow up to date, and returns the services that move.
func (w *waiter) fetch(ctx context.Context) ([]switcher.ServiceView, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	all, err := w.edge.Services(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range w.f.missing(all) {
		w.f.lost(name, "the service was removed from the config")
	}
	for _, name := range w.f.views(all) {
		moves, err := w.edge.History(ctx, name)
		switch {
		case err == nil:
			w.f.history(name, moves)
		case errors.Is(err, switcher.ErrUnknownService):
			w.f.lost(name, "the service was removed from the config")
		default:
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(v switcher.ServiceView) bool { return !slices.Contains(w.f.services, v.Name) }), nil
}
