package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

// quick is a pace for tests: the rules are the same, the times shorter.
func quick(c *Client) {
	c.pace.spacing = 20 * time.Millisecond
	c.pace.confirm = 100 * time.Millisecond
	c.pace.slack = 2 * time.Second
	c.pace.jitter = func(ceiling time.Duration) time.Duration { return min(ceiling/10, 200*time.Millisecond) }
}

// testClient makes a client with a quick pace.
func testClient(t *testing.T, c Config) *Client {
	t.Helper()
	client, err := NewClient(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	quick(client)
	t.Cleanup(client.Close)
	return client
}

// runSource runs a source until the test, or the result, ends it.
func runSource(t testing.TB, s *Source) (sink *switchertest.Sink, stop func()) {
	t.Helper()
	sink = &switchertest.Sink{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, sink) }()
	var stopped atomic.Bool
	stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if err := switchertest.CheckReports(sink.Reports()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return sink, stop
}

var names atomic.Int64

// uniqueName of a service on the shared server.
func uniqueName() string { return fmt.Sprintf("app-%d", names.Add(1)) }

// instances makes so many of a color, by tag.
func instances(service string, c switcher.Color, n int) (list []consultest.Instance) {
	for i := range n {
		list = append(list, consultest.Instance{
			Service: service, ID: fmt.Sprintf("%s-%d", c, i+1), Address: fmt.Sprintf("10.0.%d.%d", c-1, i+1), Port: 9001,
			Tags: []string{c.String()},
		})
	}
	return list
}

// waitSizes waits until the last pools told have so many upstreams.
func waitSizes(t *testing.T, sink *switchertest.Sink, blue, green int) switcher.Pools {
	t.Helper()
	reports := sink.Wait(t, fmt.Sprintf("%d blue and %d green", blue, green), func(reports []switchertest.Report) bool {
		p, ok := lastPools(reports)
		return ok && len(p.Blue) == blue && len(p.Green) == green
	})
	p, _ := lastPools(reports)
	return p
}

func lastPools(reports []switchertest.Report) (switcher.Pools, bool) {
	for i := len(reports) - 1; i >= 0; i-- {
		if reports[i].Err == nil {
			return reports[i].Pools, true
		}
	}
	return switcher.Pools{}, false
}

// smallest returns the smallest sizes of pools ever told.
func smallest(reports []switchertest.Report) (blue, green int) {
	blue, green = 1<<30, 1<<30
	for _, r := range reports {
		if r.Err == nil {
			blue, green = min(blue, len(r.Pools.Blue)), min(green, len(r.Pools.Green))
		}
	}
	return blue, green
}

// waitStatus waits for a status of s that ok accepts: it may change without a
// report to the sink.
func waitStatus(t *testing.T, s *Source, what string, ok func(Status) bool) Status {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if st := s.Status(); ok(st) {
			return st
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited for %s; status is %+v", what, s.Status())
		}
	}
}

// waitRecovery waits until the last report is an update of these sizes.
func waitRecovery(t testing.TB, sink *switchertest.Sink, blue, green int) {
	t.Helper()
	sink.Wait(t, "recovery", func(reports []switchertest.Report) bool {
		if len(reports) == 0 {
			return false
		}
		last := reports[len(reports)-1]
		return last.Err == nil && len(last.Pools.Blue) == blue && len(last.Pools.Green) == green
	})
}

func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

// lockedBuffer is a place for logs.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
