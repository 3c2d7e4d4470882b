package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// upgrade replaces the edge's process as an operator does, and returns the pid of
// the new one.
func (e *edge) upgrade() int {
	e.t.Helper()
	var out output
	e.until("the process before accepts nothing any more", func() bool {
		out = e.cli("upgrade", "--json", "--reason", "a new version")
		return out.code != 12
	})
	var doc struct{ From, Pid int }
	if err := json.Unmarshal([]byte(out.stdout), &doc); err != nil || out.code != 0 || doc.Pid == 0 || doc.Pid == doc.From {
		e.explain()
		e.t.Fatalf("upgrade: %v, %s", err, out)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heirs = append(e.heirs, doc.Pid)
	return doc.Pid
}

// only waits until the edge has one process.
func (e *edge) only(pid int) {
	e.t.Helper()
	e.until("all processes before have ended", func() bool {
		p, err := e.client().Process(e.t.Context())
		return err == nil && p.Pid == pid && len(p.Elders) == 0
	})
}

func TestAHundredUpgradesUnderAThousandFreshConnectionsASecondFailNoRequest(t *testing.T) {
	upgrades, rate := 100, 1000
	if raceFlag == "-race" {
		upgrades, rate = 10, 100
	}
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	e.start()
	e.healthy()

	load := startFresh(e, rate)
	asked, stopAsking := e.keepAsking()
	began := time.Now()
	var last int
	for i := range upgrades {
		last = e.upgrade()
		if i%10 == 5 { // a move between two upgrades is in the next process's state
			to := []string{"green", "blue"}[i/10%2]
			if out := e.cli("cutover", "app", "--to", to); out.code != 0 {
				t.Fatal(out)
			}
		}
	}
	took := time.Since(began)
	load.stop()
	stopAsking()
	t.Logf("%d upgrades in %s, the control socket asked %d times; %d requests on connections of their own, %d failed; slowest %s; the kernel's listen drops: %d",
		upgrades, took.Round(time.Millisecond), asked.Load(), load.asked.Load(), load.failed.Load(), time.Duration(load.slowest.Load()).Round(time.Millisecond), load.drops())
	if load.failed.Load() > 0 {
		for line := range strings.Lines(e.log.String()) {
			if strings.Contains(line, `"http.log.error"`) {
				t.Log(line)
				break
			}
		}
		t.Errorf("%d of %d requests failed", load.failed.Load(), load.asked.Load())
	}
	e.only(last)
	if v := e.view(); v.Generation != uint64(1+(upgrades+4)/10) {
		t.Errorf("generation %d", v.Generation)
	}
	e.stop()
}

// keepAsking asks the control socket one question after another.
func (e *edge) keepAsking() (asked *atomic.Int64, stop func()) {
	asked = new(atomic.Int64)
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(e.t.Context())
	group.Go(func() {
		for ctx.Err() == nil {
			if _, err := e.client().View(context.Background(), "app"); err != nil {
				e.t.Errorf("the control socket: %v", err)
			}
			asked.Add(1)
			rest(ctx, time.Millisecond)
		}
	})
	return asked, func() { cancel(); group.Wait() }
}

func TestStreamsOutliveAnUpgradeAndADrainInTheNewProcessWaitsForThem(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	blue, green := newBackend(t, streams("blue", done)), newBackend(t, streams("green", done))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n drain_deadline websocket 1h\n}", blue.address, green.address))
	e.start()
	e.healthy()
	oldest := e.echoing(t)
	e.upgrade()
	middle := e.echoing(t)
	last := e.upgrade() // three processes, one stream in each
	newest := e.echoing(t)

	var page switcher.StreamPage
	e.until("all three are listed", func() bool {
		var err error
		page, err = e.client().Streams(t.Context(), "app", switcher.StreamQuery{Kinds: []switcher.StreamKind{switcher.StreamWebSocket}})
		return err == nil && page.Total == 3
	})
	for i := 1; i < len(page.Streams); i++ {
		if !page.Streams[i].Started.After(page.Streams[i-1].Started) {
			t.Errorf("not the oldest first: %+v", page.Streams)
		}
	}
	second, err := e.client().Streams(t.Context(), "app", switcher.StreamQuery{Limit: 1, After: page.Streams[0].ID})
	if err != nil || len(second.Streams) != 1 || second.Streams[0].ID != page.Streams[1].ID || second.Next != page.Streams[1].ID {
		t.Errorf("the second page is %+v, %v", second, err)
	}
	if out := e.cli("cutover", "app", "--to", "green", "--no-wait"); out.code != 0 {
		t.Fatal(out)
	}
	if v := e.view(); v.Phase != switcher.Draining || v.Blue.Inflight != 3 || v.Blue.SafeToStop {
		t.Errorf("%s, %d in-flight, safe to stop %v", v.Phase, v.Blue.Inflight, v.Blue.SafeToStop)
	}
	for _, c := range []*websocket.Conn{oldest, middle, newest} {
		echo(t, c)
	}
	_ = newest.CloseNow()
	_ = middle.CloseNow()
	e.until("one is left", func() bool { return e.view().Blue.Inflight == 1 })
	if v := e.view(); v.Blue.SafeToStop {
		t.Error("safe to stop, with a stream in the oldest process")
	}
	// The drain's deadline, and an operator's hand, reach the oldest too.
	if out := e.cli("evict", "app"); out.code != 0 || !strings.Contains(out.stdout, "1 stream of blue is asked to end") {
		t.Error(out)
	}
	if _, _, err := oldest.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the oldest stream ended with %v", err)
	}
	e.until("blue is safe to stop", func() bool { return e.view().Blue.SafeToStop })
	e.only(last)
	e.stop()
}

