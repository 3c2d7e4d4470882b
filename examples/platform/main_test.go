package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

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

func TestTheAppIsStartedAndEndedByItsCommandAndTellsItsViewers(t *testing.T) {
	dsn, server := fixture.Database(t, 0), fixture.BucketConfig(t)
	keys := filepath.Join(t.TempDir(), "keys")
	must(t, os.WriteFile(keys, []byte(server.Key+" "+server.Secret+"\n"), 0o600))
	places := []string{"-db", dsn, "-s3", server.Endpoint, "-s3-keys", keys}
	with := func(args ...string) []string { return append(args, places...) }

	must(t, run(t.Context(), with("bucket")))
	must(t, run(t.Context(), with("migrate", "-to", "3")))
	must(t, run(t.Context(), with("migrate")))
	if err := run(t.Context(), with("migrate", "-to", "4")); err == nil || !strings.Contains(err.Error(), "rollback window") {
		t.Fatalf("a contract without a word of Greenroom: %v", err)
	}
	ports, err := realserver.Ports(1)
	must(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, with("app", "-version", "v2", "-listen", address)) }()
	must(t, realserver.Until("the app", func() error {
		select {
		case err := <-ended:
			return fmt.Errorf("%w: %w", realserver.ErrEnded, err)
		default:
		}
		resp, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}))
	conn, _, err := websocket.Dial(t.Context(), "http://"+address+"/api/chat", nil)
	must(t, err)
	defer func() { _ = conn.CloseNow() }()
	cancel()
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the chat ended with %v", err)
	}
	must(t, <-ended)
}

func TestAMistakeInACommandIsNamed(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"", "say what to run"},
		{"nothing", "say what to run"},
		{"app -version v9 -s3-keys x", `no version "v9"`},
		{"app -color red", `-color "red": want blue or green`},
		{"app more", `"more" is not expected`},
		{"worker -s3-keys /nowhere", "/nowhere"},
		{"migrate -to x", "invalid value"},
	} {
		err := run(t.Context(), strings.Fields(c.args))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}
