package cli

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// How long the edge's answer to one question is waited for, and how long an
// edge may be gone before a waiting command gives up.
const (
	answerTimeout = 30 * time.Second
	goneTimeout   = 30 * time.Second
)

// feed is a subscription to the edge's events that mends itself: a broken
// stream is asked for again, and begins with a hello.
type feed struct {
	edge     edge
	services []string // none: all
	updates  chan update
}

// update is one thing that a feed has to say.
type update struct {
	control.Update
	// down is why the stream broke; a hello follows once it is mended.
	down error
}

func newFeed(e edge, services []string) *feed {
	return &feed{edge: e, services: services, updates: make(chan update, 256)}
}

// run feeds updates until ctx ends.
func (f *feed) run(ctx context.Context) {
	const least, most = 100 * time.Millisecond, 2 * time.Second
	pause := least
	for ctx.Err() == nil {
		for u, err := range f.edge.Events(ctx, f.services...) {
			if err == nil {
				pause = least
			}
			if ctx.Err() != nil || !f.send(ctx, update{u, err}) {
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}

func (f *feed) send(ctx context.Context, u update) bool {
	select {
	case f.updates <- u:
		return true
	case <-ctx.Done():
		return false
	}
}

// greet returns the first hello, or why there is none.
func (f *feed) greet(ctx context.Context) ([]switcher.ServiceView, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errors.New("no answer"))
	defer cancel()
	select {
	case u := <-f.updates:
		return u.Hello, u.down
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
