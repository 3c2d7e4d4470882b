package database_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/greenroom-proxy/greenroom/examples/platform/database"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func closed(context.Context) error { return nil }

func version(t *testing.T, dsn string) int64 {
	t.Helper()
	v, err := database.Version(t.Context(), fixture.Pool(t, dsn))
	must(t, err)
	return v
}

func TestMigrationsAreAppliedInOrderAndOnce(t *testing.T) {
	dsn := fixture.Database(t, 0)
	for _, to := range []int64{1, 1, 3, 2, 4, 4} {
		must(t, fixture.Migrate(t.Context(), dsn, to, closed))
		if to != 2 && version(t, dsn) != to { // 2 after 3: there is no way back
			t.Errorf("version %d after a migration to %d", version(t, dsn), to)
		}
	}
	if err := fixture.Migrate(t.Context(), dsn, 5, closed); err == nil || !strings.Contains(err.Error(), "no version 5") {
		t.Errorf("to version 5: %v", err)
	}
}

func TestABackfillGoesThroughAllRowsInBatches(t *testing.T) {
	dsn := fixture.Database(t, 2)
	fixture.Exec(t, dsn, `INSERT INTO titles (name, state, length_text) SELECT 'title ' || i, 'ready',
		to_char(make_interval(secs => i * 37), 'FMHH24:MI:SS') FROM generate_series(1, 2950) i`)
	fixture.Exec(t, dsn, "UPDATE titles SET duration_ms = 37999 WHERE id = 1") // agrees, and says more
	fixture.Exec(t, dsn, "UPDATE titles SET duration_ms = 5 WHERE id = 2")     // v1 has written since
	must(t, fixture.Migrate(t.Context(), dsn, 3, nil))
	var wrong, first int
	must(t, fixture.Pool(t, dsn).QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM titles WHERE duration_ms IS NULL OR duration_ms / 1000 <> id * 37),
		(SELECT duration_ms FROM titles WHERE id = 1)`).Scan(&wrong, &first))
	if wrong != 0 || first != 37999 {
		t.Errorf("%d of 2,950 rows are wrong; the first is %d ms", wrong, first)
	}
}

func TestAContractIsRefusedUntilTheRollbackWindowIsClosed(t *testing.T) {
	dsn := fixture.Database(t, 3)
	greenroom := filepath.Join(t.TempDir(), "greenroom")
	for _, c := range []struct{ script, says string }{
		{"echo 'app: a rollback is open for 4m'; exit 20", "open for 4m"},
		{"echo undone; exit 15", "exit status 15"},
		{"exit 13", "exit status 13"},
	} {
		must(t, os.WriteFile(greenroom, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755))
		err := fixture.Migrate(t.Context(), dsn, 4, database.Command(greenroom+" rollback-window app"))
		if !errors.Is(err, database.ErrOpen) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.script, err)
		}
	}
	for _, w := range []database.Window{nil, database.Command(""), database.Command(greenroom + "-is-not-there")} {
		if err := fixture.Migrate(t.Context(), dsn, 4, w); !errors.Is(err, database.ErrOpen) {
			t.Errorf("got %v", err)
		}
	}
	if v := version(t, dsn); v != 3 {
		t.Fatalf("version %d after refusals", v)
	}
	must(t, os.WriteFile(greenroom, []byte("#!/bin/sh\n[ \"$*\" = 'rollback-window app' ]\n"), 0o755))
	must(t, fixture.Migrate(t.Context(), dsn, 4, database.Command(greenroom+" rollback-window app")))
}

func TestAContractStopsWhenSomebodyGoesBackMeanwhile(t *testing.T) {
	dsn := fixture.Database(t, 3)
	for asked := 1; ; asked++ {
		left := asked
		err := fixture.Migrate(t.Context(), dsn, 4, func(context.Context) error {
			if left--; left < 0 {
				return database.ErrOpen
			}
			return nil
		})
		if err == nil {
			if asked < 3 {
				t.Errorf("it was asked %d times only", asked)
			}
			return
		}
		if !errors.Is(err, database.ErrOpen) {
			t.Fatal(err)
		}
		if v := version(t, dsn); v != 3 {
			t.Errorf("stopped at question %d the schema is at %d", asked+1, v)
		}
		// v1 works with what there is.
		fixture.Exec(t, dsn, "INSERT INTO titles (name, state, length_text) VALUES ('of v1', 'ready', '0:00:10')")
	}
}

func TestAContractThatWouldLoseALengthStopsAndMayBeRunAgain(t *testing.T) {
	dsn := fixture.Database(t, 3)
	fixture.Exec(t, dsn, "INSERT INTO titles (name, state, length_text) VALUES ('odd', 'ready', 'about an hour')")
	err := fixture.Migrate(t.Context(), dsn, 4, closed)
	if err == nil || !strings.Contains(err.Error(), "title 1 has no duration_ms") || version(t, dsn) != 3 {
		t.Fatalf("version %d: %v", version(t, dsn), err)
	}
	fixture.Exec(t, dsn, "UPDATE titles SET length_text = '1:00:00'")
	must(t, fixture.Migrate(t.Context(), dsn, 4, closed))
}

func TestAMigrationStandsBackFromALockAndTriesAgain(t *testing.T) {
	dsn := fixture.Database(t, 1)
	reader, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer func() { _ = reader.Close(context.WithoutCancel(t.Context())) }()
	tx, err := reader.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT count(*) FROM titles")
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- fixture.Migrate(t.Context(), dsn, 2, nil) }()

	// It has waited for its lock in vain when PostgreSQL says so in its log.
	refused := func() int { return strings.Count(fixture.Log(t), "canceling statement due to lock timeout") }
	before := refused()
	must(t, realserver.Until("two attempts", func() error {
		select {
		case err := <-done:
			return fmt.Errorf("%w: it did not wait for the reader: %w", realserver.ErrEnded, err)
		default:
		}
		if refused() < before+2 {
			return errors.New("fewer")
		}
		return nil
	}))
	must(t, tx.Rollback(t.Context()))
	must(t, <-done)
}

func TestThereIsOneMigrationAtATime(t *testing.T) {
	dsn := fixture.Database(t, 3)
	err := fixture.Migrate(t.Context(), dsn, 4, func(ctx context.Context) error {
		return fixture.Migrate(ctx, dsn, 4, closed)
	})
	if err == nil || !strings.Contains(err.Error(), "another migration is running") {
		t.Errorf("got %v", err)
	}
}

func TestWhatHoldsALockForTooLongIsEnded(t *testing.T) {
	dsn := fixture.Database(t, 2)
	fixture.Exec(t, dsn, "INSERT INTO titles (name, state, length_text) SELECT 'a', 'ready', '0:00:01' FROM generate_series(1, 120)")
	// Each row takes 4 ms: 50 of them too long, 25 may do.
	fixture.Exec(t, dsn, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.004); RETURN new; END'")
	fixture.Exec(t, dsn, "CREATE TRIGGER slow BEFORE UPDATE ON titles FOR EACH ROW EXECUTE FUNCTION slow()")
	ended := strings.Count(fixture.Log(t), "canceling statement due to statement timeout")
	must(t, fixture.Migrate(t.Context(), dsn, 3, nil))
	var empty int
	must(t, fixture.Pool(t, dsn).QueryRow(t.Context(), "SELECT count(*) FROM titles WHERE duration_ms IS NULL").Scan(&empty))
	if n := strings.Count(fixture.Log(t), "canceling statement due to statement timeout") - ended; n == 0 || empty != 0 {
		t.Errorf("%d batches were ended, %d rows are empty", n, empty)
	}
}

func TestALoadedDatabaseIsGivenTime(t *testing.T) {
	calm := database.Pause(database.Load{})
	for _, l := range []database.Load{{Waiting: 3}, {Lag: 3 * time.Second}} {
		if l.Calm() || database.Pause(l) <= calm {
			t.Errorf("%+v: a pause of %s", l, database.Pause(l))
		}
	}
	for attempt := range 50 {
		if d := database.Retry(attempt, 1); d <= 0 || d > 2*time.Second {
			t.Errorf("attempt %d: %s", attempt, d)
		}
	}
	for _, c := range []struct {
		size int
		took time.Duration
		want int
	}{{50, time.Millisecond, 100}, {150, time.Millisecond, 200}, {50, 15 * time.Millisecond, 50}, {50, time.Second, 25}, {1, time.Second, 1}} {
		if got := database.NextBatch(c.size, 200, c.took); got != c.want {
			t.Errorf("after %d rows in %s: %d", c.size, c.took, got)
		}
	}
}
