package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Client speaks to a Server. Its methods are the Switcher's, over the socket:
// the errors are *Problem, in which errors.Is finds the switcher's own, or
// wrap ErrUnreachable. It holds no connection open between calls.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the server that listens on socket; see
// FindSocket. Nothing is dialed yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dialPatiently(ctx, socket)
		if err != nil && ctx.Err() == nil {
			return nil, unreachable(socket, err)
		}
		return conn, err
	}
	return &Client{socket: socket, http: &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// In an upgrade the socket changes hands: for a moment it is not there, and what
// its processes lock is.
const (
	handoverPatience = 2 * time.Second
	handoverStep     = 10 * time.Millisecond
)

// dialPatiently dials again for a moment if nobody listens where an edge has been.
func dialPatiently(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	for began := time.Now(); ; {
		conn, err := d.DialContext(ctx, "unix", socket)
		nobody := errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
		if !nobody || time.Since(began) > handoverPatience {
			return conn, err
		}
		if _, missing := os.Lstat(socket + ".lock"); missing != nil {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return conn, err
		case <-time.After(handoverStep):
		}
	}
}

// Socket returns the path of the socket.
func (c *Client) Socket() string { return c.socket }

// Services returns all services, sorted by name.
func (c *Client) Services(ctx context.Context) ([]switcher.ServiceView, error) {
	body, err := get[servicesBody](ctx, c, "/v1/services")
	return body.Services, err
}

// View returns one service.
func (c *Client) View(ctx context.Context, name string) (switcher.ServiceView, error) {
	return get[switcher.ServiceView](ctx, c, servicePath(name, ""))
}

// History returns the latest moves of a service, newest first.
func (c *Client) History(ctx context.Context, name string) ([]switcher.Move, error) {
	body, err := get[historyBody](ctx, c, servicePath(name, "/history"))
	return body.Moves, err
}

// Fleet returns what the edges of the fleet report, in JSON: a
// consul.FleetReport.
func (c *Client) Fleet(ctx context.Context) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, c, "/v1/fleet")
}

// Plan says what a cutover would do now.
func (c *Client) Plan(ctx context.Context, req switcher.CutoverRequest) (switcher.Plan, error) {
	return post[switcher.Plan](ctx, c, "plan", req.Services, req)
}

// Cutover moves all traffic to a color.
func (c *Client) Cutover(ctx context.Context, req switcher.CutoverRequest) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "cutover", req.Services, req)
}

// Split gives a color a fixed weight.
func (c *Client) Split(ctx context.Context, req switcher.SplitRequest) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "split", req.Services, req)
}

// Rollback goes back to the color before.
func (c *Client) Rollback(ctx context.Context, req switcher.RollbackRequest) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "rollback", req.Services, req)
}

// Drain waits for the idle color to finish its work.
func (c *Client) Drain(ctx context.Context, req switcher.DrainRequest) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "drain", req.Services, req)
}

// Hold stops a ramp where it is.
func (c *Client) Hold(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "hold", req.Services, req)
}

// Resume goes on with a held ramp.
func (c *Client) Resume(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "resume", req.Services, req)
}

// Abort undoes the cutover under way.
func (c *Client) Abort(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "abort", req.Services, req)
}

// Lock keeps services where they are.
func (c *Client) Lock(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "lock", req.Services, req)
}

// Unlock lets them move again.
func (c *Client) Unlock(ctx context.Context, req switcher.Request) (switcher.Receipt, error) {
	return post[switcher.Receipt](ctx, c, "unlock", req.Services, req)
}

func servicePath(name, rest string) string { return "/v1/services/" + url.PathEscape(name) + rest }

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return decode[T](c.do(ctx, http.MethodGet, path, nil))
}

func post[T any](ctx context.Context, c *Client, verb string, services []string, req any) (T, error) {
	var none T
	if len(services) == 0 {
		return none, fmt.Errorf("%w: no service named", switcher.ErrInvalid)
	}
	body, err := json.Marshal(req)
	if err != nil {
		return none, err
	}
	return decode[T](c.do(ctx, http.MethodPost, servicePath(services[0], "/"+verb), body))
}

// do returns an answer of status 200, whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://greenroom"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	err = problemIn(resp)
	if closing := resp.Body.Close(); closing != nil {
		err = errors.Join(err, closing)
	}
	return nil, err
}

// explain takes the made-up URL out of an error.
func (c *Client) explain(ctx context.Context, err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if ctx.Err() != nil || errors.Is(err, ErrUnreachable) {
		return err
	}
	return fmt.Errorf("%w: %s: it hung up, as it does when it stops or has too many connections: %w",
		ErrUnreachable, c.socket, err)
}

func problemIn(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	p := new(Problem)
	if kind != "application/problem+json" || json.Unmarshal(text, p) != nil {
		return fmt.Errorf("unexpected answer %s: %s", resp.Status, cut(string(text), 300))
	}
	return p
}

func decode[T any](resp *http.Response, err error) (T, error) {
	var result T
	if err != nil {
		return result, err
	}
	err = json.NewDecoder(resp.Body).Decode(&result)
	if err != nil {
		err = fmt.Errorf("answer: %w", err)
	}
	return result, errors.Join(err, resp.Body.Close())
}
