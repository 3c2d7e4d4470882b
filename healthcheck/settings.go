package healthcheck

import (
	"fmt"
	"time"
)

// warmup is the longest time between two probes of a check that has no verdict
// yet, so that an edge that boots is warm quickly.
const warmup = 50 * time.Millisecond

// Settings say when to probe and how many answers make a verdict. In each
// field zero means the default, so the zero value is the default settings.
type Settings struct {
	// Interval from the start of a probe to the start of the next, 100ms to
	// 1h. Until the first verdict it is at most 50ms. Default: 2s.
	Interval time.Duration

	// Timeout after which a probe without an answer has failed, 10ms to 1m.
	// It may exceed Interval: probes of a check never overlap. Default: 1s.
	Timeout time.Duration

	// Jitter is the share of Interval by which each pause is made longer or
	// shorter at random, above 0 and up to 0.5. Default: 0.1.
	Jitter float64

	// Rise is how many passes in a row make it healthy, 1 to 100. Default: 2.
	Rise int

	// Fall is how many failures in a row make it unhealthy, 1 to 100.
	// Default: 3.
	Fall int

	// HoldMin is the first hold-down of an upstream that flaps, 1ms to 1h.
	// Default: 10s, or HoldMax if that is set and shorter.
	HoldMin time.Duration

	// HoldMax is the longest hold-down, HoldMin to 24h. Default: 5m, or
	// HoldMin if that is longer.
	HoldMax time.Duration

	// FlapWindow is how long an upstream must go without a fall, time in
	// hold-down not counted, before the next fall is forgiven, 1ms to 24h;
	// 1ms forgives every fall. Default: 5m.
	FlapWindow time.Duration
}

// WithDefaults replaces zeros by defaults.
func (s Settings) WithDefaults() Settings {
	if s.HoldMin == 0 {
		s.HoldMin = 10 * time.Second
		if s.HoldMax > 0 {
			s.HoldMin = min(s.HoldMin, s.HoldMax)
		}
	}
	orDefault(&s.Interval, 2*time.Second)
	orDefault(&s.Timeout, time.Second)
	orDefault(&s.Jitter, 0.1)
	orDefault(&s.Rise, 2)
	orDefault(&s.Fall, 3)
	orDefault(&s.HoldMax, max(5*time.Minute, s.HoldMin))
	orDefault(&s.FlapWindow, 5*time.Minute)
	return s
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports the first field, its default applied, that is out of range;
// or nil. Fields are named as in configuration.
func (s Settings) Validate() error {
	s = s.WithDefaults()
	const day = 24 * time.Hour
	for _, err := range []error{
		inRange("interval", s.Interval, 100*time.Millisecond, time.Hour),
		inRange("timeout", s.Timeout, 10*time.Millisecond, time.Minute),
		inRange("jitter", s.Jitter, 0, 0.5),
		inRange("rise", s.Rise, 1, 100),
		inRange("fall", s.Fall, 1, 100),
		inRange("hold_min", s.HoldMin, time.Millisecond, time.Hour),
		inRange("hold_max", s.HoldMax, s.HoldMin, day),
		inRange("flap_window", s.FlapWindow, time.Millisecond, day),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func inRange[T int | float64 | time.Duration](field string, value, low, high T) error {
	if value >= low && value <= high { // false for NaN
		return nil
	}
	return fmt.Errorf("%s %v: want %v to %v", field, value, low, high)
}

// pause is the time from the start of a probe to the start of the next;
// random, within [0, 1), places it in the jitter.
func (s Settings) pause(known bool, random float64) time.Duration {
	if !known {
		return min(s.Interval, warmup)
	}
	return s.Interval + time.Duration((2*random-1)*s.Jitter*float64(s.Interval))
}

// hold is the length of the nth hold-down in a row, n from 1.
func (s Settings) hold(n int) time.Duration {
	hold := s.HoldMin
	for range n - 1 {
		if hold > s.HoldMax/2 {
			return s.HoldMax
		}
		hold *= 2
	}
	return min(hold, s.HoldMax)
}
