package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// newsroom sends numbered events for ever, in chunks that begin and end
// anywhere.
func newsroom(readers *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		var text bytes.Buffer
		told := false
		for n := 0; r.Context().Err() == nil; {
			for text.Len() < 4096 {
				fmt.Fprintf(&text, "id: %d\ndata: %s\ndata: %d\n\n", n, strings.Repeat("x", 1+rand.N(300)), n)
				n++
			}
			_, _ = w.Write(text.Next(1 + rand.N(2000)))
			_ = http.NewResponseController(w).Flush()
			if n > 100 && !told {
				told = true
				readers.Add(1)
			}
			rest(r.Context(), 5*time.Millisecond+rand.N(20*time.Millisecond))
		}
	})
}

// retryAfter reads a whole body: numbered events, each whole, and then how long
// to stay away.
func retryAfter(body string) (time.Duration, error) {
	for n := 0; ; n++ {
		event, after, whole := strings.Cut(body, "\n\n")
		if !whole {
			return 0, fmt.Errorf("after event %d comes %q", n-1, event)
		}
		if ms, last := strings.CutPrefix(event, "retry: "); last {
			if after != "" {
				return 0, fmt.Errorf("after the end comes %q", after)
			}
			n, err := strconv.Atoi(ms)
			return time.Duration(n) * time.Millisecond, err
		}
		if !strings.HasPrefix(event, fmt.Sprintf("id: %d\ndata: x", n)) || !strings.HasSuffix(event, fmt.Sprintf("\ndata: %d", n)) {
			return 0, fmt.Errorf("event %d is not whole: %q", n, event)
		}
		body = after
	}
}

func TestEventStreamsEndBetweenTwoEventsWithATimeToStayAway(t *testing.T) {
	const count = 50
	var readers atomic.Int64
	blue, green := newBackend(t, newsroom(&readers)), newBackend(t, saying("green"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n drain_timeout 500ms\n evict 50\n}", blue.address, green.address))
	e.start()
	e.healthy()
	over := loads(e) // a client of each version of HTTP
	type end struct {
		stay time.Duration
		err  error
	}
	ends := make(chan end, count)
	for i := range count {
		l := over[i%len(over)]
		client := l.client()
		go func() {
			body, err := allOf(t, client, l.url)
			var stay time.Duration
			if err == nil {
				stay, err = retryAfter(body)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", l.name, err)
			}
			ends <- end{stay, err}
		}()
	}
	e.until("all hear events", func() bool { return readers.Load() == count })
	if _, err := e.client().Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green}); err != nil {
		t.Fatal(err)
	}
	stays := make(map[time.Duration]int)
	for range count {
		got := <-ends
		if got.err != nil {
			t.Error(got.err)
		} else if got.stay < time.Second || got.stay > 5*time.Second {
			t.Errorf("to stay away for %s", got.stay)
		}
		stays[got.stay]++
	}
	if len(stays) < count/2 {
		t.Errorf("too few different times to stay away: %v", stays)
	}
	e.evicted(count)
	t.Logf("%d event streams ended, with %d different times", count, len(stays))
}

func allOf(t *testing.T, client *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		err = fmt.Errorf("after %d bytes: %w", len(body), err)
	}
	return string(body), err
}

// evicted waits for the end of the drain, and wants history to say how many
// streams it has ended.
func (e *edge) evicted(count int) {
	e.t.Helper()
	e.until("the drain has ended", func() bool { return e.view().Phase == switcher.Steady })
	if last := e.view().Last; last == nil || last.Result != switcher.ResultDone || last.Evicted != count {
		e.t.Errorf("history: %+v, want %d evicted", last, count)
	}
	if e.t.Failed() {
		e.explain()
	}
}
