package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// title is one of the catalog.
type title struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
	// Media is the path of the playlist below the site's media, once there is one.
	Media string `json:"media,omitempty"`
	// Length is "h:mm:ss", as viewers see it.
	Length string `json:"length,omitempty"`
	// DurationMS comes from v2 on.
	DurationMS *int64 `json:"duration_ms,omitempty"`
}

// db is a pool or a transaction.
type db interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	Begin(context.Context) (pgx.Tx, error)
}

// titles is how a version of the app reads and writes the column that changes.
type titles interface {
	// list returns titles after an id, in order.
	list(ctx context.Context, db db, after int64, limit int) ([]title, error)
	// setLength changes the length of a title, and reports whether there is one.
	setLength(ctx context.Context, db db, id int64, length time.Duration) (bool, error)
	// ready makes the title of an upload ready to be played.
	ready(ctx context.Context, db db, upload, media string, length time.Duration) error
}

// titlesV1 knows titles.length_text alone.
type titlesV1 struct{}

func (titlesV1) list(ctx context.Context, db db, after int64, limit int) ([]title, error) {
	rows, err := db.Query(ctx, `SELECT id, name, state, media_path, coalesce(length_text, ''), NULL::bigint
		FROM titles WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[title])
}

func (titlesV1) setLength(ctx context.Context, db db, id int64, length time.Duration) (bool, error) {
	tag, err := db.Exec(ctx, "UPDATE titles SET length_text = $2 WHERE id = $1", id, lengthText(length))
	return tag.RowsAffected() > 0, err
}

func (titlesV1) ready(ctx context.Context, db db, upload, media string, length time.Duration) error {
	_, err := db.Exec(ctx, "UPDATE titles SET state = 'ready', media_path = $2, length_text = $3 WHERE upload = $1",
		upload, media, lengthText(length))
	return err
}

// titlesV2 writes duration_ms and length_text, and reads duration_ms where both
// say the same. Where they do not, or where duration_ms is missing, v1 has
// written the row since, and its word counts. When the contract migration has
// taken length_text away, it does without it from the next statement on.
type titlesV2 struct {
	contracted atomic.Bool
}

func (v *titlesV2) list(ctx context.Context, db db, after int64, limit int) (all []title, err error) {
	err = v.attempt(ctx, db, func(tx pgx.Tx, contracted bool) error {
		old := "length_text"
		if contracted {
			old = "NULL::text"
		}
		rows, err := tx.Query(ctx, "SELECT id, name, state, media_path, duration_ms, "+old+
			" FROM titles WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (title, error) {
			var t title
			var text *string
			if err := row.Scan(&t.ID, &t.Name, &t.State, &t.Media, &t.DurationMS, &text); err != nil {
				return t, err
			}
			t.DurationMS, t.Length = merge(t.DurationMS, text)
			return t, nil
		})
		return err
	})
	return all, err
}

func (v *titlesV2) setLength(ctx context.Context, db db, id int64, length time.Duration) (found bool, err error) {
	err = v.attempt(ctx, db, func(tx pgx.Tx, contracted bool) error {
		statement := "UPDATE titles SET duration_ms = $2, length_text = $3 WHERE id = $1"
		args := []any{id, length.Milliseconds(), lengthText(length)}
		if contracted {
			statement, args = "UPDATE titles SET duration_ms = $2 WHERE id = $1", args[:2]
		}
		tag, err := tx.Exec(ctx, statement, args...)
		found = tag.RowsAffected() > 0
		return err
	})
	return found, err
}

func (v *titlesV2) ready(ctx context.Context, db db, upload, media string, length time.Duration) error {
	return v.attempt(ctx, db, func(tx pgx.Tx, contracted bool) error {
		statement := "UPDATE titles SET state = 'ready', media_path = $2, duration_ms = $3, length_text = $4 WHERE upload = $1"
		args := []any{upload, media, length.Milliseconds(), lengthText(length)}
		if contracted {
			statement = "UPDATE titles SET state = 'ready', media_path = $2, duration_ms = $3 WHERE upload = $1"
			args = args[:3]
		}
		_, err := tx.Exec(ctx, statement, args...)
		return err
	})
}

// attempt runs a transaction, or a part of one that can be undone by itself, and
// runs it again if it has found that the old column is gone.
func (v *titlesV2) attempt(ctx context.Context, db db, do func(tx pgx.Tx, contracted bool) error) error {
	contracted := v.contracted.Load()
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return do(tx, contracted) })
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if contracted || !ok || pg.Code != "42703" { // undefined_column
		return err
	}
	v.contracted.Store(true)
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return do(tx, true) })
}

// merge is what v2 takes a row to say.
func merge(ms *int64, text *string) (*int64, string) {
	switch {
	case text == nil && ms == nil:
		return nil, ""
	case text == nil || ms != nil && lengthText(time.Duration(*ms)*time.Millisecond) == *text:
		return ms, lengthText(time.Duration(*ms) * time.Millisecond)
	}
	length, err := parseLength(*text)
	if err != nil {
		return nil, *text // as v1 shows it
	}
	old := length.Milliseconds()
	return &old, *text
}

// lengthText is how v1 keeps a length, and how viewers see it: "h:mm:ss", the
// rest of a second cut.
func lengthText(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

var lengthForm = regexp.MustCompile(`^\d{1,4}:[0-5]\d:[0-5]\d$`)

func parseLength(text string) (time.Duration, error) {
	if !lengthForm.MatchString(text) {
		return 0, fmt.Errorf("length %q is not like 1:02:03", text)
	}
	var s int64
	for part := range strings.SplitSeq(text, ":") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return 0, err
		}
		s = s*60 + n
	}
	return time.Duration(s) * time.Second, nil
}
