// Package feed is a log of entries by topic, in the database: chat, and what is
// played. Entries are numbered from 1 without gaps, and become visible in that
// order; one that is appended again, by the same author with the same id, stays
// the one it was. So a client that sends again what was not acknowledged, and
// asks for what came after the last number it has seen, loses nothing and sees
// nothing twice, whichever instance, of whichever version, it comes to.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The topics.
const (
	Chat    = "chat"
	Playing = "playing"
)

// Channel is what PostgreSQL notifies on; the payload is the topic. The worker
// uses it too, with a topic of its own.
const Channel = "platform"

// Entry is one of a topic.
type Entry struct {
	Seq int64 `json:"seq"`
	// Author is who has sent it, ID what they call it.
	Author string          `json:"author"`
	ID     string          `json:"id"`
	Body   json.RawMessage `json:"body"`
	At     time.Time       `json:"at"`
}

// Feed is all topics of a database.
type Feed struct {
	DB *pgxpool.Pool
}

// Append adds an entry to a topic, or returns the one that the author has added
// by the same id before.
func (f Feed) Append(ctx context.Context, topic, author, id string, body any) (Entry, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Author: author, ID: id}
	err = pgx.BeginFunc(ctx, f.DB, func(tx pgx.Tx) error {
		var last int64
		if err := tx.QueryRow(ctx, "SELECT last_seq FROM topics WHERE name = $1 FOR UPDATE", topic).Scan(&last); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT seq, body, at FROM entries WHERE topic = $1 AND author = $2 AND client_id = $3",
			topic, author, id).Scan(&e.Seq, &e.Body, &e.At)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		e.Seq, e.Body = last+1, text
		batch := &pgx.Batch{}
		batch.Queue("UPDATE topics SET last_seq = $2 WHERE name = $1", topic, e.Seq)
		batch.Queue("INSERT INTO entries (topic, seq, author, client_id, body) VALUES ($1, $2, $3, $4, $5) RETURNING at",
			topic, e.Seq, author, id, text).QueryRow(func(row pgx.Row) error { return row.Scan(&e.At) })
		batch.Queue("SELECT pg_notify($1, $2)", Channel, topic)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return Entry{}, fmt.Errorf("append to %s: %w", topic, err)
	}
	return e, nil
}

// After returns up to limit entries that follow one, in order.
func (f Feed) After(ctx context.Context, topic string, seq int64, limit int) ([]Entry, error) {
	rows, err := f.DB.Query(ctx, "SELECT seq, author, client_id, body, at FROM entries WHERE topic = $1 AND seq > $2 ORDER BY seq LIMIT $3",
		topic, seq, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	return all, nil
}

// Last is the number of a topic's newest entry, 0 without one.
func (f Feed) Last(ctx context.Context, topic string) (int64, error) {
	var last int64
	err := f.DB.QueryRow(ctx, "SELECT last_seq FROM topics WHERE name = $1", topic).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", topic, err)
	}
	return last, nil
}

// Follow hands all entries after one to a function, in order, those that are
// there and those that come, until it fails or the context ends. Each idle, if
// no entry came, it calls silent.
func (f Feed) Follow(ctx context.Context, bell *Bell, topic string, after int64, idle time.Duration,
	each func(Entry) error, silent func() error,
) error {
	const page = 100
	rung, cancel := bell.Listen(topic)
	defer cancel()
	timer := time.NewTicker(idle)
	defer timer.Stop()
	for {
		found, err := f.After(ctx, topic, after, page)
		if err != nil {
			return err
		}
		for _, e := range found {
			if err := each(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(found) == page {
			continue
		}
		select {
		case <-rung:
		case <-timer.C:
			if err := silent(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
