package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also what the child processes of other users run.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(childMain(spec))
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests start processes of other users: run them as root")
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// openDir returns a new directory with a short path, which every user can
// enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "greenroom-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openAudit(t *testing.T) *Audit {
	t.Helper()
	a, err := OpenAudit(filepath.Join(openDir(t), "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// entries verifies the log and returns its lines.
func entries(t *testing.T, a *Audit) []entry {
	t.Helper()
	data, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	return parseEntries(t, data)
}

func parseEntries(t *testing.T, data []byte) (list []entry) {
	t.Helper()
	if len(data) == 0 {
		return nil
	}
	for line := range bytesLines(data) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("line %q: %s", line, err)
		}
		list = append(list, e)
	}
	return list
}

// started is a server that runs until the test ends.
type started struct {
	*Server
	*Client
	audit *Audit
	stop  func() error // may be called more than once
}

func start(t *testing.T, sw Switcher, settings Settings) *started {
	t.Helper()
	if settings.Socket == "" {
		settings.Socket = filepath.Join(openDir(t), "s", "control.sock")
	}
	audit := openAudit(t)
	return startHandler(t, settings, NewHandler(sw, audit, nil), audit)
}

func startHandler(t *testing.T, settings Settings, h http.Handler, audit *Audit) *started {
	t.Helper()
	server, err := Listen(settings, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	s := &started{Server: server, Client: NewClient(settings.Socket), audit: audit}
	s.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run: %s", err)
		}
	})
	return s
}

func (s *started) path() string { return s.Server.Socket() }

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// raw sends text as it is, and returns the answer with its problem, if any.
func raw(t *testing.T, path, text string) (*http.Response, Problem) {
	t.Helper()
	conn := dial(t, path)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, text) }() // the answer may come first
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p Problem
	if resp.StatusCode != http.StatusOK && resp.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatalf("%q: %s", body, err)
		}
	}
	return resp, p
}

func allow(uid uint32, role Role) Policy { return Policy{[]Rule{{UID: &uid, Role: role}}} }

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// logBuffer collects what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
