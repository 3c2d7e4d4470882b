package media

import (
	"context"
	"log/slog"
)

// afterward is for what outlives a config: it writes to the logger of the newest
// one that has started, and only before there is any to first. What it wrote to
// a config's own would be lost with the config's files.
func afterward(first *slog.Logger) *slog.Logger { return slog.New(late{first: first.Handler()}) }

type late struct {
	first slog.Handler
	steps []func(slog.Handler) slog.Handler
}

func (l late) handler() slog.Handler {
	handler := l.first
	if apps := started.all(); len(apps) > 0 {
		handler = apps[len(apps)-1].log.Handler()
	}
	for _, step := range l.steps {
		handler = step(handler)
	}
	return handler
}

func (l late) then(step func(slog.Handler) slog.Handler) slog.Handler {
	return late{l.first, append(l.steps[:len(l.steps):len(l.steps)], step)}
}

// Enabled implements slog.Handler.
func (l late) Enabled(ctx context.Context, level slog.Level) bool {
	return l.handler().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l late) Handle(ctx context.Context, r slog.Record) error { return l.handler().Handle(ctx, r) }

// WithAttrs implements slog.Handler.
func (l late) WithAttrs(attrs []slog.Attr) slog.Handler {
	return l.then(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (l late) WithGroup(name string) slog.Handler {
	return l.then(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}
