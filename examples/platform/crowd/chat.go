package crowd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
)

// saying is how often each chatter says something, and again how soon they
// connect again.
const (
	saying = 500 * time.Millisecond
	again  = 300 * time.Millisecond
)

// chatter keeps to the chat's rules: what has not come back is sent again on each
// new connection, and what comes is what comes after the last that was seen.
// Its fields are guarded by Crowd.mu.
type chatter struct {
	name   string
	who    *http.Client
	last   int64           // the number of the last entry, 0 before any
	seen   map[string]bool // by id
	outbox map[string]bool // by id
	quiet  bool
}

func (c *Crowd) chat(ctx context.Context, one *chatter) {
	for {
		c.visit(ctx, one) // however it ends
		if !pause(ctx, again) {
			return
		}
		c.count(func(r *Report) { r.Again++ })
	}
}

// visit is one connection.
func (c *Crowd) visit(ctx context.Context, one *chatter) {
	c.mu.Lock()
	url := fmt.Sprintf("%s/api/chat?after=%d", "ws"+strings.TrimPrefix(c.URL, "http"), one.last)
	c.mu.Unlock()
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Jar: one.who.Jar, Transport: lines}})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	ctx, leave := context.WithCancel(ctx)
	said := make(chan struct{})
	defer func() { leave(); <-said }()
	go func() {
		defer close(said)
		c.talk(ctx, conn, one)
	}()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var e feed.Entry
		if json.Unmarshal(data, &e) != nil {
			return
		}
		c.hear(one, e)
	}
}

// talk sends what is in the outbox, and then more.
func (c *Crowd) talk(ctx context.Context, conn *websocket.Conn, one *chatter) {
	c.mu.Lock()
	waiting := make([]string, 0, len(one.outbox))
	for id := range one.outbox {
		waiting = append(waiting, id)
	}
	c.mu.Unlock()
	for _, id := range waiting {
		if c.send(ctx, conn, one, id) != nil {
			return
		}
	}
	for pause(ctx, saying) {
		id := rand.Text()
		c.mu.Lock()
		quiet := one.quiet
		if !quiet {
			one.outbox[id], c.said[id] = true, true
			c.report.Said++
		}
		c.mu.Unlock()
		if !quiet && c.send(ctx, conn, one, id) != nil {
			return
		}
	}
}

func (c *Crowd) send(ctx context.Context, conn *websocket.Conn, one *chatter, id string) error {
	text, err := json.Marshal(map[string]string{"id": id, "text": one.name + " says " + id})
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, text)
}

// hear takes an entry. Numbers have no gaps.
func (c *Crowd) hear(one *chatter, e feed.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Heard++
	switch {
	case e.Seq <= one.last || one.seen[e.ID]:
		c.report.Doubled++
	case e.Seq > one.last+1:
		c.report.Lost += int(e.Seq - one.last - 1)
	}
	one.last, one.seen[e.ID] = max(one.last, e.Seq), true
	delete(one.outbox, e.ID)
}
