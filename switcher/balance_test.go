package switcher_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// pool makes the blue pool of a service with the given weights, all healthy.
func pool(t testing.TB, weights ...int) *switcher.Pool {
	t.Helper()
	b := newBed(t, switcher.Config{}, "app")
	var pools switcher.Pools
	for i, w := range weights {
		pools.Blue = append(pools.Blue, switcher.Upstream{Address: fmt.Sprintf("u%d:80", i), Weight: w})
	}
	all, err := b.SetPools(t.Context(), "app", pools)
	b.must(err)
	for _, e := range all {
		b.SetHealth(e, switcher.Health{Healthy: true, Known: true})
	}
	return b.Service("app").Table().Pools.Blue
}

func picks(p *switcher.Pool, b switcher.Balance, n int, tried ...*switcher.Endpoint) map[*switcher.Endpoint]int {
	got := map[*switcher.Endpoint]int{}
	for i := range n {
		got[p.Pick(b, switcher.HashKey("app", fmt.Sprint(i)), tried, time.Now())]++
	}
	return got
}

func TestTurnsAreSharedExactlyByWeight(t *testing.T) {
	for _, weights := range [][]int{{0, 0}, {1, 1, 1}, {3, 1}, {5, 1, 1}, {1000, 1, 7}, {2, 4, 6}} {
		for _, balance := range []switcher.Balance{switcher.RoundRobin, switcher.LeastInflight} {
			p := pool(t, weights...)
			total := 0
			for _, w := range weights {
				total += max(w, 1)
			}
			got := picks(p, balance, total*3)
			for i, e := range p.Endpoints() {
				if got[e] != 3*max(weights[i], 1) {
					t.Errorf("%s: weights %v: %s has %d of %d", balance, weights, e.Address(), got[e], 3*total)
				}
			}
		}
	}
}

func TestAHeavyUpstreamDoesNotGetItsShareInARow(t *testing.T) {
	p := pool(t, 5, 5)
	row, last := 0, p.Endpoints()[0]
	for range 100 {
		e := p.Pick(switcher.RoundRobin, 0, nil, time.Now())
		if e != last {
			row = 0
		}
		if row, last = row+1, e; row > 2 {
			t.Fatalf("%s was taken %d times in a row", e.Address(), row)
		}
	}
}

func TestTheLeastLoadedUpstreamIsTakenInProportionToItsWeight(t *testing.T) {
	p := pool(t, 3, 1)
	for range 400 {
		p.Pick(switcher.LeastInflight, 0, nil, time.Now()).Begin()
	}
	heavy, light := p.Endpoints()[0].Inflight(), p.Endpoints()[1].Inflight()
	if heavy != 300 || light != 100 {
		t.Errorf("weights 3 and 1 have %d and %d in-flight", heavy, light)
	}
	for range 30 {
		p.Endpoints()[0].End()
	}
	if e := p.Pick(switcher.LeastInflight, 0, nil, time.Now()); e != p.Endpoints()[0] {
		t.Errorf("%s was taken, the other has less to do", e.Address())
	}
}

func TestOneThatComesBackWithoutStreamsGetsItsShareOfRequests(t *testing.T) {
	p := pool(t, 1, 1)
	old, back := p.Endpoints()[0], p.Endpoints()[1]
	for range 5000 {
		old.Begin()
		old.Rest()
	}
	for range 100 {
		p.Pick(switcher.LeastInflight, 0, nil, time.Now()).Begin()
	}
	if n := back.Inflight(); n != 50 {
		t.Errorf("%d of 100 requests", n)
	}
	for range 100 {
		if e := p.Pick(switcher.LeastInflight.ForStreams(), 0, nil, time.Now()); e != back {
			t.Fatal("a new stream goes to where there are more")
		}
	}
	for range 5000 {
		old.Stir()
		old.End()
	}
	if e := p.Pick(switcher.LeastInflight, 0, nil, time.Now()); e == nil || old.Inflight() != 50 {
		t.Errorf("%d are left", old.Inflight())
	}
}

func TestOnlyTheClientsOfARemovedUpstreamMove(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	set := func(addresses string) *switcher.Pool {
		var pools switcher.Pools
		for a := range strings.FieldsSeq(addresses) {
			pools.Blue = append(pools.Blue, switcher.Upstream{Address: a})
		}
		all, err := b.SetPools(t.Context(), "app", pools)
		b.must(err)
		for _, e := range all {
			b.SetHealth(e, switcher.Health{Healthy: true, Known: true})
		}
		return b.Service("app").Table().Pools.Blue
	}
	before, after := set("a:1 b:1 c:1 d:1"), set("d:1 c:1 a:1") // the order does not matter
	moved := 0
	for i := range 10000 {
		key := switcher.HashKey("app", fmt.Sprint("client", i))
		was, is := before.Pick(switcher.Hash, key, nil, time.Now()), after.Pick(switcher.Hash, key, nil, time.Now())
		if was.Address() == "b:1" {
			moved++
		} else if was != is {
			t.Fatalf("client %d moved from %s to %s", i, was.Address(), is.Address())
		}
	}
	if moved < 2300 || moved > 2700 {
		t.Errorf("one of four upstreams had %d of 10000 clients", moved)
	}
}

func TestRendezvousHashingRespectsWeights(t *testing.T) {
	p := pool(t, 3, 1)
	if n := picks(p, switcher.Hash, 20000)[p.Endpoints()[0]]; n < 14700 || n > 15300 {
		t.Errorf("weight 3 of 4 has %d of 20000 clients", n)
	}
}

