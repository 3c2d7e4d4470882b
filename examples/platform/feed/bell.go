package feed

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bell says that something may have come, by LISTEN on one connection for all of
// this process. It rings rather too often: what has come the listeners read from
// the tables, so that a notification that gets lost with its connection loses
// nothing. The zero value is ready.
type Bell struct {
	mu        sync.Mutex
	listeners map[string]map[chan struct{}]bool // by topic; guarded by mu
}

// Listen returns a channel that is sent to when a topic may have changed, until
// cancel is called. Several changes may be one ring.
func (b *Bell) Listen(topic string) (rung <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = make(map[string]map[chan struct{}]bool)
	}
	if b.listeners[topic] == nil {
		b.listeners[topic] = make(map[chan struct{}]bool)
	}
	b.listeners[topic][c] = true
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners[topic], c)
	}
}

// ring wakes those who listen to a topic, or to any.
func (b *Bell) ring(topic string, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, listeners := range b.listeners {
		if name != topic && !all {
			continue
		}
		for c := range listeners {
			select {
			case c <- struct{}{}:
			default: // it has not looked since the last ring, and will
			}
		}
	}
}

// How often a connection that brings nothing is asked whether it lives, and how
// long to wait before a new one.
const (
	quiet   = 10 * time.Second
	between = 500 * time.Millisecond
)

// Run listens until the context ends. It connects again whenever it must, and
// rings for all then, since it may have missed something.
func (b *Bell) Run(ctx context.Context, dsn string, log *slog.Logger) {
	for ctx.Err() == nil {
		if err := b.listen(ctx, dsn); ctx.Err() == nil {
			log.Warn("listening to the database ended, and begins again", "error", err)
		}
		select {
		case <-time.After(between):
		case <-ctx.Done():
		}
	}
}

func (b *Bell) listen(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+Channel); err != nil {
		return err
	}
	for {
		b.ring("", true)
		for {
			wait, cancel := context.WithTimeout(ctx, quiet)
			n, err := conn.WaitForNotification(wait)
			late := wait.Err() != nil
			cancel()
			if err != nil && (ctx.Err() != nil || !late) {
				return err
			}
			if err != nil {
				break
			}
			b.ring(n.Payload, false)
		}
		if err := conn.Ping(ctx); err != nil {
			return err
		}
	}
}
