package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

func TestAnHTTP3StreamOutlivesAnUpgrade(t *testing.T) {
	done := make(chan struct{})
	lines := make(chan string)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			_, _ = io.WriteString(w, "soon")
			return
		}
		for {
			select {
			case line := <-lines:
				_, _ = io.WriteString(w, line)
				w.(http.Flusher).Flush()
			case <-done:
				return
			}
		}
	})
	blue, green := newBackend(t, slow), newBackend(t, slow)
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	// Longer than Caddy would let it go on after a reload.
	e.rewrite(strings.Replace(e.config, "grace_period 10s", "grace_period 1s", 1))
	e.start()
	e.healthy()
	url := "https://localhost:" + port(e.https) + "/"
	h3 := func() *http.Client {
		tr := &http3.Transport{TLSClientConfig: insecure()}
		t.Cleanup(func() { _ = tr.Close() })
		return &http.Client{Transport: tr}
	}
	old := h3()
	request := make(chan *http.Response, 1)
	go func() {
		res, err := old.Get(url + "slow")
		if err != nil {
			t.Error(err)
		}
		request <- res
	}()
	lines <- "one "
	res := <-request
	if res == nil {
		t.FailNow()
	}
	last := e.upgrade()
	e.until("the process before accepts nothing any more", func() bool {
		return strings.Contains(e.log.String(), "eternal grace period")
	})
	lines <- "two "
	took := make(chan struct{})
	go func() { lines <- "three"; close(took) }()
	<-took
	close(done)
	if body := readAll(t, res); body != "one two three" {
		t.Errorf("the stream is %q", body)
	}
	e.only(last)
	if got := e.get(h3(), url); got != "soon" {
		t.Errorf("%q from the new process by HTTP/3", got)
	}
	e.stop()
}

func TestSystemdIsToldWhichProcessTheServiceIs(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	path := filepath.Join(e.dir, "notify")
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notified.Close()
	cmd := exec.Command(binary, "run", "--config", e.configPath())
	cmd.Env = append(os.Environ(), "HOME="+e.dir, "XDG_CONFIG_HOME="+e.dir, "XDG_DATA_HOME="+e.dir, "NOTIFY_SOCKET="+path)
	e.launch(cmd)
	e.until("the edge answers", func() bool { _, err := e.client().Services(t.Context()); return err == nil })
	e.healthy()
	pid := e.upgrade()
	buf := make([]byte, 4096)
	for {
		n, err := notified.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) == fmt.Sprintf("MAINPID=%d", pid) {
			break
		}
	}
	e.stop()
}

func TestAnUpgradeWaitsForWhatOtherHandlersServe(t *testing.T) {
	gate := make(chan struct{})
	half := strings.Repeat("half", 64<<10)
	origin := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, half)
		w.(http.Flusher).Flush()
		<-gate
		_, _ = io.WriteString(w, half)
	}))
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	other := freeAddress(t)
	e.rewrite(e.config + fmt.Sprintf("http://%s {\n\treverse_proxy %s\n}\n", other, origin.address))
	e.start()
	e.healthy()
	res, err := http.Get("http://" + other + "/")
	if err != nil {
		t.Fatal(err)
	}
	last := e.upgrade()
	e.until("the process before accepts nothing any more", func() bool {
		return strings.Contains(e.log.String(), "eternal grace period")
	})
	if p, err := e.client().Process(t.Context()); err != nil || len(p.Elders) != 1 || p.Elders[0].Inflight != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	close(gate)
	if body := readAll(t, res); body != half+half {
		t.Errorf("%d bytes, want %d", len(body), 2*len(half))
	}
	e.only(last)
	e.stop()
}

func TestAConnectionWhoseFirstRequestComesAfterAnUpgradeIsServed(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	e.start()
	e.healthy()
	conn, err := net.Dial("tcp", e.http)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	e.upgrade()
	last := e.upgrade() // which the one before allows when it accepts nothing any more
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+e.http+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, res); body != "blue" || !res.Close {
		t.Errorf("%q, Connection: close %v", body, res.Close)
	}
	e.only(last)
	e.stop()
}