func TestOnlyHealthyUntriedUpstreamsAreTaken(t *testing.T) {
	for _, balance := range []switcher.Balance{switcher.LeastInflight, switcher.RoundRobin, switcher.Hash} {
		t.Run(balance.String(), func(t *testing.T) {
			p := pool(t, 1, 1, 1, 1)
			sick, tried := p.Endpoints()[0], p.Endpoints()[1]
			sick.SetHealth(switcher.Health{Known: true, Reason: "ill"})
			got := picks(p, balance, 200, tried)
			if len(got) != 2 || got[sick] > 0 || got[tried] > 0 {
				t.Errorf("took %v", got)
			}
			if e := p.Pick(balance, 0, p.Endpoints(), time.Now()); e != nil {
				t.Errorf("took %s, which was tried", e.Address())
			}
			for _, e := range p.Endpoints() {
				e.SetHealth(switcher.Health{})
			}
			if e := p.Pick(balance, 0, nil, time.Now()); e != nil {
				t.Errorf("took %s, which is not healthy", e.Address())
			}
			if e := (&switcher.Pool{}).Pick(balance, 0, nil, time.Now()); e != nil {
				t.Errorf("took %s from an empty pool", e.Address())
			}
		})
	}
}

func TestAnEjectedUpstreamIsTheLastResort(t *testing.T) {
	x := switcher.Ejection{After: 3, For: time.Minute}
	for _, balance := range []switcher.Balance{switcher.LeastInflight, switcher.RoundRobin, switcher.Hash} {
		t.Run(balance.String(), func(t *testing.T) {
			p, now := pool(t, 1, 1), time.Now()
			first, second := p.Endpoints()[0], p.Endpoints()[1]
			for i := range 3 {
				if ejected := first.ConnectFailed(x, now); ejected != (i == 2) {
					t.Errorf("ejected %t after %d errors", ejected, i+1)
				}
			}
			if got := picks(p, balance, 50); got[second] != 50 {
				t.Errorf("took the ejected one %d times", got[first])
			}
			if e := p.Pick(balance, 0, []*switcher.Endpoint{second}, now); e != first {
				t.Error("not taken, though no other is left")
			}
			for range 3 {
				second.ConnectFailed(x, now)
			}
			if got := picks(p, balance, 200); got[first] == 0 || got[second] == 0 {
				t.Errorf("with both ejected one has all: %v", got)
			}
			if got := p.Pick(balance, 0, []*switcher.Endpoint{second}, now.Add(61*time.Second)); got != first {
				t.Error("the ejection does not end")
			}
		})
	}
}

func TestOneThatIsHeldDownIsTheVeryLastResort(t *testing.T) {
	x := switcher.Ejection{After: 1, For: time.Minute}
	for _, balance := range []switcher.Balance{switcher.LeastInflight, switcher.RoundRobin, switcher.Hash} {
		t.Run(balance.String(), func(t *testing.T) {
			p := pool(t, 1, 1, 1)
			held, sick, ejected := p.Endpoints()[0], p.Endpoints()[1], p.Endpoints()[2]
			held.SetHealth(switcher.Health{Known: true, Held: true, Reason: "flapping"})
			sick.SetHealth(switcher.Health{Known: true, Reason: "ill"})
			ejected.ConnectFailed(x, time.Now())
			if got := picks(p, balance, 50); got[ejected] != 50 {
				t.Errorf("took %v", got)
			}
			ejected.SetHealth(switcher.Health{Known: true, Reason: "ill"})
			if got := picks(p, balance, 50); got[held] != 50 {
				t.Errorf("took %v, though one passes its checks", got)
			}
			if h := p.Health(); h.Healthy != 0 || h.Held != 1 {
				t.Errorf("%+v", h)
			}
			held.SetHealth(switcher.Health{Known: true, Reason: "ill"})
			if e := p.Pick(balance, 0, nil, time.Now()); e != nil {
				t.Errorf("took %s, which passes no check", e.Address())
			}
		})
	}
}

func TestAConnectionThatWorksEndsTheRowOfErrors(t *testing.T) {
	p, x := pool(t, 1), switcher.Ejection{After: 2, For: time.Minute}
	e := p.Endpoints()[0]
	for range 10 {
		if e.ConnectFailed(x, time.Now()) {
			t.Fatal("ejected, though the errors were not in a row")
		}
		e.Connected()
	}
	for range 10 {
		if e.ConnectFailed(switcher.Ejection{}, time.Now()) {
			t.Fatal("the zero Ejection ejects")
		}
	}
}

func TestHealthAndCountsOutliveANewPool(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	before := b.endpoints["app"]
	before.Blue[0].Begin()
	b.announce("app", 3, 1)
	after := b.endpoints["app"]
	if after.Blue[0] != before.Blue[0] || after.Blue[0].Inflight() != 1 || !after.Blue[1].Health().Healthy || after.Blue[2].Health().Healthy {
		t.Error("the endpoints that stayed are others")
	}
	if after.Green[0] == after.Blue[0] {
		t.Error("both colors share an endpoint")
	}
	before.Blue[0].End()
}

func TestAcquirePickAndReleaseAllocateNothing(t *testing.T) {
	b := newBed(t, switcher.Config{}, "app")
	svc, now := b.Service("app"), time.Now()
	for _, balance := range []switcher.Balance{switcher.LeastInflight, switcher.RoundRobin, switcher.Hash} {
		n := testing.AllocsPerRun(1000, func() {
			l, _ := svc.Acquire(switcher.Bucket("app", "client"))
			e := l.Pool().Pick(balance, 7, nil, now)
			e.Begin()
			e.End()
			l.Release()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", balance, n)
		}
	}
}
