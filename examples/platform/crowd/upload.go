package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Upload has a viewer upload a video as the page does, by a ticket, and returns
// when it can be played.
func (c *Crowd) Upload(ctx context.Context, name string, video []byte) error {
	who := person()
	var ticket struct{ ID, Method, URL string }
	if _, err := c.ask(ctx, who, http.MethodPost, "/api/uploads", map[string]any{"name": name, "size": len(video)}, &ticket); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, ticket.Method, ticket.URL, bytes.NewReader(video))
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: lines}).Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the bucket answers %s", resp.Status)
	}
	if _, err := c.ask(ctx, who, http.MethodPost, "/api/uploads/"+ticket.ID+"/done", nil, new(json.RawMessage)); err != nil {
		return err
	}
	for {
		var catalog struct {
			Titles []struct{ Name, State string }
		}
		if _, err := c.ask(ctx, who, http.MethodGet, "/api/catalog", nil, &catalog); err != nil {
			return err
		}
		for _, title := range catalog.Titles {
			switch {
			case title.Name != name:
			case title.State == "ready":
				return nil
			case title.State == "failed":
				return fmt.Errorf("%s cannot be encoded", name)
			}
		}
		if !pause(ctx, looking) {
			return context.Cause(ctx)
		}
	}
}
