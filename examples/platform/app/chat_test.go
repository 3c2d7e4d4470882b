package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
)

// chatter is a client that keeps to the chat's rules, on bad connections.
type chatter struct {
	who    *http.Client
	name   string
	seen   []feed.Entry
	outbox []string // ids of messages that have not come back, oldest first
	told   *atomic.Int64
}

// last is the number of the last entry that it has seen.
func (c *chatter) last() int64 {
	if len(c.seen) == 0 {
		return 0
	}
	return c.seen[len(c.seen)-1].Seq
}

// visit connects to an instance, sends all of its outbox, reads n entries or until
// it is sent away, and leaves without a word.
func (c *chatter) visit(ctx context.Context, url string, n int) error {
	conn, _, err := websocket.Dial(ctx, fmt.Sprintf("%s/api/chat?after=%d", url, c.last()), &websocket.DialOptions{HTTPClient: c.who})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	for _, id := range c.outbox {
		text, err := json.Marshal(map[string]string{"id": id, "text": c.name + " says " + id})
		if err != nil {
			return err
		}
		if conn.Write(ctx, websocket.MessageText, text) != nil {
			break // sent away: Read says how
		}
	}
	for range n {
		_, data, err := conn.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusServiceRestart {
			c.told.Add(1)
			return nil
		}
		if err != nil {
			return err
		}
		var e feed.Entry
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		c.seen = append(c.seen, e)
		if len(c.outbox) > 0 && strings.Contains(string(e.Body), c.name+" says "+c.outbox[0]+`"`) {
			c.outbox = c.outbox[1:]
		}
	}
	return nil
}

// talk says n messages, up to five at a time, and has seen all of them when it
// returns.
func (c *chatter) talk(ctx context.Context, n int, address func() string) error {
	for sent := 0; sent < n || len(c.outbox) > 0; {
		for len(c.outbox) < 5 && sent < n {
			sent++
			c.outbox = append(c.outbox, fmt.Sprint(sent))
		}
		if err := c.visit(ctx, address(), rand.IntN(len(c.outbox)+1)); err != nil {
			return err
		}
	}
	return nil
}

func TestNoMessageIsLostOrDoubledBetweenTwoVersionsOfTheApp(t *testing.T) {
	const chatters, each = 5, 40
	dsn := fixture.Database(t, 2)
	v1, v2 := start(t, dsn, "v1", nil), start(t, dsn, "v2", nil)
	var visits, told atomic.Int64
	address := func() string {
		n := visits.Add(1)
		if n == 60 {
			v1.stop() // who is there is sent away, and so is who comes
		}
		if n%2 == 0 {
			return v1.URL
		}
		return v2.URL
	}
	all := make([]*chatter, chatters)
	var talking sync.WaitGroup
	for i := range all {
		all[i] = &chatter{who: viewer(t), name: fmt.Sprint("chatter ", i), told: &told}
		talking.Go(func() {
			if err := all[i].talk(t.Context(), each, address); err != nil {
				t.Error(err)
			}
		})
	}
	if talking.Wait(); t.Failed() {
		return
	}
	for _, c := range all {
		must(t, c.visit(t.Context(), v2.URL, chatters*each-len(c.seen)))
		said := map[string]int{}
		for i, e := range c.seen {
			if e.Seq != int64(i+1) {
				t.Fatalf("%s saw %d as number %d", c.name, e.Seq, i+1)
			}
			said[e.Author+" "+e.ID]++
		}
		if len(said) != chatters*each {
			t.Errorf("%s saw %d messages", c.name, len(said))
		}
	}
	if told.Load() == 0 {
		t.Error("nobody was told to go elsewhere")
	}
	t.Logf("%d messages, %d connections, %d sent away", chatters*each, visits.Load(), told.Load())
}

// events reads n events of what is playing, and returns their ids.
func events(t *testing.T, url, last string, n int, meanwhile func()) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/api/playing", nil)
	must(t, err)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	meanwhile()
	lines := bufio.NewScanner(resp.Body)
	for len(ids) < n && lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestEventsGoOnWhereTheyWereOnTheOtherVersion(t *testing.T) {
	dsn := fixture.Database(t, 2)
	v1, v2 := start(t, dsn, "v1", nil), start(t, dsn, "v2", nil)
	who, n := viewer(t), 0
	play := func(at instance) func() {
		return func() {
			n++
			for range 2 { // the second is the first again
				status, err := call(t.Context(), who, "POST", at.URL+"/api/playing", map[string]any{"id": fmt.Sprint(n), "title": 0}, nil)
				if err != nil || status != http.StatusOK {
					t.Errorf("%d, %v", status, err)
				}
			}
		}
	}
	if got := fmt.Sprint(events(t, v1.URL, "", 1, play(v2))); got != "[1]" {
		t.Errorf("v1 sent %s", got)
	}
	play(v1)()
	play(v2)()
	if got := fmt.Sprint(events(t, v2.URL, "1", 3, play(v1))); got != "[2 3 4]" {
		t.Errorf("v2 went on with %s", got)
	}
	if got := fmt.Sprint(events(t, v1.URL, "", 1, func() {})); got != "[4]" {
		t.Errorf("one that comes first sees %s", got)
	}
	if got := fmt.Sprint(events(t, v1.URL, "4", 1, v1.stop)); got != "[]" {
		t.Errorf("a stream of an instance that stops sent %s", got)
	}
}
