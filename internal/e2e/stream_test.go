package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// streams is an upstream that holds long-lived exchanges. Each goes on for as
// long as the test wants, one piece for each tick.
func streams(color string, done <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, append([]byte(color+" "), message...)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/sse", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; ; n++ {
			select {
			case <-done:
				fmt.Fprintf(w, "event: end\ndata: %s %d\n\n", color, n)
				return
			default:
				fmt.Fprintf(w, "data: %s %d\n\n", color, n)
				_ = http.NewResponseController(w).Flush()
				pause(r.Context())
			}
		}
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		n, err := io.Copy(hash, r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s %d %s", color, n, hex.EncodeToString(hash.Sum(nil)))
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(downloadPieces*len(piece)))
		for n := range downloadPieces {
			if n == downloadPieces-1 {
				<-done // the last piece comes when all has been done to it
			}
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
			pause(r.Context())
		}
	})
	mux.Handle("/", saying(color))
	return mux
}

const downloadPieces = 200

var piece = strings.Repeat("0123456789abcdef", 64)

// pause paces a stream; nothing depends on how long it is.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stream is one long-lived exchange of a client: run returns nil when it ended
// whole, on the color it began on.
type stream struct {
	name string
	run  func(ctx context.Context, e *edge, done <-chan struct{}, began func()) error
}

var longLived = []stream{
	{"WebSocket", runWebSocket}, {"SSE", runSSE}, {"upload", runUpload}, {"download", runDownload},
}

func TestStreamsOutliveTwentyFlipsFiveReloadsAndARamp(t *testing.T) {
	done := make(chan struct{})
	blue, green := newBackend(t, streams("blue", done)), newBackend(t, streams("green", done))
	services := func(comment string) string {
		return fmt.Sprintf(`
		service app {
			blue %s
			green %s
			health http /healthz
			balance %s
		}`, blue.address, green.address, comment)
	}
	e := newEdge(t, services("round_robin"))
	e.start()
	e.healthy()

	const each = 3
	var began atomic.Int64
	results := make(chan error, each*len(longLived))
	for _, s := range longLived {
		for range each {
			go func() {
				err := s.run(t.Context(), e, done, func() { began.Add(1) })
				if err != nil {
					err = fmt.Errorf("%s: %w", s.name, err)
				}
				results <- err
			}()
		}
	}
	e.until("all streams have begun", func() bool { return began.Load() == int64(each*len(longLived)) })

	for i := range 20 {
		flip(e, 1, func(int) {})
		if i%4 == 3 {
			e.write(services([]string{"least_inflight", "round_robin", "hash"}[i/4%3]), siteBlueGreen)
			e.reload()
		}
		flipBack(e)
	}
	ramp := switcher.Ramp{{Weight: 10}, {Weight: 50, Hold: 50 * time.Millisecond}, {Weight: 90}}
	if _, err := e.client().Cutover(t.Context(), switcher.CutoverRequest{
		Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green, Ramp: &ramp,
	}); err != nil {
		t.Fatal(err)
	}
	e.until("the ramp has reached green", func() bool { return e.view().Active == switcher.Green })

	v := e.view()
	if v.Blue.Inflight != each*int64(len(longLived)) || v.Blue.SafeToStop || v.Phase != switcher.Draining {
		t.Errorf("while its streams run blue has %d in-flight, safe to stop %v, phase %s", v.Blue.Inflight, v.Blue.SafeToStop, v.Phase)
	}
	close(done)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	e.until("blue is safe to stop", func() bool { return e.view().Blue.SafeToStop })
	if last := e.view().Last; last == nil || last.Result != switcher.ResultDone || last.Evicted != 0 {
		t.Errorf("the last move: %+v", last)
	}
	if e.stop(); t.Failed() {
		e.explain()
	}
}

// flipBack brings the service to blue, where the streams are.
func flipBack(e *edge) {
	e.t.Helper()
	if _, err := e.client().Rollback(e.t.Context(), switcher.RollbackRequest{Request: switcher.Request{Services: []string{"app"}}}); err != nil {
		e.t.Fatal(err)
	}
}

func runWebSocket(ctx context.Context, e *edge, done <-chan struct{}, began func()) error {
	c, _, err := websocket.Dial(ctx, "ws://"+e.http+"/ws", nil)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	for n := 0; ; n++ {
		message := fmt.Sprintf("message %d", n)
		if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			return fmt.Errorf("after %d messages: %w", n, err)
		}
		_, answer, err := c.Read(ctx)
		if err != nil {
			return fmt.Errorf("after %d messages: %w", n, err)
		}
		if string(answer) != "blue "+message {
			return fmt.Errorf("message %d came back as %q", n, answer)
		}
		if n == 0 {
			began()
		}
		select {
		case <-done:
			return c.Close(websocket.StatusNormalClosure, "")
		default:
			pause(ctx)
		}
	}
}

func runSSE(ctx context.Context, e *edge, _ <-chan struct{}, began func()) error {
	resp, err := get(ctx, "http://"+e.http+"/sse", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := 0
	for ended := false; lines.Scan(); {
		switch line := lines.Text(); {
		case line == "event: end":
			ended = true
		case strings.HasPrefix(line, "data: "):
			if want := fmt.Sprintf("data: blue %d", next); line != want {
				return fmt.Errorf("%q instead of %q", line, want)
			}
			if ended {
				return lines.Err()
			}
			if next++; next == 1 {
				began()
			}
		}
	}
	return fmt.Errorf("ended after %d events: %w", next, lines.Err())
}

func runUpload(ctx context.Context, e *edge, done <-chan struct{}, began func()) error {
	hash, sent := sha256.New(), 0
	reader, writer := io.Pipe()
	go func() {
		for {
			n, err := writer.Write([]byte(piece))
			if err != nil {
				return
			}
			hash.Write([]byte(piece)[:n])
			if sent += n; sent == 4*len(piece) {
				began()
			}
			select {
			case <-done:
				_ = writer.Close()
				return
			default:
				pause(ctx)
			}
		}
	}()
	resp, err := get(ctx, "http://"+e.http+"/upload", reader)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", sent, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if want := fmt.Sprintf("blue %d %s", sent, hex.EncodeToString(hash.Sum(nil))); err != nil || string(answer) != want {
		return fmt.Errorf("the upstream received %q, not %q: %w", answer, want, err)
	}
	return nil
}

func runDownload(ctx context.Context, e *edge, _ <-chan struct{}, began func()) error {
	resp, err := get(ctx, "http://"+e.http+"/download", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	began()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", len(body), err)
	}
	if string(body) != strings.Repeat(piece, downloadPieces) {
		return fmt.Errorf("%d bytes, not those that were sent", len(body))
	}
	return nil
}

// get asks with GET, or with POST where there is a body, on a connection of
// its own.
func get(ctx context.Context, url string, body io.Reader) (*http.Response, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp, err
}
