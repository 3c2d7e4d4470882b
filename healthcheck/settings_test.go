package healthcheck

import (
	"math"
	"testing"
	"time"
)

func TestZeroSettingsHaveTheDocumentedDefaults(t *testing.T) {
	want := Settings{
		Interval: 2 * time.Second, Timeout: time.Second, Jitter: 0.1, Rise: 2, Fall: 3,
		HoldMin: 10 * time.Second, HoldMax: 5 * time.Minute, FlapWindow: 5 * time.Minute,
	}
	if got := (Settings{}).WithDefaults(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := want.WithDefaults(); got != want {
		t.Errorf("a second time gave %+v", got)
	}
	if err := (Settings{}).Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestOneHoldBoundMovesTheOthersDefault(t *testing.T) {
	if got := (Settings{HoldMin: 10 * time.Minute}).WithDefaults().HoldMax; got != 10*time.Minute {
		t.Errorf("HoldMax = %v, want 10m", got)
	}
	if got := (Settings{HoldMax: time.Second}).WithDefaults().HoldMin; got != time.Second {
		t.Errorf("HoldMin = %v, want 1s", got)
	}
}

func TestSettingsOutOfRangeAreRefusedByNameValueAndRange(t *testing.T) {
	for want, s := range map[string]Settings{
		"interval 99ms: want 100ms to 1h0m0s":      {Interval: 99 * time.Millisecond},
		"interval 1h0m1s: want 100ms to 1h0m0s":    {Interval: time.Hour + time.Second},
		"timeout 9ms: want 10ms to 1m0s":           {Timeout: 9 * time.Millisecond},
		"timeout -1s: want 10ms to 1m0s":           {Timeout: -time.Second},
		"timeout 1m1s: want 10ms to 1m0s":          {Timeout: 61 * time.Second},
		"jitter -0.1: want 0 to 0.5":               {Jitter: -0.1},
		"jitter 0.51: want 0 to 0.5":               {Jitter: 0.51},
		"jitter NaN: want 0 to 0.5":                {Jitter: math.NaN()},
		"rise -1: want 1 to 100":                   {Rise: -1},
		"rise 101: want 1 to 100":                  {Rise: 101},
		"fall -1: want 1 to 100":                   {Fall: -1},
		"fall 101: want 1 to 100":                  {Fall: 101},
		"hold_min 1µs: want 1ms to 1h0m0s":         {HoldMin: time.Microsecond},
		"hold_max 1s: want 2s to 24h0m0s":          {HoldMin: 2 * time.Second, HoldMax: time.Second},
		"hold_max 25h0m0s: want 10s to 24h0m0s":    {HoldMax: 25 * time.Hour},
		"flap_window 1µs: want 1ms to 24h0m0s":     {FlapWindow: time.Microsecond},
		"flap_window 24h0m1s: want 1ms to 24h0m0s": {FlapWindow: 24*time.Hour + time.Second},
	} {
		if err := s.Validate(); err == nil || err.Error() != want {
			t.Errorf("Validate:\n got %v\nwant %s", err, want)
		}
	}
	limits := []Settings{
		{Interval: 100 * time.Millisecond, Timeout: time.Minute, Jitter: 0.5, Rise: 100, Fall: 100},
		{Interval: time.Hour, Timeout: 10 * time.Millisecond, Rise: 1, Fall: 1, HoldMin: time.Hour, HoldMax: 24 * time.Hour, FlapWindow: 24 * time.Hour},
	}
	for _, s := range limits {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestThePauseIsTheIntervalWithJitterAndShortWithoutAVerdict(t *testing.T) {
	s := Settings{Interval: 10 * time.Second, Jitter: 0.2}
	for random, want := range map[float64]time.Duration{0: 8 * time.Second, 0.5: 10 * time.Second, 0.75: 11 * time.Second} {
		if got := s.pause(true, random); got != want {
			t.Errorf("pause(known, %v) = %v, want %v", random, got, want)
		}
	}
	if got := s.pause(false, 0.9); got != 50*time.Millisecond {
		t.Errorf("without a verdict the pause is %v, want 50ms", got)
	}
}

func TestHoldDownsDoubleUpToTheLongest(t *testing.T) {
	s := Settings{}.WithDefaults()
	for n, want := range map[int]time.Duration{1: 10, 2: 20, 3: 40, 4: 80, 5: 160, 6: 300, 7: 300, 1000: 300} {
		if got := s.hold(n); got != want*time.Second {
			t.Errorf("hold(%d) = %v, want %v", n, got, want*time.Second)
		}
	}
}
