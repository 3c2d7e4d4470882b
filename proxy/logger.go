package proxy

import (
	"context"
	"log/slog"
)

// newestLogger writes to the logger of the newest config, whichever that is
// when a line is written: what outlives a reload must not hold the log files
// of a config that is gone.
func (rt *runtime) newestLogger() *slog.Logger { return slog.New(newestHandler{rt: rt}) }

type newestHandler struct {
	rt    *runtime
	steps []func(slog.Handler) slog.Handler
}

func (h newestHandler) handler() slog.Handler {
	app := h.rt.newest.Load()
	if app == nil {
		return slog.DiscardHandler
	}
	handler := app.log.Handler()
	for _, step := range h.steps {
		handler = step(handler)
	}
	return handler
}

func (h newestHandler) then(step func(slog.Handler) slog.Handler) slog.Handler {
	return newestHandler{h.rt, append(h.steps[:len(h.steps):len(h.steps)], step)}
}

// Enabled implements slog.Handler.
func (h newestHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.handler().Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h newestHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h newestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.then(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h newestHandler) WithGroup(name string) slog.Handler {
	return h.then(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}
