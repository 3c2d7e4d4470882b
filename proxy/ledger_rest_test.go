package proxy

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestWhatMostlyRestsIsNoLoadForRequestsWhereverItIs(t *testing.T) {
	_, s := stage(t, "10.0.0.1:1", "10.0.0.2:1")
	l := new(ledger)
	pool := s.Table().Pools.Of(switcher.Blue)
	first, second := pool.Endpoints()[0], pool.Endpoints()[1]
	goes := func(when string, want ...*switcher.Endpoint) {
		t.Helper()
		got := make(map[*switcher.Endpoint]bool)
		for range 20 {
			got[pool.Pick(switcher.LeastInflight, 0, nil, time.Now())] = true
		}
		for _, e := range want {
			if !got[e] || len(got) != len(want) {
				t.Errorf("%s: requests go to %d upstreams", when, len(got))
			}
		}
	}
	x := enter(t, l, s, false)
	goes("a request at the first", second)
	x.Became(switcher.StreamSSE)
	goes("server-sent events at the first", first, second)
	x.moves(second, nil)
	goes("server-sent events at the second", first, second)
	x.Became(switcher.StreamLive)
	goes("a live body at the second", first)
	x.Became(switcher.StreamWebSocket)
	x.Became(switcher.StreamWebSocket)
	goes("a WebSocket at the second", first, second)
	x.close()
	x.Became(switcher.StreamSSE) // which comes too late
	goes("nothing", first, second)
	x = enter(t, l, s, false)
	goes("another request at the first", second)
	x.moves(second, nil)
	goes("it at the second", first)
	x.close()
}
