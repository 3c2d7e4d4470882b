package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// streaming is an upstream that echoes WebSocket messages on /ws, and on /sse
// sends an event for each value of beat.
func streaming(t *testing.T, text string, beat <-chan int) string {
	return upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, message, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, message) != nil {
					return
				}
			}
		case "/sse":
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			for n := range beat {
				fmt.Fprintf(w, "data: %d\n\n", n)
				_ = http.NewResponseController(w).Flush()
			}
		default:
			_, _ = io.WriteString(w, text)
		}
	})
}

// echo sends a message through c and wants it back.
func echo(t *testing.T, c *websocket.Conn, message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, c.Write(ctx, websocket.MessageText, []byte(message)))
	_, got, err := c.Read(ctx)
	must(t, err)
	equal(t, "echo", string(got), message)
}

// webSocket opens a WebSocket, and again where ask would ask again.
func (h *house) webSocket() *websocket.Conn {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	options := &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	c, _, err := websocket.Dial(ctx, "ws://"+h.http+"/ws", options)
	for errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		c, _, err = websocket.Dial(ctx, "ws://"+h.http+"/ws", options)
	}
	must(h.t, err)
	h.t.Cleanup(func() { c.CloseNow() })
	return c
}

// variants is the configs that the reloads go through: each changes something
// else. The service app has upstreams blue and green in all of them.
func (h *house) variants(blue, green, more string) []string {
	app := func(options ...string) string { return pair("app", blue, green, options...) }
	control := func(options string) string {
		return fmt.Sprintf("control {\n\tsocket %s\n\t%s\n}\n", h.socket(), options)
	}
	other := fmt.Sprintf("control {\n\tsocket %s\n}\n", filepath.Join(h.dir, "other.sock"))
	audit := control("audit " + filepath.Join(h.dir, "other.jsonl"))
	return []string{
		control("") + app(),
		control("") + app("balance round_robin", "retries 1", "sticky none"),
		control("") + strings.Replace(app(), "green "+green, "green "+green+" "+more, 1),
		control("") + strings.Replace(app(), "interval 100ms", "interval 200ms", 1),
		control("") + app() + pair("extra", more, more),
		other + app(),
		audit + app("ramp 10:1m"),
		control("group 0") + app(),
		control("") + strings.Replace(app(), quickCheck, quickCheck+"health http / {\n\tinterval 100ms\n}\n", 1),
	}
}

func TestAHundredReloadsDropNothingAndForgetNoHealth(t *testing.T) {
	beat := make(chan int)
	blue, green, more := streaming(t, "blue", beat), saying(t, "green"), saying(t, "more")
	h := newHouse(t)
	h.load(pair("app", blue, green), "blue_green app")
	h.healthy("app")
	events, cancel := active.Load().switcher.Subscribe()
	defer cancel()

	ws := h.webSocket()
	sse, err := http.Get("http://" + h.http + "/sse")
	must(t, err)
	defer sse.Body.Close()
	lines := bufio.NewReader(sse.Body)

	ctx, stop := context.WithCancel(t.Context())
	var asked, failed atomic.Int64
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { h.keepAsking(ctx, &asked, &failed) })
	}
	variants := h.variants(blue, green, more)
	for n := range 100 {
		goal := asked.Load() + 10
		must(t, h.try(h.caddyfile(variants[n%len(variants)], "blue_green app")))
		until(t, "some more requests are answered", func() bool { return asked.Load() >= goal })
		echo(t, ws, fmt.Sprint("message ", n))
		beat <- n
		line, err := lines.ReadString('\n')
		must(t, err)
		equal(t, "event", line, fmt.Sprintf("data: %d\n", n))
		_, err = lines.ReadString('\n')
		must(t, err)
		for len(events) > 0 {
			e := <-events
			if e.Type == switcher.EventHealth && !strings.HasPrefix(e.Detail, more) || e.Type == switcher.EventLost {
				t.Errorf("after reload %d: %s", n, e.Detail)
			}
		}
	}
	stop()
	group.Wait()
	close(beat)
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

// keepAsking makes one request after the other until ctx ends. A connection
// that ends without an answer is Caddy's doing: a listener that it replaces
// resets what it had not accepted, and a server that shuts down may close a
// connection that has just brought a request. It is asked again.
func (h *house) keepAsking(ctx context.Context, asked, failed *atomic.Int64) {
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		var status int
		var body []byte
		var err error
		for range 5 {
			if status, body, err = askOnce(transport, "http://"+h.http+"/"); err == nil {
				break
			}
		}
		if err == nil && (status != http.StatusOK || string(body) != "blue") {
			err = fmt.Errorf("status %d, body %q", status, body)
		}
		if err != nil && failed.Add(1) <= 5 {
			h.t.Errorf("a request in a reload: %v", err)
		}
		asked.Add(1)
	}
}

