package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Limits of the statements of a migration. Whoever comes behind one that waits
// for a lock waits with it, and whoever needs what one holds waits for its end:
// LockTimeout and Brief are what that costs at most. Then the migration stands
// back, and tries again.
const (
	LockTimeout = 30 * time.Millisecond
	// Brief is for all but steps that run slowly, which no reader or writer waits for.
	Brief    = 60 * time.Millisecond
	slow     = 30 * time.Minute
	attempts = 100
)

// advisory is the lock that a Runner holds, so that there is one at a time.
const advisory = 7_100_714

// Runner brings a database to a version, by a connection of its own.
type Runner struct {
	Conn *pgx.Conn
	// Window is asked before a Contract. Nil refuses it.
	Window Window
	Log    *slog.Logger
}

// Version is the schema's: 0 before the first migration.
func Version(ctx context.Context, db interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (int64, error) {
	var version int64
	err := db.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM schema_migrations").Scan(&version)
	if hasCode(err, "42P01") { // undefined_table
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, nil
}

// To applies migrations up to a version, in order, and records each when it is
// whole. What is there already is not done again; there is no way back by a
// migration, since going back is what the versions of the app can do.
func (r Runner) To(ctx context.Context, version int64) error {
	all, err := Migrations()
	if err != nil {
		return err
	}
	if version < 0 || version > int64(len(all)) {
		return fmt.Errorf("there is no version %d: they go to %d", version, len(all))
	}
	var alone bool
	if err := r.Conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", advisory).Scan(&alone); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if !alone {
		return errors.New("another migration is running")
	}
	defer func() { _, _ = r.Conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", advisory) }()
	if _, err := r.Conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
		version bigint PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return err
	}
	at, err := Version(ctx, r.Conn)
	if err != nil {
		return err
	}
	for _, m := range all[min(at, int64(len(all))):max(at, version)] {
		if err := r.apply(ctx, m); err != nil {
			return fmt.Errorf("migration %s: %w", m.Name, err)
		}
	}
	return nil
}

func (r Runner) apply(ctx context.Context, m Migration) error {
	began := time.Now()
	for i, s := range m.Steps {
		if err := r.closed(ctx, m); err != nil {
			return err
		}
		// With the last step, so that a version that is recorded is whole.
		record := ""
		if i == len(m.Steps)-1 {
			record = fmt.Sprintf(";INSERT INTO schema_migrations (version, name) VALUES (%d, '%s')", m.Version, m.Name)
		}
		if err := r.step(ctx, s, record); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	r.Log.Info("migrated", "to", m.Version, "migration", m.Name, "kind", m.Kind, "took", time.Since(began))
	return nil
}

// closed asks whether a migration may go on: a contract only while nobody goes
// back. It is asked before each step, as somebody may have gone back meanwhile.
func (r Runner) closed(ctx context.Context, m Migration) error {
	switch {
	case m.Kind != Contract:
		return nil
	case r.Window == nil:
		return ErrOpen
	}
	return r.Window(ctx)
}

// step runs a step. Whatever holds locks is one message to the server, committed
// there: locks are not held while this process is waited for.
func (r Runner) step(ctx context.Context, s Step, record string) error {
	limit := Brief
	if s.Slowly {
		limit = slow
	}
	err := r.exec(ctx, fmt.Sprintf("SET lock_timeout = %d; SET statement_timeout = %d", LockTimeout.Milliseconds(), limit.Milliseconds()))
	if err != nil {
		return err
	}
	if s.Batch > 0 {
		return r.batches(ctx, s, record)
	}
	return r.exec(ctx, s.SQL+record)
}

// exec runs statements in one transaction, patiently.
func (r Runner) exec(ctx context.Context, statements string) error {
	return r.patiently(ctx, func(int) error {
		_, err := r.Conn.PgConn().Exec(ctx, statements).ReadAll()
		return err
	})
}

func (r Runner) batches(ctx context.Context, s Step, record string) error {
	size, after := min(firstBatch, s.Batch), int64(0)
	for {
		var end *int64
		began := time.Now()
		err := r.patiently(ctx, func(attempt int) error {
			if attempt > 0 {
				size = max(1, size/2) // perhaps it took too long
			}
			began = time.Now()
			return r.Conn.QueryRow(ctx, s.SQL, after, size).Scan(&end)
		})
		if err != nil {
			return err
		}
		if end == nil {
			return r.exec(ctx, record)
		}
		after, size = *end, NextBatch(size, s.Batch, time.Since(began))
	}
}

// patiently runs a statement when the database is calm, and again when it did
// not get a lock in time, took too long, or was the victim of a deadlock.
func (r Runner) patiently(ctx context.Context, do func(attempt int) error) error {
	var err error
	for attempt := range attempts {
		if err := r.untilCalm(ctx); err != nil {
			return err
		}
		err = do(attempt)
		if !hasCode(err, "55P03", "57014", "40P01") { // lock_not_available, query_canceled, deadlock_detected
			return err
		}
		r.Log.Debug("stood back", "attempt", attempt+1, "why", err)
		if err := sleep(ctx, Retry(attempt, rand.Float64())); err != nil {
			return err
		}
	}
	return fmt.Errorf("stood back %d times, since it waited %s for a lock or took %s: find out who holds the lock, or whether this rewrites a table: %w",
		attempts, LockTimeout, Brief, err)
}

func (r Runner) untilCalm(ctx context.Context) error {
	for {
		var l Load
		var lag float64
		err := r.Conn.QueryRow(ctx, `SELECT
			(SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()),
			coalesce((SELECT extract(epoch FROM max(replay_lag)) FROM pg_stat_replication), 0)::float8`).Scan(&l.Waiting, &lag)
		if hasCode(err, "57014") {
			l.Waiting, err = tooManyWait+1, nil // too busy to say so
		}
		if err != nil {
			return fmt.Errorf("ask how busy the database is: %w", err)
		}
		l.Lag = time.Duration(lag * float64(time.Second))
		if err := sleep(ctx, Pause(l)); err != nil || l.Calm() {
			return err
		}
		r.Log.Debug("paused", "waiting", l.Waiting, "lag", l.Lag)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func hasCode(err error, codes ...string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if pg.Code == c {
			return true
		}
	}
	return false
}
