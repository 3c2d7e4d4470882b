package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// hello is the type of the event that carries views instead of a change.
const hello = "hello"

// events streams every change. It subscribes before it looks at the services,
// so that nothing falls between the two; an event that the views contain
// already may follow them.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, only []string) {
	leave, ok := enterStream(r.Context())
	if !ok {
		w.Header().Set("Connection", "close")
		h.fail(w, newProblem(CodeBusy, busyDetail))
		return
	}
	defer leave()
	events, cancel := h.sw.Subscribe()
	defer cancel()
	views, err := h.views(r.Context(), only)
	if err != nil {
		h.answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	err = h.send(w, hello, "", servicesBody{views})
	silence := time.NewTicker(keepAlive)
	defer silence.Stop()
	for err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-silence.C:
			err = h.sendText(w, ": keep-alive\n\n")
		case e, open := <-events:
			if !open {
				return
			}
			err = h.relay(r.Context(), w, e, only)
		}
	}
	h.log.Debug("an event stream broke", "error", err)
}

// relay sends e if the caller wants it. One that lost events is greeted anew,
// as it would have to ask for all services anyway.
func (h *Handler) relay(ctx context.Context, w http.ResponseWriter, e switcher.Event, only []string) error {
	if len(only) > 0 && e.Service != "" && !slices.Contains(only, e.Service) {
		return nil
	}
	err := h.send(w, string(e.Type), fmt.Sprintf("id: %d\n", e.Seq), e)
	if err != nil || e.Type != switcher.EventLost {
		return err
	}
	views, err := h.views(ctx, only)
	if err != nil {
		return err
	}
	return h.send(w, hello, "", servicesBody{views})
}

// views returns the services named in only, or all. One that is not there is
// an error in the first look at a stream, and ends it later.
func (h *Handler) views(ctx context.Context, only []string) ([]switcher.ServiceView, error) {
	all, err := h.sw.Services(ctx)
	if err != nil {
		return nil, err
	}
	views := []switcher.ServiceView{}
	missing := slices.Clone(only)
	for _, v := range all {
		if len(only) == 0 || slices.Contains(only, v.Name) {
			views = append(views, v)
			missing = slices.DeleteFunc(missing, func(name string) bool { return name == v.Name })
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("service %q: %w", missing[0], switcher.ErrUnknownService)
	}
	return views, nil
}

func (h *Handler) send(w http.ResponseWriter, event, id string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return h.sendText(w, fmt.Sprintf("%sevent: %s\ndata: %s\n\n", id, event, text))
}

// sendText ends the stream of a caller that takes too long to read: the
// switcher does not wait for it, and neither does shutdown.
func (h *Handler) sendText(w http.ResponseWriter, text string) error {
	h.limitWrite(w)
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
