package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// leavingEdge is an edge whose end takes a while, beside a site that says whether
// it is ready.
func leavingEdge(t *testing.T, service, delay, grace string) (e *edge, ready string) {
	t.Helper()
	e = newEdge(t, service)
	ready = freeAddress(t)
	config := strings.Replace(e.config, "grace_period 10s", "grace_period "+grace+"\n\tshutdown_delay "+delay, 1)
	e.rewrite(config + fmt.Sprintf("http://%s {\n\tgreenroom_ready app\n}\n", ready))
	e.start()
	e.healthy()
	return e, ready
}

// readiness returns the status of the ready site; 0: it does not answer.
func readiness(address string) (status int, body string) {
	res, err := http.Get("http://" + address + "/")
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// term asks the edge to end, and returns how to wait for its exit code.
func (e *edge) term() (exitCode func() int) {
	e.t.Helper()
	e.mu.Lock()
	cmd, exited := e.cmd, e.exited
	e.mu.Unlock()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		e.t.Fatal(err)
	}
	return func() int {
		<-exited
		return cmd.ProcessState.ExitCode()
	}
}

func TestAnEdgeThatEndsIsUnreadyFirstAndServesOnUntilBalancersHaveSeenIt(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e, ready := leavingEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address), "8s", "5s")
	if status, body := readiness(ready); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	load := startFresh(e, 50)
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	h2 := &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: insecure()}}
	reused := func() (reused bool) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		if err := ask(ctx, h2, "https://localhost:"+port(e.https)+"/"); err != nil {
			t.Error(err)
		}
		return reused
	}
	reused()
	if !reused() {
		t.Error("an HTTP/2 connection is not used again while the edge goes on")
	}
	announced := func() string {
		res, err := h2.Get("https://localhost:" + port(e.https) + "/")
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, res)
		return res.Header.Get("Alt-Svc")
	}
	if announced() == "" {
		t.Error("HTTP/3 is not announced while the edge goes on")
	}
	exitCode := e.term()
	e.until("it is not ready", func() bool {
		status, body := readiness(ready)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "the process ends")
	})
	// Still served, and told to come back on another connection: to another edge.
	res, err := http.Get("http://" + e.http + "/")
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, res); body != "blue" || !res.Close {
		t.Errorf("%q, Connection: close %v", body, res.Close)
	}
	if service := announced(); service != "" {
		t.Errorf("an edge that ends announces %q", service)
	}
	reused()
	e.until("GOAWAY has come", func() bool { return !reused() })
	load.stop() // as the balancer would, well before the delay is over
	if load.failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", load.failed.Load(), load.asked.Load())
	}
	if code := exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAnEdgeIsUnreadyWhileAServiceThatMattersHasNoUpstream(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e, ready := leavingEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz {\n interval 100ms\n timeout 1s\n }\n}", blue.address, green.address), "0s", "5s")
	_ = blue.server.Close()
	e.until("it is not ready", func() bool {
		status, body := readiness(ready)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "blue has no healthy upstream")
	})
	if out := e.cli("cutover", "app", "--to", "green"); out.code != 0 {
		t.Fatal(out)
	}
	if status, body := readiness(ready); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	e.stop()
}

func TestStreamsEndByTheirKindWhenTheEdgeDoes(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	gate, half := make(chan struct{}), strings.Repeat("half", 64<<10)
	mux := http.NewServeMux()
	mux.Handle("/", streams("blue", done))
	mux.HandleFunc("/download", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
		_, _ = io.WriteString(w, half)
		w.(http.Flusher).Flush()
		<-gate
		_, _ = io.WriteString(w, half)
	})
	blue, green := newBackend(t, mux), newBackend(t, mux)
	e, _ := leavingEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address), "0s", "8s")

	ws := e.echoing(t)
	sse := make(chan string, 1)
	began := make(chan struct{})
	go func() {
		text, err := events(t.Context(), "http://"+e.http+"/sse", began)
		sse <- fmt.Sprint(text, err)
	}()
	<-began
	download, err := http.Get("http://" + e.http + "/download")
	if err != nil {
		t.Fatal(err)
	}
	exitCode := e.term()
	// A WebSocket is closed with manners, server-sent events between two events,
	// while a download goes on for as long as the grace period lets it.
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the WebSocket ended with %v", err)
	}
	if text := <-sse; !strings.Contains(text, "retry:") || !strings.HasSuffix(text, "<nil>") {
		t.Errorf("the events ended with %q", text[max(0, len(text)-200):])
	}
	close(gate)
	if body := readAll(t, download); body != half+half {
		t.Errorf("the download has %d bytes, want %d", len(body), 2*len(half))
	}
	if code := exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// events reads server-sent events to their end.
func events(ctx context.Context, url string, began chan<- struct{}) (text string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	first, err := lines.ReadString('\n')
	close(began)
	if err != nil {
		return first, err
	}
	rest, err := io.ReadAll(lines)
	return first + string(rest), err
}
