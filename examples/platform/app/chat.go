package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
)

// The chat's messages, as JSON. A client sends {"id","text"}, with an id of its
// own choice that it never uses again; it keeps the message until it comes back
// to it as an entry, with its id, and sends it again on each new connection until
// then. It connects with the seq of the last entry it has seen.
type message struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// said is the body of an entry.
type said struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Limits of a chat's connection.
const (
	maxMessage = 4 << 10
	maxID      = 64
	past       = 50 // entries for who has seen none
	ping       = 30 * time.Second
	sending    = 10 * time.Second
)

func (a *App) chat(w http.ResponseWriter, r *http.Request) {
	after, err := number(r, "after")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Query().Get("after") == "" {
		last, err := a.feed.Last(r.Context(), feed.Chat)
		if err != nil {
			a.Log.Error("cannot read the chat", "error", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		after = max(0, last-past)
	}
	viewer := session(w, r)
	a.sockets.Add(1)
	defer a.sockets.Done()
	conn, err := websocket.Accept(w, r, nil) // it refuses other sites' pages, by Origin
	if err != nil {
		return // the client has been told
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxMessage)
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- a.hear(ctx, conn, viewer) }()
	go func() { ended <- a.tell(ctx, conn, after) }()
	waiting := 2
	select {
	case err = <-ended:
		waiting--
	case <-a.restarting.Done():
		err = closing{websocket.StatusServiceRestart, "service restart"}
	}
	code := closing{websocket.StatusInternalError, "try again"}
	if c, ok := errors.AsType[closing](err); ok {
		code = c
	}
	_ = conn.Close(code.code, code.reason) // else the client has gone
	stop()
	for range waiting {
		<-ended
	}
}

// closing is an end that a client is told.
type closing struct {
	code   websocket.StatusCode
	reason string
}

func (c closing) Error() string { return c.reason }

// hear takes what a client says. One message is in the database before the next
// is read.
func (a *App) hear(ctx context.Context, conn *websocket.Conn, viewer string) error {
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil || m.ID == "" || len(m.ID) > maxID {
			return closing{websocket.StatusPolicyViolation, "not a message"}
		}
		text, err := line("text", m.Text, 500)
		if err != nil {
			return closing{websocket.StatusPolicyViolation, err.Error()}
		}
		name, err := a.name(ctx, viewer)
		if err == nil {
			_, err = a.feed.Append(ctx, feed.Chat, viewer, m.ID, said{name, text})
		}
		if err != nil {
			if ctx.Err() == nil {
				a.Log.Error("cannot take a message", "error", err)
			}
			return err // the client sends it again, on another connection
		}
	}
}

// tell sends a client what it has not seen, and what comes.
func (a *App) tell(ctx context.Context, conn *websocket.Conn, after int64) error {
	return a.feed.Follow(ctx, &a.bell, feed.Chat, after, ping, func(e feed.Entry) error {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, sending)
		defer cancel()
		return conn.Write(ctx, websocket.MessageText, data)
	}, func() error {
		ctx, cancel := context.WithTimeout(ctx, sending)
		defer cancel()
		return conn.Ping(ctx)
	})
}
