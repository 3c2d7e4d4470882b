package switcher_test

import (
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// traffic is what both colors do as time goes by.
type traffic struct {
	mu     sync.Mutex
	last   time.Time                                     // guarded by mu
	rates  switcher.PerColor[load]                       // guarded by mu
	counts map[string]*switcher.PerColor[compare.Counts] // guarded by mu; by service
}

// load is answers per second.
type load struct{ good, bad uint64 }

// set makes the rates, of blue and green, count from now on.
func (w *traffic) set(blues, greens load) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flow()
	w.rates = switcher.PerColor[load]{Blue: blues, Green: greens}
}

func (w *traffic) flow() {
	seconds := uint64(time.Since(w.last) / time.Second)
	w.last = w.last.Add(time.Duration(seconds) * time.Second)
	for _, of := range w.counts {
		for _, c := range switcher.Colors {
			n, rate := of.At(c), w.rates.Of(c)
			n.Latency[compare.BucketOf(20*time.Millisecond)] += seconds * rate.good
			n.Bad += seconds * rate.bad
			for g := range n.BadOf {
				n.BadOf[g] += uint32(seconds * rate.bad)
			}
			n.Connected += seconds * (rate.good + rate.bad)
		}
	}
}

func (w *traffic) samples(service string, c switcher.Color) compare.Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flow()
	return w.counts[service].Of(c)
}

var (
	wellBlue  = load{90, 0}
	wellGreen = load{10, 0}
	badGreen  = load{7, 3}
)

// compared starts a ramp to green with services whose colors are compared.
func compared(t *testing.T, policy switcher.FailurePolicy, ramp string, services ...string) (*bed, *traffic) {
	w := &traffic{last: time.Now(), counts: map[string]*switcher.PerColor[compare.Counts]{}}
	b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{}, hooks: switcher.Hooks{Samples: w.samples}}
	for _, name := range services {
		w.counts[name] = new(switcher.PerColor[compare.Counts])
		b.configs[name] = switcher.Config{Compare: new(compare.Limits), Options: switcher.Options{OnFailure: policy}}
	}
	b.open()
	w.set(wellBlue, wellGreen)
	_, err := b.cutover(green, ramp, services...)
	b.must(err)
	return b, w
}
