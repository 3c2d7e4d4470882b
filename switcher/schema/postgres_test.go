package schema

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// says is a Secret that is what it says.
func says(text string) ask.Secret { return func() (string, error) { return text, nil } }

func startPostgres(t *testing.T) *realserver.Postgres {
	t.Helper()
	p, err := realserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// run has the database carry out statements.
func run(t *testing.T, p *realserver.Postgres, statements string) {
	t.Helper()
	if err := p.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

func TestTheVersionIsReadFromARealPostgreSQL(t *testing.T) {
	p := startPostgres(t)
	run(t, p, "CREATE TABLE schema_migrations (version bigint); CREATE TABLE names (name text); INSERT INTO names VALUES ('v7'), ('v8')")
	for _, c := range []struct {
		name, before, query string
		want                int64
		says                string
	}{
		{"no migration yet", "", "", 0, "returned NULL"},
		{"the newest", "INSERT INTO schema_migrations VALUES (12), (14), (13)", "", 14, ""},
		{"a query of one's own", "", "SELECT version FROM schema_migrations ORDER BY 1 LIMIT 1", 12, ""},
		{"a number in a text", "", "SELECT '20260131093000'::text", 20260131093000, ""},
		{"several rows", "", "SELECT version FROM schema_migrations", 0, "more than one row"},
		{"no row", "", "SELECT version FROM schema_migrations WHERE version > 100", 0, "returned no row"},
		{"two columns", "", "SELECT 1, 2", 0, "returned 2 columns"},
		{"no number", "", "SELECT max(name) FROM names", 0, `"v8" is no version`},
		{"no such table", "", "SELECT version FROM nowhere", 0, `relation "nowhere" does not exist`},
		{"two statements", "", "SELECT 1; SELECT 2", 0, "multiple commands"},
		{"something that writes", "", "INSERT INTO schema_migrations VALUES (99) RETURNING version", 0, "read-only transaction"},
		{"a million rows", "", "SELECT generate_series(1, 10000000)", 0, "more than one row"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != "" {
				run(t, p, c.before)
			}
			got, err := (&Postgres{DSN: says(p.DSN()), Query: c.query}).Version(t.Context())
			if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
	t.Run("a query that takes too long", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := (&Postgres{DSN: says(p.DSN()), Query: "SELECT pg_sleep(60)"}).Version(ctx); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a gate on it", func(t *testing.T) {
		g := &Gate{Reader: &Postgres{DSN: says(p.DSN())}}
		in := toGreen(upstreams("blue", "12..14"), upstreams("green", "14..15"))
		gets(t, g.Check(t.Context(), in), switcher.Pass, false)
		run(t, p, "INSERT INTO schema_migrations VALUES (15)") // the contract, too early
		gets(t, g.Check(t.Context(), in), switcher.Refuse, true, "at version 15", "blue works with 14 at most", "blue1:80")
	})
}

func TestAMigrationThatIsNotDoneIsNoVersion(t *testing.T) {
	p := startPostgres(t)
	g := &Gate{Reader: &Postgres{DSN: says(p.DSN())}}
	in := toGreen(upstreams("blue", "12..14"), upstreams("green", "14..15"))
	for _, c := range []struct {
		name, table string
		want        switcher.Decision
		says        []string
	}{
		{"clean", "(version bigint, dirty boolean NOT NULL); INSERT INTO schema_migrations VALUES (14, false)", switcher.Pass, nil},
		{"dirty", "(version bigint, dirty boolean NOT NULL); INSERT INTO schema_migrations VALUES (14, true)", switcher.Wait,
			[]string{"the migration to version 14 is running or has failed", "dirty"}},
		{"one of several is dirty", "(version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (15, false), (14, true), (13, NULL)", switcher.Wait,
			[]string{"the migration to version 14 is running"}},
		{"on the way to no version", "(version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (-1, true)", switcher.Wait, []string{"version -1 is running"}},
		{"a number as a mark", "(version bigint, dirty int); INSERT INTO schema_migrations VALUES (14, 1)", switcher.Wait, []string{"version 14 is running"}},
		{"no mark as a number", "(version bigint, dirty int); INSERT INTO schema_migrations VALUES (14, 0)", switcher.Pass, nil},
		{"a mark that is not known", "(version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (14, NULL)", switcher.Pass, nil},
		{"no such column", "(version bigint, name text); INSERT INTO schema_migrations VALUES (14, 'dirty')", switcher.Pass, nil},
		{"versions in texts", "(version varchar, dirty boolean); INSERT INTO schema_migrations VALUES ('14', false)", switcher.Pass, nil},
		{"no row", "(version bigint, dirty boolean)", switcher.Wait, []string{"returned NULL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, p, "DROP TABLE IF EXISTS schema_migrations; CREATE TABLE schema_migrations "+c.table)
			gets(t, g.Check(t.Context(), in), c.want, false, c.says...)
		})
	}
}

func TestAPasswordComesFromASecretOrAPasswordFileAndIsNeverShown(t *testing.T) {
	p := startPostgres(t)
	query := "SELECT 7"
	read := func(dsn string, password ask.Secret) (int64, error) {
		return (&Postgres{DSN: says(dsn), Password: password, Query: query}).Version(t.Context())
	}
	if got, err := read(p.LoopbackDSN(), says(realserver.PostgresPassword+"\n")); got != 7 || err != nil {
		t.Errorf("with a secret: %d, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "pgpass")
	if err := os.WriteFile(file, []byte("127.0.0.1:*:*:*:"+realserver.PostgresPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := read(p.LoopbackDSN()+" passfile="+file, nil); got != 7 || err != nil {
		t.Errorf("with a password file: %d, %v", got, err)
	}
	const wrong = "this-is-the-wrong-one"
	_, err := read(p.LoopbackDSN(), says(wrong))
	if err == nil || !strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), wrong) {
		t.Errorf("with a wrong one: %v", err)
	}
	_, err = read("postgres://u:"+wrong+"@127.0.0.1:1/x", nil)
	if err == nil || strings.Contains(err.Error(), wrong) {
		t.Errorf("nobody there: %v", err)
	}
	_, err = read("postgres://u:"+wrong+"@127.0.0.1:port/x", nil)
	if err == nil || strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "dsn: PostgreSQL cannot use it") {
		t.Errorf("a DSN that is none: %v", err)
	}
	_, err = read(p.LoopbackDSN(), func() (string, error) { return "", errors.New("{file./x}: not there") })
	if err == nil || !strings.Contains(err.Error(), "password: {file./x}") {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestADSNWithAPasswordIsRecognized(t *testing.T) {
	for dsn, want := range map[string]bool{
		"host=db dbname=app user=greenroom":      false,
		"host=db passfile=/run/secrets/pgpass":   false,
		"service=app":                            false,
		"postgres://greenroom@db/app":            false,
		"postgres://db/app?sslmode=verify-full":  false,
		"host=db password=x":                     true,
		"password = x":                           true,
		"host=db PASSWORD='x'":                   true,
		"host=db sslpassword=x":                  true,
		"postgres://greenroom:x@db/app":          true,
		"postgresql://db/app?password=x":         true,
		"postgres://db/app?user=a&sslpassword=x": true,
		"postgres://a b:x@db/app":                true,
	} {
		if HasPassword(dsn) != want {
			t.Errorf("%s: want %t", dsn, want)
		}
	}
}
