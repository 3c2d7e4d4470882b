package switcher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	blue  = switcher.Blue
	green = switcher.Green
)

// bed is a Switcher with services on which a test can lie down.
type bed struct {
	testing.TB
	*switcher.Switcher
	store     *memory
	hooks     switcher.Hooks
	configs   map[string]switcher.Config
	endpoints map[string]switcher.PerColor[[]*switcher.Endpoint]
	stop      func() // ends Run and waits for it
}

// run starts a Switcher on the bed's store, as a new process would.
func (b *bed) run() {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	sw := switcher.New(b.store, b.hooks, nil)
	ended := make(chan struct{})
	go func() { defer close(ended); sw.Run(ctx) }()
	b.Switcher = sw
	b.stop = sync.OnceFunc(func() { cancel(); <-ended })
	b.must(sw.Restore(ctx))
	b.must(sw.Configure(ctx, b.configs))
}

// newBed has services on blue, with two healthy upstreams of each color.
func newBed(t testing.TB, config switcher.Config, services ...string) *bed {
	b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{}}
	for _, name := range services {
		b.configs[name] = config
	}
	b.open()
	return b
}

func (b *bed) open() {
	b.Helper()
	b.run()
	b.endpoints = map[string]switcher.PerColor[[]*switcher.Endpoint]{}
	for name := range b.configs {
		b.pools(name, 2, 2)
	}
	b.Cleanup(func() {
		b.stop()
		if err := b.store.invalid(); err != nil {
			b.Errorf("a state was stored that cannot be resumed: %v", err)
		}
	})
}

// restart ends the process and starts another, whose probes have not answered.
func (b *bed) restart() {
	b.Helper()
	b.stop()
	b.run()
}

// pools announces so many upstreams of a service, all healthy.
func (b *bed) pools(service string, blues, greens int) {
	b.Helper()
	b.announce(service, blues, greens)
	b.health(service, blue, true)
	b.health(service, green, true)
}

// announce announces them without a verdict.
func (b *bed) announce(service string, blues, greens int) {
	b.Helper()
	all, err := b.SetPools(b.Context(), service, switcher.Pools{
		Blue: upstreams(service, blue, blues), Green: upstreams(service, green, greens),
	})
	b.must(err)
	b.endpoints[service] = switcher.PerColor[[]*switcher.Endpoint]{Blue: all[:blues], Green: all[blues:]}
}

func upstreams(service string, c switcher.Color, n int) (list []switcher.Upstream) {
	for i := range n {
		list = append(list, switcher.Upstream{Address: fmt.Sprintf("%s-%s-%d:80", service, c, i+1)})
	}
	return list
}

// health sets the verdict of all upstreams of one color, or of the first ones.
func (b *bed) health(service string, c switcher.Color, healthy bool, first ...int) {
	b.Helper()
	list := b.endpoints[service]
	endpoints := list.Of(c)
	if len(first) > 0 {
		endpoints = endpoints[:first[0]]
	}
	for _, e := range endpoints {
		before := e.Health()
		h := switcher.Health{Healthy: healthy, Known: true, Since: before.Since}
		if before.Healthy != healthy || !before.Known {
			h.Since = time.Now()
		}
		if !healthy {
			h.Reason = "http: got 500, want 200"
		}
		b.SetHealth(e, h)
	}
}

func (b *bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("unexpected error: %v", err)
	}
}

// is fails the test unless err wraps want.
func (b *bed) is(err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("got error %v, want one that wraps %q", err, want)
	}
}

func (b *bed) view(service string) switcher.ServiceView {
	b.Helper()
	v, err := b.View(b.Context(), service)
	b.must(err)
	return v
}

func request(services ...string) switcher.Request {
	return switcher.Request{Services: services, By: "tester"}
}

func (b *bed) cutover(to switcher.Color, ramp string, services ...string) (switcher.Receipt, error) {
	b.Helper()
	r, err := switcher.ParseRamp(ramp)
	b.must(err)
	return b.Cutover(b.Context(), switcher.CutoverRequest{Request: request(services...), To: to, Ramp: &r})
}

func (b *bed) split(c switcher.Color, weight uint8, services ...string) (switcher.Receipt, error) {
	return b.Split(b.Context(), switcher.SplitRequest{Request: request(services...), Color: c, Weight: weight})
}

func (b *bed) rollback(services ...string) (switcher.Receipt, error) {
	return b.Rollback(b.Context(), switcher.RollbackRequest{Request: request(services...)})
}

// at checks where a service stands, and that the lease of any bucket agrees.
func (b *bed) at(service string, phase switcher.Phase, greenWeight uint8) {
	b.Helper()
	v := b.view(service)
	if v.Phase != phase || v.Split != switcher.Weighted(green, greenWeight) {
		b.Fatalf("%s is %s with %s, want %s with green %d%%", service, v.Phase, v.Split, phase, greenWeight)
	}
	if t := b.Service(service).Table(); t.Split != v.Split || t.Generation != v.Generation || t.Active != v.Active {
		b.Fatalf("%s: the table %+v is not what status says", service, t)
	}
}

// stored checks that the store holds what is served.
func (b *bed) stored(service string) {
	b.Helper()
	st, v := b.store.state(b, service), b.view(service)
	if st.Split != v.Split || st.Generation != v.Generation || st.Phase != v.Phase || st.Active != v.Active || (st.Lock == nil) != (v.Lock == nil) {
		b.Fatalf("%s: stored %+v, served %+v", service, st, v)
	}
}

// last returns the newest entry of a service's history.
func (b *bed) last(service string) switcher.Move {
	b.Helper()
	moves, err := b.History(b.Context(), service)
	b.must(err)
	if len(moves) == 0 {
		b.Fatalf("%s has no history", service)
	}
	return moves[0]
}

// work holds n leases of a service's bucket until they are released.
func (b *bed) work(service string, bucket uint16, n int) (release func()) {
	b.Helper()
	leases := make([]switcher.Lease, n)
	for i := range leases {
		l, ok := b.Service(service).Acquire(bucket)
		if !ok {
			b.Fatalf("no lease of %s", service)
		}
		leases[i] = l
	}
	return func() {
		for _, l := range leases {
			l.Release()
		}
	}
}

// bubble runs a test with fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// told returns the details of the events of a type that have come so far; with a
// part, of those that have it.
func told(events <-chan switcher.Event, of switcher.EventType, part string) (details []string) {
	for len(events) > 0 {
		if e := <-events; e.Type == of && strings.Contains(e.Detail, part) {
			details = append(details, e.Detail)
		}
	}
	return details
}

// pass lets d go by, and everything that it brings about happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// later runs a command beside the test, which may let time pass meanwhile.
func later(f func() (switcher.Receipt, error)) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		r, err := f()
		done <- answer{r, err}
	}()
	return done
}

type answer struct {
	receipt switcher.Receipt
	err     error
}

// answered fails unless the command has been answered by now.
func (b *bed) answered(done <-chan answer) answer {
	b.Helper()
	synctest.Wait()
	select {
	case a := <-done:
		return a
	default:
		b.Fatal("the command hangs")
		return answer{}
	}
}
