package crowd

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	regularsEvery  = 100 * time.Millisecond // each of them
	newcomersEvery = 50 * time.Millisecond
)

// regular is somebody who has played something, and looks at the catalog again
// and again.
func (c *Crowd) regular(ctx context.Context) {
	who := person()
	for played := false; ; {
		if !played {
			played = c.play(ctx, who) == nil
		}
		c.look(ctx, who)
		if !pause(ctx, regularsEvery) {
			return
		}
	}
}

// newcomers look at the catalog once each.
func (c *Crowd) newcomers(ctx context.Context) {
	for pause(ctx, newcomersEvery) {
		who := person()
		c.look(ctx, who)
	}
}

// Look has somebody look at the catalog, and returns the color that has answered.
func (c *Crowd) Look(ctx context.Context) (color string, err error) {
	return c.ask(ctx, person(), http.MethodGet, "/api/catalog", nil, new(json.RawMessage))
}

func (c *Crowd) look(ctx context.Context, who *http.Client) {
	color, err := c.ask(ctx, who, http.MethodGet, "/api/catalog", nil, new(json.RawMessage))
	if ctx.Err() != nil {
		return
	}
	c.count(func(r *Report) {
		if r.Catalog == nil {
			r.Catalog = make(map[string]Answers)
		}
		answers := r.Catalog[color]
		if err != nil {
			answers.Failed++
		} else {
			answers.OK++
		}
		r.Catalog[color] = answers
	})
}

// play says that somebody has begun to watch the live stream.
func (c *Crowd) play(ctx context.Context, who *http.Client) error {
	_, err := c.ask(ctx, who, http.MethodPost, "/api/playing", map[string]any{"id": rand.Text(), "title": 0}, new(json.RawMessage))
	return err
}

// ask asks the app, and returns the color that has answered, also with an error
// that says that it could not.
func (c *Crowd) ask(ctx context.Context, who *http.Client, method, path string, in, out any) (color string, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := who.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	color = resp.Header.Get("X-Greenroom-Color")
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return color, err
	}
	if resp.StatusCode != http.StatusOK {
		return color, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(said))
	}
	return color, json.Unmarshal(said, out)
}
