package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// node is a command of Node with its own WebSocket client. Before Node 22 that
// is behind a flag, which later ones accept.
func node(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	const flag = "--experimental-websocket"
	out, err := exec.Command("node", flag, "-p", "process.version + ' ' + typeof WebSocket").CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), " function") {
		t.Fatalf("this test wants Node on PATH with a WebSocket client of its own, which is 22 or later, or 20.10 or later with %s: %v: %s", flag, err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, "node", append([]string{flag, "--no-warnings"}, args...)...)
}

// numbers is an upstream of WebSockets that sends numbered messages, and counts
// those that have come back.
func numbers(returned *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go talker{conn: c, every: 20 * time.Millisecond}.say(ctx)
		for {
			if _, _, err := c.Read(ctx); err != nil {
				return
			}
			returned.Add(1)
		}
	})
}

func TestNodesWebSocketsSeeACleanCloseWithItsCode(t *testing.T) {
	const count = 20
	var returned atomic.Int64
	blue, green := newBackend(t, numbers(&returned)), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n drain_timeout 1s\n evict 20\n}", blue.address, green.address))
	e.start()
	e.healthy()

	cmd := node(t, "testdata/websockets.mjs", "ws://"+e.http+"/", fmt.Sprint(count))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.until("all exchange messages", func() bool { return returned.Load() >= 5*count && e.view().Blue.Inflight == count })
	if _, err := e.client().Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green}); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var ends []struct {
		Messages      int
		Wrong, Reason string
		Code          int
		Clean         bool
	}
	if err := json.Unmarshal(stdout.Bytes(), &ends); err != nil || len(ends) != count {
		t.Fatalf("%d ends, %v: %s\n%s", len(ends), err, &stdout, &stderr)
	}
	for i, end := range ends {
		if end.Code != 1012 || !end.Clean || end.Reason == "" || end.Wrong != "" || end.Messages == 0 {
			t.Errorf("%d: %+v", i, end)
		}
	}
	t.Logf("the first: %+v", ends[0])
	e.evicted(count)
}
