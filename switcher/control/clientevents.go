package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Update is one thing an event stream says: either where the services stand,
// or one change.
type Update struct {
	// Hello holds the services as they are: first, and again after events
	// were lost. It replaces all that is known; nil in a change.
	Hello []switcher.ServiceView
	// Event is the change, where Hello is nil. One that follows a Hello may
	// be contained in it already, by its Generation.
	Event switcher.Event
}

// ErrStreamEnded says that the server ended an event stream, as it does when
// it stops. Ask again.
var ErrStreamEnded = errors.New("the event stream ended")

// Events yields every change of the services named, or of all, until the loop
// breaks. The last pair, and only that, has an error: of ctx, ErrStreamEnded,
// or any that the other methods return.
//
//	for update, err := range client.Events(ctx, "app") {
//		switch {
//		case err != nil:
//			return err
//		case update.Hello != nil:
//			show(update.Hello)
//		default:
//			change(update.Event)
//		}
//	}
func (c *Client) Events(ctx context.Context, services ...string) iter.Seq2[Update, error] {
	path := "/v1/events"
	if len(services) > 0 {
		path += "?" + url.Values{"service": services}.Encode()
	}
	return func(yield func(Update, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resp, err := c.do(ctx, http.MethodGet, path, nil)
		if err != nil {
			yield(Update{}, err)
			return
		}
		defer resp.Body.Close()
		in := bufio.NewReader(resp.Body)
		for {
			update, err := nextUpdate(in)
			if !yield(update, streamError(ctx, err)) || err != nil {
				return
			}
		}
	}
}

func streamError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrStreamEnded
	}
	return fmt.Errorf("%w: %w", ErrStreamEnded, err)
}

// nextUpdate reads to the end of an event that has data.
func nextUpdate(in *bufio.Reader) (Update, error) {
	var event, data []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return Update{}, err
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			if data != nil {
				return parseUpdate(string(event), data)
			}
			continue
		}
		switch field, value, _ := bytes.Cut(line, []byte(": ")); string(field) {
		case "event":
			event = value
		case "data":
			data = value
		}
	}
}

func parseUpdate(event string, data []byte) (Update, error) {
	if event != hello {
		var u Update
		err := json.Unmarshal(data, &u.Event)
		return u, err
	}
	body := servicesBody{Services: []switcher.ServiceView{}}
	err := json.Unmarshal(data, &body)
	return Update{Hello: body.Services}, err
}
