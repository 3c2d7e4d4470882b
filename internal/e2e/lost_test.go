package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAnEdgeThatHasLostItsStateSaysSoUntilSomebodyHasMovedIt(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	e.start()
	e.healthy()
	for range 2 {
		flip(e, 1, func(int) {})
		flipBack(e)
	}
	e.until("nothing moves", func() bool { return e.view().Phase == switcher.Steady })
	e.kill()
	for _, name := range []string{"state.json", "state.json.prev"} {
		if err := os.Truncate(filepath.Join(e.dir, "state", name), 20); err != nil {
			t.Fatal(err)
		}
	}
	e.start()
	e.healthy()
	warned := func() bool {
		return strings.Contains(e.cli("status").stdout, "could not be read when the edge started")
	}
	if !warned() {
		t.Errorf("status says nothing of the lost state: %s", e.cli("status"))
	}
	if out := e.cli("cutover", "app", "--to", "green"); out.code != 0 {
		t.Error(out)
	}
	if warned() {
		t.Error("status still warns after an operator has moved the service")
	}
}

func TestAPreviewDoesNotKeepAColorFromDraining(t *testing.T) {
	done := make(chan struct{})
	blue, green := newBackend(t, streams("blue", done)), newBackend(t, saying("green"))
	e := newEdge(t, "")
	e.write(fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n preview {\n host 127.0.0.1\n }\n}", blue.address, green.address), siteBlueGreen)
	e.start()
	e.healthy()
	if body := fetch(t, "http://"+e.http+"/"); body != "green" {
		t.Errorf("the preview shows %q", body)
	}
	if out := e.cli("cutover", "app", "--to", "green"); out.code != 0 {
		t.Fatal(out)
	}
	if body := fetch(t, "http://"+e.http+"/"); body != "blue" {
		t.Errorf("the preview of the idle color shows %q", body)
	}
	c, _, err := websocket.Dial(t.Context(), "ws://"+e.http+"/ws", nil) // on blue, by the preview
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	echo(t, c)
	if out := e.cli("drain", "app", "--no-wait"); out.code != 0 {
		t.Fatal(out)
	}
	resp, err := get(t.Context(), "http://"+e.http+"/", nil)
	if err == nil {
		resp.Body.Close()
		t.Error("a color that drains takes a preview")
	} else if !strings.Contains(err.Error(), "503") {
		t.Error(err)
	}
	echo(t, c)
	close(done)
	c.CloseNow()
	e.until("blue is safe to stop", func() bool { return e.view().Blue.SafeToStop })
}

func TestAtAStopTunnelsMayEndWithinTheGracePeriod(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	blue := newBackend(t, streams("blue", done))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n health http /healthz\n}", blue.address))
	e.start()
	e.healthy()
	c, _, err := websocket.Dial(t.Context(), "ws://"+e.http+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		e.stop()
	}()
	e.until("the edge is stopping", func() bool { return strings.Contains(e.log.String(), "grace period initiated") })
	e.until("the control socket is gone", func() bool { _, err := e.client().Services(t.Context()); return err != nil })
	for range 20 {
		echo(t, c) // it goes on while the edge waits for it
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	<-stopped
}