func TestWhatStillComesToTheOldProcessFollowsAFlipInTheNewOne(t *testing.T) {
	gate := make(chan struct{})
	slow := func(color string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				w.(http.Flusher).Flush()
				<-gate
			}
			_, _ = w.Write([]byte(color))
		})
	}
	blue, green := newBackend(t, slow("blue")), newBackend(t, slow("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	e.start()
	e.healthy()
	old, err := e.client().Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// An HTTP/2 connection with a request under way stays with the old process.
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: insecure()}}
	url := "https://localhost:" + port(e.https) + "/"
	res, err := client.Get(url + "slow")
	if err != nil {
		t.Fatal(err)
	}
	last := e.upgrade()
	if out := e.cli("cutover", "app", "--to", "green", "--no-wait"); out.code != 0 {
		t.Fatal(out)
	}
	for range 20 {
		if got := e.get(client, url); got != "green" {
			t.Errorf("%q after the flip was acknowledged", got)
		}
	}
	e.until("the old process is said to have that request", func() bool {
		p, err := e.client().Process(t.Context())
		return err == nil && len(p.Elders) == 1 && p.Elders[0].Pid == old.Pid && p.Elders[0].Inflight == 1
	})
	close(gate)
	if body := readAll(t, res); body != "blue" {
		t.Errorf("the request that was under way got %q", body)
	}
	e.only(last)
	e.stop()
}

func TestAnUpgradeThatCannotBeLeavesEverythingAsItWas(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	e.start()
	e.healthy()
	load := startFresh(e, 100)
	good := e.config
	for name, tt := range map[string]struct{ config, want string }{
		"a config that is none":            {"{", "exit status 1"},
		"another state directory":          {strings.Replace(good, "/state\n", "/elsewhere\n", 1), "state_dir"},
		"upstreams that it cannot reach":   {strings.Replace(good, "health http /healthz", "health http /healthz {\n status 599\n}", 1), "healthy upstream"},
		"a control socket it cannot make":  {strings.Replace(good, "/run/control.sock", "/Caddyfile/control.sock", 1), "control"},
		"an audit log that cannot be made": {strings.Replace(good, "socket ", "audit /proc/none\n socket ", 1), "audit"},
	} {
		e.rewrite(tt.config)
		var out output
		e.until("there is an answer", func() bool {
			out = e.cli("upgrade")
			return out.code != 12
		})
		if out.code != 10 || !strings.Contains(out.stderr, tt.want) {
			t.Errorf("%s: %s", name, out)
		}
	}
	e.rewrite(good)
	p, err := e.client().Process(t.Context())
	if err != nil || p.Pid != e.pid() {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, to := range []string{"green", "blue"} {
		if out := e.cli("cutover", "app", "--to", to); out.code != 0 {
			t.Error(out)
		}
	}
	e.upgrade()
	load.stop() // a reload may drop a connection whose first request is on its way
	e.reload()
	e.upgrade()
	if load.failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", load.failed.Load(), load.asked.Load())
	}
	e.stop()
	if out := e.cli("audit", "verify", e.dir+"/state/audit.jsonl"); out.code != 0 {
		t.Errorf("the audit log: %s", out)
	}
}

func TestARampGoesOnInTheNewProcess(t *testing.T) {
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address))
	e.start()
	e.healthy()
	if out := e.cli("cutover", "app", "--to", "green", "--ramp", "10:2s,50:2s", "--no-wait"); out.code != 0 {
		t.Fatal(out)
	}
	e.signalUpgrade()
	e.until("the ramp has come to its end", func() bool {
		v := e.view()
		if v.Cutover != nil && v.Cutover.Held != nil {
			t.Fatalf("held: %+v", v.Cutover.Held)
		}
		return v.Active == switcher.Green && v.Phase == switcher.Steady
	})
	e.stop()
}

// signalUpgrade is upgrade by SIGUSR2.
func (e *edge) signalUpgrade() {
	e.t.Helper()
	was := e.pid()
	if err := syscall.Kill(was, syscall.SIGUSR2); err != nil {
		e.t.Fatal(err)
	}
	e.until("another process answers", func() bool {
		p, err := e.client().Process(context.Background())
		if err != nil || p.Pid == was {
			return false
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heirs = append(e.heirs, p.Pid)
		return true
	})
}

// pid is that of the process in charge.
func (e *edge) pid() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.heirs); n > 0 {
		return e.heirs[n-1]
	}
	return e.cmd.Process.Pid
}
