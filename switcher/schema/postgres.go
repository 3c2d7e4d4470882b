package schema

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/greenroom-proxy/greenroom/internal/ask"
)

// DefaultQuery reads what golang-migrate and others like it keep. golang-migrate
// writes a version with dirty set before it runs the migration: such a row comes
// back as "dirty" and the version. Where there is no column of that name, to_jsonb
// has none either.
const DefaultQuery = `SELECT coalesce(
	'dirty ' || max(version) FILTER (WHERE to_jsonb(m.*)->>'dirty' NOT IN ('false', '0')),
	max(version)::text) FROM schema_migrations AS m`

// Postgres reads the version by a query, in a transaction that cannot write, on
// a connection of its own for each check.
type Postgres struct {
	// DSN is where the database is: "host=… dbname=… user=…" or postgres://….
	// What it leaves out comes from where libpq takes it: PGHOST and the like, a
	// service file, a password file.
	DSN ask.Secret
	// Password of the user. Default: nil, that of DSN or of a password file.
	Password ask.Secret
	// Query returns one row of one column: the version, or "dirty" and the version
	// while a migration to it is not done. Default: DefaultQuery.
	Query string
}

// keyword finds passwords in a DSN of the form key=value.
var keyword = regexp.MustCompile(`(?i)(^|[\s'])(ssl)?password\s*=`)

// HasPassword reports whether a DSN holds a password itself: then it must not
// stand in a config that can be shown.
func HasPassword(dsn string) bool {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return keyword.MatchString(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return true // who knows
	}
	if _, has := u.User.Password(); has {
		return true
	}
	for name := range u.Query() {
		if strings.EqualFold(name, "password") || strings.EqualFold(name, "sslpassword") {
			return true
		}
	}
	return false
}

// Validate reports a DSN or a password that cannot be read, or not be used. It
// connects to nothing.
func (p *Postgres) Validate() error {
	_, err := p.config()
	return err
}

func (p *Postgres) config() (*pgconn.Config, error) {
	dsn, err := p.DSN.Read()
	if err != nil {
		return nil, fmt.Errorf("dsn: %w", err)
	}
	config, err := pgconn.ParseConfig(dsn)
	if err != nil { // whose text may have parts of the DSN
		return nil, errors.New(`dsn: PostgreSQL cannot use it: want "host=… dbname=… user=…" or postgres://…, and files that it names must be there`)
	}
	password, err := p.Password.Read()
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	if password != "" {
		config.Password = password
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "greenroom"
	}
	return config, nil
}

// Version implements Reader.
func (p *Postgres) Version(ctx context.Context) (int64, error) {
	config, err := p.config()
	if err != nil {
		return 0, err
	}
	text, err := p.query(ctx, config)
	if err != nil {
		said := ask.Without(strings.Join(strings.Fields(err.Error()), " "), config.Password)
		return 0, errors.New(ask.Line(said))
	}
	if version, dirty := strings.CutPrefix(text, "dirty"); dirty {
		return 0, fmt.Errorf("the migration to version %s is running or has failed: it is marked dirty; let it end, or mend the schema and take the mark away",
			ask.Line(version))
	}
	return parseVersion(text)
}

func (p *Postgres) query(ctx context.Context, config *pgconn.Config) (string, error) {
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing was written
	}()
	begin := "BEGIN READ ONLY"
	if deadline, ok := ctx.Deadline(); ok {
		begin += fmt.Sprintf("; SET LOCAL statement_timeout = %d", max(time.Until(deadline).Milliseconds(), 1))
	}
	if _, err := conn.Exec(ctx, begin).ReadAll(); err != nil {
		return "", err
	}
	// Without a name, so that it passes a pooler, and of one statement only.
	reader := conn.ExecParams(ctx, or(p.Query, DefaultQuery), nil, nil, nil, nil)
	return oneValue(reader)
}

// oneValue reads the only value of a result. What is left of it after an error
// goes with the connection.
func oneValue(reader *pgconn.ResultReader) (string, error) {
	var found []string
	for reader.NextRow() {
		values := reader.Values()
		switch {
		case len(found) > 0:
			return "", errors.New("the query returned more than one row: want the version alone")
		case len(values) != 1:
			return "", fmt.Errorf("the query returned %d columns: want the version alone", len(values))
		case values[0] == nil:
			return "", errors.New("the query returned NULL: has no migration been run?")
		}
		found = append(found, string(values[0]))
	}
	if _, err := reader.Close(); err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("the query returned no row: want the version")
	}
	return found[0], nil
}

func (p *Postgres) String() string { return "PostgreSQL" }

var _ Reader = (*Postgres)(nil)
