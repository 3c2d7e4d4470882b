package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// The exit codes of greenroom rollback-window, besides 0.
const (
	exitUndone = 15
	exitWindow = 20
)

// wants fails unless a command ended so, and said all of words.
func (o output) wants(t *testing.T, code int, words ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("want exit code %d: %s", code, o)
	}
	for _, w := range words {
		if !strings.Contains(o.stdout+o.stderr, w) {
			t.Errorf("no %q in: %s", w, o)
		}
	}
}

// board is a server that agrees to cutovers, or does not.
type board struct {
	*httptest.Server
	no    atomic.Pointer[string]
	mu    sync.Mutex
	asked []map[string]any // guarded by mu
}

func newBoard(t *testing.T, secret string) *board {
	b := new(board)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			http.Error(w, "who are you? "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		var doc map[string]any
		if err != nil || json.Unmarshal(body, &doc) != nil {
			t.Errorf("%v: %s", err, body)
		}
		b.mu.Lock()
		b.asked = append(b.asked, doc)
		b.mu.Unlock()
		if no := b.no.Load(); no != nil {
			http.Error(w, *no, http.StatusConflict)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *board) last() map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[len(b.asked)-1]
}

func TestAServerThatDoesNotAgreeRefusesACutoverAndFreezesARamp(t *testing.T) {
	const secret = "only-the-board-knows-this"
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	b := newBoard(t, secret)
	e := newEdge(t, "")
	file := filepath.Join(e.dir, "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.write(checkedApp(blue.address, green.address, fmt.Sprintf(`
			sticky none
			on_failure freeze
			gate http %s/flip?team=hidden {
				name change-board
				header Authorization "Bearer {file.%s}"
			}`, b.URL, file)), siteBlueGreen)
	e.start()
	e.healthy()

	b.no.Store(new("no flips on Friday\nand a second line"))
	const why = `app, gate "change-board": POST http://127.0.0.1:`
	e.cli("plan", "app", "--to", "green").wants(t, exitRefused, why, "/flip answered 409: no flips on Friday")
	if doc := b.last(); doc["dry_run"] != true || doc["id"] != nil {
		t.Errorf("a plan was posted as %v", doc)
	}
	var plan switcher.Plan
	out := e.cli("plan", "app", "--to", "green", "--json")
	if err := json.Unmarshal([]byte(out.stdout), &plan); err != nil || len(plan.Gates) != 3 || plan.Gates[1].Gate != "change-board" || plan.Gates[1].Decision != switcher.Refuse {
		t.Errorf("%v: %s", err, out)
	}
	out = e.cli("cutover", "app", "--to", "green", "--reason", "1.5.0")
	out.wants(t, exitRefused, why, "/flip answered 409: no flips on Friday")
	if strings.Contains(out.stdout+out.stderr, "second line") || strings.Contains(out.stdout+out.stderr, "hidden") {
		t.Errorf("too much is shown: %s", out)
	}
	if doc := b.last(); doc["dry_run"] != false || doc["service"] != "app" || doc["to"] != "green" || doc["reason"] != "1.5.0" || doc["id"] == "" {
		t.Errorf("posted %v", doc)
	}
	if body := fetch(t, "http://"+e.http+"/"); body != "blue" {
		t.Errorf("%q answers", body)
	}

	b.no.Store(nil)
	e.cli("cutover", "app", "--to", "green", "--ramp", "10:hold", "--no-wait").wants(t, 0)
	e.until("the ramp has begun", func() bool { return e.view().Split.Green == 10 })
	b.no.Store(new("p99 has doubled"))
	e.cli("resume", "app", "--no-wait").wants(t, 0)
	e.until("the ramp is frozen", func() bool { c := e.view().Cutover; return c.Held != nil && c.Held.By == "greenroom" })
	e.cli("status", "app").wants(t, 0, "p99 has doubled; frozen")
	if v := e.view(); v.Split.Green != 10 {
		t.Errorf("frozen at %s", v.Split)
	}
	b.no.Store(nil)
	e.cli("resume", "app").wants(t, 0, "app: green serves 100%")

	b.Close()
	e.cli("cutover", "app", "--to", "blue", "--gate-timeout", "1s").wants(t, exitRefused, "waited 1s", why, "connection refused")
	if strings.Contains(e.log.String(), secret) || strings.Contains(fetch(t, "http://"+e.admin+"/config/"), secret) {
		t.Error("the secret is in the log or the config")
	}
}

func TestTheTargetIsWarmBeforeTheFirstRequest(t *testing.T) {
	var warm, cold atomic.Int64
	blue := newBackend(t, saying("blue"))
	green := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/warm" {
			warm.Add(1)
			return
		}
		if warm.Load() < 25 {
			cold.Add(1)
		}
		_, _ = io.WriteString(w, "green")
	}))
	e := newEdge(t, checkedApp(blue.address, green.address, `
			gate warmup /warm {
				requests 25
			}`))
	e.start()
	e.healthy()
	e.cli("plan", "app", "--to", "green").wants(t, 0, "warmup", "a cutover begins with 25 × GET /warm to each of 1 upstreams")
	if n := warm.Load(); n != 0 {
		t.Errorf("a plan sent %d requests", n)
	}
	e.cli("cutover", "app", "--to", "green").wants(t, 0)
	if body := fetch(t, "http://"+e.http+"/"); body != "green" || warm.Load() != 25 || cold.Load() != 0 {
		t.Errorf("%q answers after %d requests to warm it, %d before", body, warm.Load(), cold.Load())
	}
}

