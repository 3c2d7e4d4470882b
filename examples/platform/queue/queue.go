// Package queue hands work to workers, and their results back, by a table of the
// database. A job is taken for the length of a lease, which its worker extends
// while it works; a worker that dies or freezes loses the lease, and the job is
// another's. Each taking is an attempt with a number of its own, and whatever is
// said about a job counts only from its present attempt: of two workers that
// think a job is theirs one is believed.
package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
)

// Topic is rung when a job is done or has failed, Work when one is new.
const (
	Topic = "jobs"
	Work  = "work"
)

// MaxAttempts is how often a job is tried.
const MaxAttempts = 5

// ErrLost says that a job is another worker's now. What was done for it is to be
// thrown away.
var ErrLost = errors.New("the lease has been lost")

// Input is what a worker is to do: to encode what was uploaded.
type Input struct {
	// Key of the upload in the bucket.
	Key string `json:"key"`
}

// Output is what it has made.
type Output struct {
	// Path of the playlist in the bucket.
	Path string `json:"path"`
	// DurationMS is the length in milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// Job is one attempt at a job.
type Job struct {
	ID      int64
	Subject string // what it is for: an upload's id
	Input   Input
	Attempt int
}

// Queue is that of a database, with how long a lease lasts.
type Queue struct {
	DB    *pgxpool.Pool
	Lease time.Duration
}

// Add puts a job into the queue as part of a transaction. A subject has one job,
// however often it is added.
func Add(ctx context.Context, tx pgx.Tx, subject string, in Input) error {
	_, err := tx.Exec(ctx, "INSERT INTO jobs (subject, input) VALUES ($1, $2) ON CONFLICT (subject) DO NOTHING", subject, in)
	if err != nil {
		return fmt.Errorf("add a job: %w", err)
	}
	_, err = tx.Exec(ctx, "SELECT pg_notify($1, $2)", feed.Channel, Work)
	return err
}

// Take takes the oldest job that is to be done for a worker, or returns nil if
// there is none.
func (q Queue) Take(ctx context.Context, worker string) (*Job, error) {
	if err := q.giveUp(ctx); err != nil {
		return nil, err
	}
	var j Job
	err := q.DB.QueryRow(ctx, `UPDATE jobs
		SET state = 'running', attempt = attempt + 1, worker = $1, lease_until = now() + $2
		WHERE id = (
			SELECT id FROM jobs
			WHERE state = 'ready' AND not_before <= now() OR state = 'running' AND lease_until < now()
			ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id, subject, input, attempt`, worker, q.Lease).Scan(&j.ID, &j.Subject, &j.Input, &j.Attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take a job: %w", err)
	}
	return &j, nil
}

// giveUp fails jobs whose last attempt has lost its lease: their workers died,
// perhaps of them.
func (q Queue) giveUp(ctx context.Context) error {
	_, err := q.DB.Exec(ctx, `WITH dead AS (
			UPDATE jobs SET state = 'failed', error = 'its workers died'
			WHERE state = 'running' AND lease_until < now() AND attempt >= $1 RETURNING id)
		SELECT pg_notify($2, $3) FROM dead`, MaxAttempts, feed.Channel, Topic)
	if err != nil {
		return fmt.Errorf("give up jobs: %w", err)
	}
	return nil
}

// Extend makes the lease last from now.
func (q Queue) Extend(ctx context.Context, j *Job) error {
	return q.change(ctx, "extend", "UPDATE jobs SET lease_until = now() + $3 WHERE id = $1 AND attempt = $2 AND state = 'running'",
		j.ID, j.Attempt, q.Lease)
}

// Finish says that a job is done, and what came of it.
func (q Queue) Finish(ctx context.Context, j *Job, out Output) error {
	return q.change(ctx, "finish", `WITH it AS (
			UPDATE jobs SET state = 'done', output = $3, error = '' WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING id)
		SELECT pg_notify('`+feed.Channel+`', '`+Topic+`') FROM it`, j.ID, j.Attempt, out)
}

// Fail says why an attempt has failed. The job is tried again later, if it has
// attempts left.
func (q Queue) Fail(ctx context.Context, j *Job, why error) error {
	reason := []rune(why.Error())
	return q.change(ctx, "fail", `WITH it AS (
			UPDATE jobs SET error = $3, not_before = now() + $4,
				state = CASE WHEN attempt >= $5 THEN 'failed' ELSE 'ready' END
			WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING id)
		SELECT pg_notify('`+feed.Channel+`', '`+Topic+`') FROM it`,
		j.ID, j.Attempt, string(reason[:min(len(reason), 500)]), Backoff(j.Attempt), MaxAttempts)
}

// Backoff is how long after an attempt, from 1, the next may be made.
func Backoff(attempt int) time.Duration {
	return min(time.Second<<min(attempt, 10), time.Minute)
}

// change runs a statement that changes the job's row, or else the lease is lost.
func (q Queue) change(ctx context.Context, what, statement string, args ...any) error {
	tag, err := q.DB.Exec(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("%s a job: %w", what, err)
	}
	if tag.RowsAffected() == 0 {
		return ErrLost
	}
	return nil
}

// Result is how a job has ended. Output is nil if it failed.
type Result struct {
	Subject string
	Output  *Output
	Error   string
}

// Tell hands one result that nobody has dealt with to a function, in a
// transaction with what that does, so that each is dealt with once. It reports
// whether there was one.
func Tell(ctx context.Context, db *pgxpool.Pool, deal func(pgx.Tx, Result) error) (bool, error) {
	found := false
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var id int64
		var r Result
		err := tx.QueryRow(ctx, `SELECT id, subject, output, error FROM jobs
			WHERE state IN ('done', 'failed') AND NOT told ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`).
			Scan(&id, &r.Subject, &r.Output, &r.Error)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := deal(tx, r); err != nil {
			return err
		}
		found = true
		_, err = tx.Exec(ctx, "UPDATE jobs SET told = true WHERE id = $1", id)
		return err
	})
	return found && err == nil, err
}
