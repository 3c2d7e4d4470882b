// Package worker makes media of uploads: it takes jobs from the queue, fetches
// what was uploaded from the bucket, has ffmpeg encode it as HLS, writes that to the
// bucket, and leaves the result in the queue. It knows nothing of the app, of its
// versions or of its tables, so that a cutover of the app does not concern it.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
	"github.com/greenroom-proxy/greenroom/examples/platform/queue"
)

// MaxUpload is the size of what is encoded at most, in bytes.
const MaxUpload = 8 << 30

// Worker does one job after the other.
type Worker struct {
	// Name in the queue and the log.
	Name   string
	Queue  queue.Queue
	Bucket *bucket.Bucket
	// Bell rings when there is work; it is looked for every few seconds besides.
	Bell *feed.Bell
	// FFmpeg is the program. Default: ffmpeg.
	FFmpeg string
	Log    *slog.Logger
}

// look is how often to look for work if nobody rings: jobs whose workers have died,
// or that are to be tried again, come without a bell.
const look = 2 * time.Second

// Run works until the context ends. A job that is not done then is another
// worker's when its lease is over.
func (w Worker) Run(ctx context.Context) {
	rung, cancel := w.Bell.Listen(queue.Work)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for ctx.Err() == nil {
		j, err := w.Queue.Take(ctx, w.Name)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("cannot take a job", "error", err)
		}
		if j != nil {
			w.do(ctx, j)
			continue
		}
		select {
		case <-rung:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// do does a job and says what came of it.
func (w Worker) do(ctx context.Context, j *queue.Job) {
	log := w.Log.With("job", j.ID, "attempt", j.Attempt)
	began := time.Now()
	out, err := w.held(ctx, j)
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		err = w.Queue.Finish(ctx, j, out)
	case !errors.Is(err, queue.ErrLost):
		log.Warn("an attempt has failed", "error", err)
		err = w.Queue.Fail(ctx, j, err)
	}
	if err != nil {
		log.Error("what was done for a job does not count", "error", err)
		return
	}
	log.Info("worked", "took", time.Since(began))
}

// held does a job while it extends its lease, and stops when that is lost.
func (w Worker) held(ctx context.Context, j *queue.Job) (queue.Output, error) {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(w.Queue.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// An error of the database may pass; if not, the lease runs out, and Finish
			// will say so.
			if err := w.Queue.Extend(ctx, j); errors.Is(err, queue.ErrLost) {
				stop(err)
			}
		}
	}()
	out, err := w.encode(ctx, j)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	stop(nil)
	<-ended
	return out, err
}

// encode writes to a place that only this attempt knows, so that whoever lost the
// lease and does not know it yet spoils nothing.
func (w Worker) encode(ctx context.Context, j *queue.Job) (queue.Output, error) {
	dir, err := os.MkdirTemp("", "platform-worker")
	if err != nil {
		return queue.Output{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source := filepath.Join(dir, "source")
	if err := w.fetch(ctx, j.Input.Key, source); err != nil {
		return queue.Output{}, err
	}
	made := filepath.Join(dir, "made")
	length, err := w.vod(ctx, source, made)
	if err != nil {
		return queue.Output{}, err
	}
	prefix := fmt.Sprintf("titles/%s/%d", j.Subject, j.Attempt)
	p := Publisher{Bucket: w.Bucket, Dir: made, Prefix: prefix}
	if err := p.Sync(ctx, time.Now()); err != nil {
		return queue.Output{}, err
	}
	if !p.Published() {
		return queue.Output{}, errors.New("ffmpeg has left a variant out")
	}
	return queue.Output{Path: prefix + "/" + Index, DurationMS: length.Milliseconds()}, nil
}

func (w Worker) fetch(ctx context.Context, key, file string) error {
	body, err := w.Bucket.Get(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(body, MaxUpload+1))
	err = errors.Join(err, f.Close())
	if err == nil && n > MaxUpload {
		err = fmt.Errorf("an upload of more than %d bytes", int64(MaxUpload))
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", key, err)
	}
	return nil
}
