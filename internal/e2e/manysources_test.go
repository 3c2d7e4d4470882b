package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// sources is an upstream of streams that go on until done, and then tell the
// hash of all they were.
func sources(color string, done <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		if (talker{conn: c, every: sourceEvery, done: done}).talk(r.Context()) == nil {
			_, _, _ = c.Read(r.Context()) // the close
		}
	})
	mux.HandleFunc("/sse", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		sum := sha256.New()
		drip(r.Context(), w, done, func(n int) {
			fmt.Fprintf(io.MultiWriter(w, sum), "data: %d %s\n\n", n, randomText())
		})
		fmt.Fprintf(w, "data: %x\n\n", sum.Sum(nil))
	})
	mux.HandleFunc("/live", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		drip(r.Context(), w, done, func(int) { _, _ = io.WriteString(io.MultiWriter(w, sum), randomText()) })
		_, _ = io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		const size = 256 << 10
		w.Header().Set("Content-Length", fmt.Sprint(size+2*sha256.Size))
		sum, left := sha256.New(), size
		drip(r.Context(), w, done, func(int) {
			text := randomText()
			text = text[:min(len(text), left/2)]
			left -= len(text)
			_, _ = io.WriteString(io.MultiWriter(w, sum), text)
		})
		_, _ = io.WriteString(io.MultiWriter(w, sum), strings.Repeat("z", left))
		_, _ = io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, account(uint64(n), sum))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Color", color)
		mux.ServeHTTP(w, r)
	})
}

// sourceEvery is between two pieces of a stream, about.
const sourceEvery = 300 * time.Millisecond

func randomText() string {
	text := make([]byte, rand.N(700))
	for i := range text {
		text[i] = 'a' + byte(rand.N(26))
	}
	return string(text)
}

// drip writes pieces until done.
func drip(ctx context.Context, w http.ResponseWriter, done <-chan struct{}, write func(n int)) {
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-done:
			return
		default:
		}
		write(n)
		_ = http.NewResponseController(w).Flush()
		rest(ctx, sourceEvery/2+rand.N(sourceEvery))
	}
}

func watchWebSocket(ctx context.Context, e *edge, w watch) (int64, error) {
	c, res, err := websocket.Dial(ctx, "ws://"+e.http+"/ws", &websocket.DialOptions{HTTPClient: tornClient()})
	if err != nil {
		return 0, err
	}
	defer c.CloseNow()
	if err := w.isFrom(res); err != nil {
		return 0, err
	}
	if err := (talker{conn: c, every: sourceEvery, done: w.done, first: w.began}).talk(ctx); err != nil {
		return 0, err
	}
	return 0, c.Close(websocket.StatusNormalClosure, "")
}

// isFrom reports whether the right color has answered.
func (w watch) isFrom(res *http.Response) error {
	if got := res.Header.Get("X-Color"); got != w.color {
		return fmt.Errorf("the answer is from %q", got)
	}
	return nil
}

func (w watch) get(ctx context.Context, e *edge, path string, body io.Reader) (*http.Response, error) {
	res, err := get(ctx, "http://"+e.http+path, body)
	if err != nil {
		return nil, err
	}
	if err := w.isFrom(res); err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

func watchSSE(ctx context.Context, e *edge, w watch) (bytes int64, err error) {
	res, err := w.get(ctx, e, "/sse", nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	sum, lines := sha256.New(), bufio.NewReader(res.Body)
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			return bytes, fmt.Errorf("event %d: %w", n, err)
		}
		if empty, err := lines.ReadString('\n'); err != nil || empty != "\n" {
			return bytes, fmt.Errorf("event %d ends with %q, %w", n, empty, err)
		}
		if line == fmt.Sprintf("data: %x\n", sum.Sum(nil)) {
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				return bytes, fmt.Errorf("after its end: %q, %w", rest, err)
			}
			return bytes, nil
		}
		if !strings.HasPrefix(line, fmt.Sprintf("data: %d ", n)) {
			return bytes, fmt.Errorf("%.40q where event %d was due", line, n)
		}
		if n == 0 {
			w.began()
		}
		bytes += int64(len(line)) + 1
		_, _ = io.WriteString(sum, line+"\n")
	}
}

// watchBody is a download whose last bytes are the hash of those before.
func watchBody(path string) func(context.Context, *edge, watch) (int64, error) {
	return func(ctx context.Context, e *edge, w watch) (int64, error) {
		res, err := w.get(ctx, e, path, nil)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		w.began()
		body, err := io.ReadAll(res.Body)
		at := len(body) - 2*sha256.Size
		switch {
		case err != nil:
			return int64(len(body)), err
		case at < 0:
			return int64(len(body)), errors.New("it has no end")
		case fmt.Sprintf("%x", sha256.Sum256(body[:at])) != string(body[at:]):
			return int64(at), errors.New("the bytes are not those that were sent")
		}
		return int64(at), nil
	}
}

// pieces is a body of an upload that goes on until done.
type pieces struct {
	ctx   context.Context
	watch watch
	n     atomic.Int64
	sum   hash.Hash
	left  string
	begun bool
}

func (p *pieces) Read(b []byte) (int, error) {
	for p.left == "" {
		if p.n.Load() > 0 {
			if !p.begun {
				p.begun = true
				p.watch.began()
			}
			rest(p.ctx, sourceEvery/2+rand.N(sourceEvery))
		}
		select {
		case <-p.watch.done:
			return 0, io.EOF
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		default:
			p.left = randomText()
		}
	}
	n := copy(b, p.left)
	p.sum.Write(b[:n])
	p.n.Add(int64(n))
	p.left = p.left[n:]
	return n, nil
}

func watchUpload(ctx context.Context, e *edge, w watch) (int64, error) {
	p := &pieces{ctx: ctx, watch: w, sum: sha256.New()}
	res, err := w.get(ctx, e, "/upload", p)
	if err != nil {
		return p.n.Load(), err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if want := account(uint64(p.n.Load()), p.sum); err != nil || string(answer) != want {
		return p.n.Load(), fmt.Errorf("the upstream received %q, not %q: %w", answer, want, err)
	}
	return p.n.Load(), nil
}
