package proxy

import (
	"context"
	"log/slog"
)

// logger writes to the logger of the config in force, whichever that is when a
// line is written: what outlives a reload must not hold the log files of a
// config that is gone.
func (rt *runtime) logger() *slog.Logger { return slog.New(logHandler{rt: rt}) }

type logHandler struct {
	rt    *runtime
	steps []func(slog.Handler) slog.Handler
}

func (h logHandler) handler() slog.Handler {
	app := h.rt.inForce.Load()
	if app == nil {
		return slog.DiscardHandler
	}
	handler := app.log.Handler()
	for _, step := range h.steps {
		handler = step(handler)
	}
	return handler
}

func (h logHandler) then(step func(slog.Handler) slog.Handler) slog.Handler {
	return logHandler{h.rt, append(h.steps[:len(h.steps):len(h.steps)], step)}
}

// Enabled implements slog.Handler.
func (h logHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.handler().Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.then(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler {
	return h.then(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}
