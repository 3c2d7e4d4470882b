package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAServiceThatIsRemovedDrainsBothItsColors(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	blue, green := newBackend(t, streams("blue", done)), newBackend(t, streams("green", done))
	with := fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n drain_deadline websocket 5s\n evict 100\n}", blue.address, green.address)
	other := fmt.Sprintf("service other {\n blue %s\n green %s\n}", blue.address, green.address)
	e := newEdge(t, with+"\n"+other)
	e.start()
	e.healthy()
	onBlue := e.echoing(t)
	if out := e.cli("cutover", "app", "--to", "green", "--no-wait", "--drain-deadline", "websocket=1h"); out.code != 0 {
		t.Fatal(out)
	}
	onGreen := e.echoing(t)
	e.write(other, "blue_green other")
	e.reload()
	for _, c := range []*websocket.Conn{onBlue, onGreen} {
		echo(t, c) // a reload cuts nothing
	}
	page, err := e.client().Streams(t.Context(), "app", switcher.StreamQuery{})
	if err != nil || page.Total != 2 {
		t.Errorf("what is left of the service: %+v, %v", page, err)
	}
	for _, c := range []*websocket.Conn{onBlue, onGreen} {
		if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Errorf("a stream of the removed service ended with %v", err)
		}
	}
	e.until("nothing is left", func() bool {
		return strings.Contains(e.log.String(), "nothing is left of the service that was removed")
	})
	if out := e.cli("streams", "app"); out.code != 16 {
		t.Errorf("the service is still known: %s", out)
	}
	e.stop()
}
