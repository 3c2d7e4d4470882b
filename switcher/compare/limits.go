package compare

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Metric is what colors are compared by.
type Metric string

// The metrics, in the order in which they are looked at.
const (
	Errors     Metric = "errors"     // answers that are errors, of all answers
	Connect    Metric = "connect"    // attempts without a connection, of all attempts
	Latency    Metric = "latency"    // a quantile of the time to a good answer
	Starvation Metric = "starvation" // sessions that ran out of data, of all sessions
)

// Metrics lists them all.
var Metrics = [...]Metric{Errors, Connect, Latency, Starvation}

// Limits is what makes a color worse than the other. The zero value means the
// defaults; it is comparable.
type Limits struct {
	Errors     Share
	Connect    Share
	Starvation Share
	Latency    Slowness
	// MinSamples of each color in the long window are the least for a verdict, 20
	// to 1,000,000; in the short window it is as many in proportion to its length,
	// at least 10. Default 100.
	MinSamples int
	// Clients is how many groups of clients of the new color, of 32, must have had
	// errors, or slow answers, 1 to 16: so that a single client that fails with all
	// it sends undoes no ramp. Default 3.
	Clients int
	// Short and Long are the windows in which the new color must be worse: 10s to
	// 1h, and up to 24h. Until a ramp is as old they are as long as it is. Default
	// 1m and 5m; a Long alone below 1m makes Short as long.
	Short, Long time.Duration
	// Risk is the bound of the chance that a ramp to a color that is no worse is
	// called worse, above 0 to 0.05, by all metrics together. Default 0.001.
	Risk float64
}

// Share limits a share. The zero value means the defaults.
type Share struct {
	Off bool // it is not compared
	// Ratio is how many times the old color's share the new one's must be to be
	// worse, Margin to 1000. Default 2.
	Ratio float64
	// Points is by how much it must be more, in parts of one, above 0 to 1.
	// Default 0.005.
	Points float64
}

// Slowness limits a quantile of the time to an answer. The zero value means the
// defaults.
type Slowness struct {
	Off bool // it is not compared
	// Quantile, 0.5 to 0.99. Default 0.95.
	Quantile float64
	// Ratio is how many times the old color's quantile the new one's must be to be
	// worse, Margin to 1000. Default 2.
	Ratio float64
	// By is by how much it must be more, 1ms to 1m. Default 50ms.
	By time.Duration
}

// Defaults of Limits.
const (
	DefaultMinSamples = 100
	DefaultClients    = 3
	DefaultShort      = time.Minute
	DefaultLong       = 5 * time.Minute
	DefaultRisk       = 0.001
	DefaultRatio      = 2
	DefaultPoints     = 0.005
	DefaultQuantile   = 0.95
	DefaultBy         = 50 * time.Millisecond
)

// Margin is how many times the old color's odds of a failure the new one's may
// be for nothing to speak against it: two versions are never quite alike.
const Margin = 1.25

// OrDefaults fills what l leaves open.
func (l Limits) OrDefaults() Limits {
	for _, s := range []*Share{&l.Errors, &l.Connect, &l.Starvation} {
		fill(&s.Ratio, DefaultRatio)
		fill(&s.Points, DefaultPoints)
	}
	fill(&l.Latency.Quantile, DefaultQuantile)
	fill(&l.Latency.Ratio, DefaultRatio)
	fill(&l.Latency.By, DefaultBy)
	fill(&l.MinSamples, DefaultMinSamples)
	fill(&l.Clients, DefaultClients)
	fill(&l.Long, max(DefaultLong, l.Short))
	fill(&l.Short, min(DefaultShort, l.Long))
	fill(&l.Risk, DefaultRisk)
	return l
}

func fill[T int | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate names the limit that is out of range, of limits with their defaults.
func (l Limits) Validate() error {
	l = l.OrDefaults()
	errs := []error{
		within("min_samples", l.MinSamples, 20, 1_000_000),
		within("clients", l.Clients, 1, 16),
		within("short window", l.Short, 10*time.Second, time.Hour),
		within("long window", l.Long, l.Short, 24*time.Hour),
		within("risk", l.Risk, 1e-9, 0.05),
		within("latency: quantile", l.Latency.Quantile, 0.5, 0.99),
		within("latency: ratio", l.Latency.Ratio, Margin, 1000),
		within("latency: by", l.Latency.By, time.Millisecond, time.Minute),
	}
	for _, m := range Metrics {
		if s := l.share(m); s != nil {
			errs = append(errs, within(string(m)+": ratio", s.Ratio, Margin, 1000), within(string(m)+": points", s.Points, 1e-6, 1))
		}
	}
	return errors.Join(errs...)
}

func within[T int | float64 | time.Duration](field string, value, low, high T) error {
	if value >= low && value <= high { // false for NaN
		return nil
	}
	return fmt.Errorf("%s is %v: want %v to %v", field, value, low, high)
}

// share returns the limits of a metric that is a share, else nil.
func (l *Limits) share(m Metric) *Share {
	switch m {
	case Errors:
		return &l.Errors
	case Connect:
		return &l.Connect
	case Starvation:
		return &l.Starvation
	}
	return nil
}

// Compared lists the metrics that are not off.
func (l Limits) Compared() (list []Metric) {
	for _, m := range Metrics {
		if s := l.share(m); s == nil && !l.Latency.Off || s != nil && !s.Off {
			list = append(list, m)
		}
	}
	return list
}

// least is how many samples of a color a window must have.
func (l *Limits) least(window time.Duration) uint64 {
	share := float64(window) / float64(l.Long)
	return max(10, uint64(float64(l.MinSamples)*share+0.5))
}

// memory is for how many starts the evidence lasts: those of twice the long window.
func (l *Limits) memory() int { return int(min(64, 2*l.Long/l.Short+1)) }

// String says in half a sentence what is compared, and when that is a verdict.
func (l Limits) String() string {
	l = l.OrDefaults()
	var by []string
	for _, m := range l.Compared() {
		if s := l.share(m); s != nil {
			by = append(by, fmt.Sprintf("%s (%g times as many, and %.3g%% more)", m, s.Ratio, 100*s.Points))
		} else {
			by = append(by, fmt.Sprintf("%s (%g times as long, and %s more)", Finding{Metric: m, Quantile: l.Latency.Quantile}.Name(), l.Latency.Ratio, l.Latency.By))
		}
	}
	return fmt.Sprintf("%s; in %s and in %s, from %d samples of each color in %s on",
		strings.Join(by, ", "), l.Short, l.Long, l.MinSamples, l.Long)
}
