package cli

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// edge is what the commands need of a running Greenroom.
type edge interface {
	Services(ctx context.Context) ([]switcher.ServiceView, error)
	View(ctx context.Context, service string) (switcher.ServiceView, error)
	History(ctx context.Context, service string) ([]switcher.Move, error)
	Fleet(ctx context.Context) (json.RawMessage, error)
	Streams(ctx context.Context, service string, q switcher.StreamQuery) (switcher.StreamPage, error)
	Plan(ctx context.Context, req switcher.CutoverRequest) (switcher.Plan, error)

	Cutover(ctx context.Context, req switcher.CutoverRequest) (switcher.Receipt, error)
	Split(ctx context.Context, req switcher.SplitRequest) (switcher.Receipt, error)
	Drain(ctx context.Context, req switcher.DrainRequest) (switcher.Receipt, error)
	Rollback(ctx context.Context, req switcher.RollbackRequest) (switcher.Receipt, error)
	Abort(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Hold(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Resume(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Evict(ctx context.Context, req switcher.EvictRequest) (switcher.Eviction, error)
	Lock(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Unlock(ctx context.Context, req switcher.Request) (switcher.Receipt, error)

	Process(ctx context.Context) (control.ProcessView, error)
	Upgrade(ctx context.Context, reason string) (control.ProcessView, error)

	Media(ctx context.Context) (control.MediaView, error)
	Purge(ctx context.Context, q control.PurgeRequest) (control.PurgeResult, error)

	// Events yields where the services stand, then every change, until the
	// loop breaks; the last pair, and only that, has an error.
	Events(ctx context.Context, services ...string) iter.Seq2[control.Update, error]
}

var _ edge = (*control.Client)(nil)
