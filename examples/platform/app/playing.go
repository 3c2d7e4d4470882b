package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
)

// played is the body of an entry: what somebody has begun to play.
type played struct {
	Title int64  `json:"title"`
	Name  string `json:"name"`
}

// live is the number of the live stream among titles.
const live = 0

func (a *App) play(ctx context.Context, r *http.Request, viewer string) (any, error) {
	var in struct {
		ID    string
		Title int64
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if in.ID == "" || len(in.ID) > maxID {
		return nil, problem{http.StatusBadRequest, "an id of your choice is missing or too long"}
	}
	name := "live"
	if in.Title != live {
		err := a.DB.QueryRow(ctx, "SELECT name FROM titles WHERE id = $1", in.Title).Scan(&name)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, problem{http.StatusNotFound, "no such title"}
		}
		if err != nil {
			return nil, err
		}
	}
	return a.feed.Append(ctx, feed.Playing, viewer, in.ID, played{in.Title, name})
}

// heartbeat is how often a silent stream says something.
const heartbeat = 15 * time.Second

// playing is a stream of events, each with its number: a client that comes back
// gets what it has missed, on whichever instance.
func (a *App) playing(w http.ResponseWriter, r *http.Request) {
	after, err := a.lastEvent(r)
	if err != nil {
		status := http.StatusInternalServerError
		if p, ok := errors.AsType[problem](err); ok {
			status = p.status
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer context.AfterFunc(a.restarting, stop)()
	out := http.NewResponseController(w)
	send := func(text string) error {
		// Not all servers have deadlines: httptest's recorder for one.
		if err := out.SetWriteDeadline(time.Now().Add(sending)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
		return out.Flush()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if err := send("retry: 2000\n\n"); err != nil {
		return
	}
	err = a.feed.Follow(ctx, &a.bell, feed.Playing, after, heartbeat, func(e feed.Entry) error {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return send(fmt.Sprintf("id: %d\nevent: playing\ndata: %s\n\n", e.Seq, data))
	}, func() error { return send(": still here\n\n") })
	if ctx.Err() == nil {
		a.Log.Info("a stream of events has ended", "error", err)
	}
}

// lastEvent is the number after which a client wants events: what it says, or
// that before the newest.
func (a *App) lastEvent(r *http.Request) (int64, error) {
	text := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after"))
	if text == "" {
		last, err := a.feed.Last(r.Context(), feed.Playing)
		return max(0, last-1), err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, problem{http.StatusBadRequest, "the last event is no number"}
	}
	return n, nil
}
