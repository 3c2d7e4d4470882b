package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fresh asks an edge at a fixed rate, each time on a new connection, over
// plaintext HTTP/1.1.
type fresh struct {
	asked, failed, slowest atomic.Int64
	before                 int64
	stop                   func() // waits
}

func startFresh(e *edge, perSecond int) *fresh {
	f := &fresh{before: listenDrops()}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		began := time.Now()
		for n := int64(0); ctx.Err() == nil; {
			for due := int64(time.Since(began).Seconds() * float64(perSecond)); n < due; n++ {
				group.Go(func() { f.ask(e, client) })
			}
			rest(ctx, time.Millisecond)
		}
	})
	f.stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
	})
	e.t.Cleanup(f.stop)
	return f
}

func (f *fresh) ask(e *edge, client *http.Client) {
	f.asked.Add(1)
	began := time.Now()
	err := ask(context.Background(), client, "http://"+e.http+"/")
	for took := int64(time.Since(began)); ; {
		if was := f.slowest.Load(); took <= was || f.slowest.CompareAndSwap(was, took) {
			break
		}
	}
	if err != nil && f.failed.Add(1) <= 10 {
		e.t.Errorf("%s: %v", time.Now().Format(time.StampMilli), err)
	}
}

// drops is how many connections the kernel has dropped meanwhile because a queue
// was full or its socket was closed.
func (f *fresh) drops() int64 { return listenDrops() - f.before }

func listenDrops() (n int64) {
	text, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return 0
	}
	lines := strings.Split(string(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j, name := range names {
			if name == "ListenDrops" {
				_, _ = fmt.Sscan(values[j], &n)
			}
		}
	}
	return n
}

// get returns the body of an answer of status 200.
func (e *edge) get(client *http.Client, url string) string {
	e.t.Helper()
	res, err := client.Get(url)
	if err != nil {
		e.t.Fatal(err)
	}
	return readAll(e.t, res)
}

func readAll(t testing.TB, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s %q: %v", res.Status, body, err)
	}
	return string(body)
}