// migrate has the database carry out statements.
func migrate(t *testing.T, p *realserver.Postgres, statements string) {
	t.Helper()
	if err := p.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

func TestTheSchemaOfARealPostgreSQLDecidesWhenToCutOverAndWhenToContract(t *testing.T) {
	db, err := realserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	migrate(t, db, "CREATE TABLE schema_migrations (version bigint); INSERT INTO schema_migrations VALUES (12)")
	t.Setenv("E2E_PG_PASSWORD", realserver.PostgresPassword)
	blue, green := newBackend(t, saying("v1")), newBackend(t, saying("v2"))
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue {
				%s schema_min=12 schema_max=13
			}
			green {
				%s schema_min=13 schema_max=14
			}
			health http /healthz {
				interval 100ms
			}
			gate schema {
				postgres {
					dsn "%s"
					password {env.E2E_PG_PASSWORD}
				}
			}
			gate_timeout 2s
		}`, blue.address, green.address, db.LoopbackDSN()))
	e.start()
	e.healthy()

	// Not before the schema is expanded.
	e.cli("rollback-window", "app").wants(t, exitWindow, "no cutover has been completed")
	e.cli("cutover", "app", "--to", "green").wants(t, exitRefused,
		`gate "schema": the schema is at version 12, and green needs 13 at least (`+green.address+" declares 13..14)")
	migrate(t, db, "INSERT INTO schema_migrations VALUES (13)")
	e.cli("plan", "app", "--to", "green").wants(t, 0, "version 13 suits both colors")
	e.cli("cutover", "app", "--to", "green", "--rollback-window", "1h").wants(t, 0)

	// Not contracted while a rollback is open.
	e.cli("rollback-window", "app").wants(t, exitWindow, "a rollback to blue is reckoned with until")
	e.cli("plan", "app", "--to", "blue").wants(t, 0, "version 13 suits both colors") // a way back
	e.cli("rollback", "app").wants(t, 0)
	e.cli("rollback-window", "app", "--wait").wants(t, exitUndone, "blue serves again")
	e.cli("cutover", "app", "--to", "green", "--rollback-window", "500ms").wants(t, 0)
	e.cli("rollback-window", "app", "--wait").wants(t, 0, "rollback window closed")
	migrate(t, db, "INSERT INTO schema_migrations VALUES (14)")

	// The way back is closed by the schema, and an operator may take it still.
	e.cli("plan", "app", "--to", "blue").wants(t, exitRefused, "the schema is at version 14, and blue works with 13 at most")
	e.cli("cutover", "app", "--to", "blue").wants(t, exitRefused, "blue works with 13 at most")
	e.cli("rollback", "app").wants(t, 0)
	if last := e.view().Last; last.Kind != switcher.KindRollback || !strings.Contains(last.Detail, "the rollback window of app was closed") {
		t.Errorf("history: %+v", last)
	}

	// A database that is away is waited for, and its password is nowhere.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	e.cli("cutover", "app", "--to", "green").wants(t, exitRefused, "waited 2s", "the schema's version cannot be read (PostgreSQL)")
	if strings.Contains(e.log.String(), realserver.PostgresPassword) || strings.Contains(fetch(t, "http://"+e.admin+"/config/"), realserver.PostgresPassword) {
		t.Error("the password is in the log or the config")
	}
}
