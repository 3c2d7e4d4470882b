package app

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/queue"
)

// Limits of an upload: one request's body, and how long a ticket may be used for
// it to begin.
const (
	maxUpload  = 4 << 30
	ticketLife = 30 * time.Minute
)

// ticket is what a viewer uploads by: a request to the bucket, not to the app.
type ticket struct {
	ID string `json:"id"`
	bucket.Ticket
}

func (a *App) newUpload(ctx context.Context, r *http.Request, viewer string) (any, error) {
	var in struct {
		Name string
		Size int64
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	name, err := line("name", in.Name, 100)
	if err != nil {
		return nil, err
	}
	if in.Size < 1 || in.Size > maxUpload {
		return nil, problem{http.StatusBadRequest, "a file has up to 4 GiB"}
	}
	id := rand.Text()
	key := "uploads/" + id
	signed, err := a.Bucket.Ticket(ctx, key, in.Size, ticketLife)
	if err != nil {
		return nil, err
	}
	_, err = a.DB.Exec(ctx, "INSERT INTO uploads (id, viewer, name, key, size) VALUES ($1, $2, $3, $4, $5)", id, viewer, name, key, in.Size)
	return ticket{id, signed}, err
}

// uploaded makes a title and a job of an upload that is in the bucket, once,
// however often it is called: a client that got no answer asks again, perhaps
// the other version.
func (a *App) uploaded(ctx context.Context, r *http.Request, viewer string) (any, error) {
	id := r.PathValue("id")
	var key, name string
	var size int64
	err := a.DB.QueryRow(ctx, "SELECT key, name, size FROM uploads WHERE id = $1 AND viewer = $2", id, viewer).Scan(&key, &name, &size)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, problem{http.StatusNotFound, "no such upload of yours"}
	}
	if err != nil {
		return nil, err
	}
	o, err := a.Bucket.Head(ctx, key)
	if errors.Is(err, bucket.ErrNone) || err == nil && o.Size != size {
		return nil, problem{http.StatusConflict, "the file is not whole in the bucket yet"}
	}
	if err != nil {
		return nil, err
	}
	var title int64
	err = pgx.BeginFunc(ctx, a.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE uploads SET done = true WHERE id = $1", id); err != nil { // and locks it
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO titles (name, upload) VALUES ($1, $2) ON CONFLICT (upload) DO NOTHING", name, id); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT id FROM titles WHERE upload = $1", id).Scan(&title); err != nil {
			return err
		}
		return queue.Add(ctx, tx, id, queue.Input{Key: key})
	})
	return map[string]int64{"title": title}, err
}

// tellResults writes what workers have made into the catalog, until the context
// ends. Both colors do, whichever is faster, and each as its version writes.
func (a *App) tellResults(ctx context.Context) {
	rung, cancel := a.bell.Listen(queue.Topic)
	defer cancel()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		found, err := queue.Tell(ctx, a.DB, func(tx pgx.Tx, r queue.Result) error {
			if r.Output == nil {
				_, err := tx.Exec(ctx, "UPDATE titles SET state = 'failed' WHERE upload = $1", r.Subject)
				return err
			}
			return a.titles.ready(ctx, tx, r.Subject, r.Output.Path, time.Duration(r.Output.DurationMS)*time.Millisecond)
		})
		if err != nil && ctx.Err() == nil {
			a.Log.Error("cannot take in a result", "error", err)
		}
		if found {
			continue
		}
		select {
		case <-rung:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