func askOnce(transport *http.Transport, url string) (status int, body []byte, err error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

func TestOldConfigsAreForgottenWhileTheirWebSocketsRun(t *testing.T) {
	blue, green := streaming(t, "blue", nil), streaming(t, "green", nil)
	h := newHouse(t)
	var collected atomic.Int64
	var sockets []*websocket.Conn
	const configs = 10
	for n := range configs {
		h.load(pair("app", blue, green, fmt.Sprint("retries ", n)), "blue_green app")
		app := active.Load().inForce.Load()
		goruntime.AddCleanup(app, func(struct{}) { collected.Add(1) }, struct{}{})
		if h.healthy("app"); n == 1 { // from here on both colors serve, and are compared
			_, err := h.client().Split(t.Context(), switcher.SplitRequest{
				Request: switcher.Request{Services: []string{"app"}}, Color: switcher.Green, Weight: 50,
			})
			must(t, err)
		}
		if n < 3 {
			sockets = append(sockets, h.webSocket())
		}
		h.get("/")
	}
	until(t, "all configs but the last are collected", func() bool {
		goruntime.GC()
		return collected.Load() >= configs-1
	})
	for _, c := range sockets {
		echo(t, c, "still here")
	}
}

func TestAfterAStopNoGoroutineIsLeft(t *testing.T) {
	h := newHouse(t)
	blue, green, more := streaming(t, "blue", nil), saying(t, "green"), saying(t, "more")
	h.load(pair("app", blue, green), "blue_green app")
	h.healthy("app")
	must(t, caddy.Stop()) // what Caddy keeps for good runs from here on
	before := goleak.IgnoreCurrent()

	variants := h.variants(blue, green, more)
	for _, v := range variants {
		must(t, h.try(h.caddyfile(v, "blue_green app")))
	}
	h.load(pair("app", blue, green), "blue_green app")
	h.healthy("app")
	c := h.webSocket()
	echo(t, c, "hello")
	h.get("/")
	must(t, c.CloseNow())
	must(t, caddy.Stop())
	if active.Load() != nil {
		t.Error("the runtime is still there")
	}
	goleak.VerifyNone(t, before,
		// Caddy's own: its admin API goes on, and locks are let go later.
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2.replaceLocalAdminServer.func2"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

func TestAServiceThatComesBackGoesOnFromItsState(t *testing.T) {
	blue, green := saying(t, "blue"), saying(t, "green")
	h := newHouse(t)
	h.load(pair("app", blue, green)+pair("other", blue, green), "blue_green app")
	h.healthy("app", "other")
	h.cutover("app", switcher.Green)
	h.load(pair("other", blue, green), "blue_green other")
	equal(t, "answer", h.get("/").body, "blue")
	services, err := h.client().Services(t.Context())
	must(t, err)
	equal(t, "services", len(services), 1)
	h.load(pair("app", blue, green)+pair("other", blue, green), "blue_green app")
	equal(t, "answer after it came back", h.get("/").body, "green") // held back until the first probes have answered
	generation := h.view("app").Generation
	must(t, caddy.Stop())
	h.load(pair("app", blue, green), "blue_green app")
	equal(t, "answer after a restart", h.get("/").body, "green")
	equal(t, "generation after a restart", h.view("app").Generation, generation)
}

func TestAReplacedCAFileIsAChangeOfItsCheck(t *testing.T) {
	set := func(pem string) string {
		c := &Check{Type: "tcp", TLS: &CheckTLS{CA: "testdata/ca.pem"}}
		checks, err := buildChecks([]*Check{c})
		must(t, err)
		c.TLS.pem = []byte(pem)
		return checks.fingerprint
	}
	if first := set("one"); !strings.Contains(first, "BEGIN CERTIFICATE") {
		t.Errorf("the certificates are not in %q", first)
	}
}

func TestAWebSocketInAnAccessLogHoldsNoOldConfigEither(t *testing.T) {
	blue, green := streaming(t, "blue", nil), saying(t, "green")
	h := newHouse(t)
	site := "log {\n\toutput file " + filepath.Join(h.dir, "access") + "\n}\nblue_green app"
	h.load(pair("app", blue, green), site)
	h.healthy("app")
	var collected atomic.Bool
	goruntime.AddCleanup(active.Load().inForce.Load(), func(struct{}) { collected.Store(true) }, struct{}{})
	c := h.webSocket()
	echo(t, c, "hello")
	h.load(pair("app", blue, green, "retries 1"), site)
	echo(t, c, "still here")
	until(t, "the old config is collected", func() bool {
		goruntime.GC()
		return collected.Load()
	})
	echo(t, c, "here still")
}
