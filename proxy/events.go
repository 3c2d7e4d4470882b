package proxy

import (
	"context"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// The Caddy events that the app emits, for the events app's handlers.
const (
	// EventPhase: a service's phase changed. Data: service, phase, active,
	// blue and green (percent), generation, id and kind of the move.
	EventPhase = "greenroom_phase"
	// EventMove: a move ended. Data: those of EventPhase, result, detail.
	EventMove = "greenroom_move"
)

// forwardEvents emits Caddy events for what the switcher does, through the
// config in force. A handler that is slow delays the events after it, and
// nothing else.
func (rt *runtime) forwardEvents(ctx context.Context) {
	events, cancel := rt.switcher.Subscribe()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-events:
			if !open {
				return
			}
			if app := rt.inForce.Load(); app != nil {
				app.emit(e)
			}
		}
	}
}

func (app *App) emit(e switcher.Event) {
	name := EventPhase
	switch e.Type {
	case switcher.EventPhase:
	case switcher.EventEnd:
		name = EventMove
	default:
		return
	}
	app.events.Emit(app.ctx, name, map[string]any{
		"service": e.Service, "phase": e.Phase.String(), "active": e.Active.String(),
		"blue": e.Split.Blue, "green": e.Split.Green, "generation": e.Generation,
		"id": e.ID, "kind": string(e.Kind), "result": string(e.Result), "detail": e.Detail,
	})
}
