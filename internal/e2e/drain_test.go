package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestADrainCutsWhatIsLeftAtItsDeadlineAndNotBefore(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	blue, green := newBackend(t, streams("blue", done)), newBackend(t, streams("green", done))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	e.start()
	e.healthy()

	c := e.echoing(t)
	sse := make(chan error, 1)
	began := make(chan struct{})
	go func() { sse <- runSSE(t.Context(), e, done, func() { close(began) }) }()
	<-began

	if out := e.cli("cutover", "app", "--to", "green", "--drain-timeout", "1h", "--no-wait"); out.code != 0 {
		t.Fatal(out)
	}
	v := e.view()
	if v.Phase != switcher.Draining || v.Blue.Inflight != 2 || v.Blue.SafeToStop {
		t.Errorf("%s, %d in-flight, safe %v", v.Phase, v.Blue.Inflight, v.Blue.SafeToStop)
	}
	for _, s := range v.Cutover.Draining.Streams {
		if s.ETA.Sub(s.Deadline) != 7*time.Second { // two, one a second, and their time to leave
			t.Errorf("%d %s until %s, gone by %s", s.Count, s.Kind, s.Deadline, s.ETA)
		}
	}
	if n := len(v.Cutover.Draining.Streams); n != 2 {
		t.Errorf("%d kinds are left", n)
	}
	echo(t, c) // the flip has cut nothing
	if out := e.cli("abort", "app"); out.code != 0 {
		t.Fatal(out)
	}
	echo(t, c)
	out := e.cli("cutover", "app", "--to", "green", "--drain-timeout", "300ms")
	if out.code != 0 || !strings.Contains(out.stdout, "blue is safe to stop") || !strings.Contains(out.stdout, "2 cut") {
		t.Errorf("want 2 cut: %s", out)
	}
	if _, _, err := c.Read(t.Context()); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the WebSocket is still there: %v", err)
	}
	if err := <-sse; err == nil || !strings.Contains(err.Error(), "ended after") {
		t.Errorf("the SSE stream: %v", err)
	}
}

func echo(t *testing.T, c *websocket.Conn) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// echoing opens a WebSocket to the service "app", and has heard an answer on it.
func (e *edge) echoing(t *testing.T) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), "ws://"+e.http+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	echo(t, c)
	return c
}
