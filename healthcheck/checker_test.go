package healthcheck

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A fake is a probe whose answers the test decides.
type fake func(ctx context.Context, address string) error

func (f fake) Probe(ctx context.Context, address string) error { return f(ctx, address) }
func (f fake) String() string                                  { return "fake" }

var (
	errDown = errors.New("down")
	passing = fake(func(context.Context, string) error { return nil })
	failing = fake(func(context.Context, string) error { return errDown })
	silent  = fake(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
)

// A record keeps what a Checker published.
type record struct {
	mu       sync.Mutex
	statuses []Status
}

func (r *record) publish(s Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses = append(r.statuses, s)
}

func (r *record) all() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.statuses)
}

// runFor runs a Checker for a time of the bubble and returns what it published.
func runFor(d time.Duration, seed *Status, checks ...Check) []Status {
	var r record
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	NewChecker("10.0.0.7:80", checks, seed, r.publish).Run(ctx)
	return r.all()
}

func last(t *testing.T, statuses []Status) Status {
	t.Helper()
	if len(statuses) == 0 {
		t.Fatal("nothing was published")
	}
	return statuses[len(statuses)-1]
}

// steady has no jitter worth the name, so that probes come when expected.
var steady = Settings{Interval: 2 * time.Second, Timeout: time.Second, Jitter: 1e-12}

func TestAnUpstreamIsHealthyAfterRisePassesAndWarmQuickly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		statuses := runFor(10*time.Second, nil, Check{"ready", passing, steady})
		if first := statuses[0]; first.Healthy || first.Known {
			t.Errorf("healthy after one pass: %+v", first)
		}
		if second := statuses[1]; !second.Healthy || second.Since.Sub(start) != 50*time.Millisecond {
			t.Errorf("after two passes healthy is %v since %v, want true since 50ms", second.Healthy, second.Since.Sub(start))
		}
		var times []time.Duration
		for _, result := range last(t, statuses).Checks[0].Last {
			times = append(times, result.At.Sub(start).Round(time.Millisecond))
		}
		want := []time.Duration{8050, 6050, 4050, 2050, 50, 0}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(times, want) {
			t.Errorf("probes began at %v, want %v", times, want)
		}
	})
}

func TestPausesVaryWithinTheJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := Settings{Interval: time.Second, Jitter: 0.5}
		statuses := runFor(time.Hour, nil, Check{"ready", passing, settings})
		var pauses []time.Duration
		for i := 2; i < len(statuses); i++ {
			pauses = append(pauses, statuses[i].Checks[0].Last[0].At.Sub(statuses[i-1].Checks[0].Last[0].At))
		}
		shortest, longest := slices.Min(pauses), slices.Max(pauses)
		if shortest < 500*time.Millisecond || shortest > 550*time.Millisecond || longest > 1500*time.Millisecond || longest < 1450*time.Millisecond {
			t.Errorf("pauses go from %v to %v, want nearly 0.5s to 1.5s", shortest, longest)
		}
	})
}

func TestAFailingUpstreamSaysWhyAndKeepsTenResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := last(t, runFor(time.Minute, nil, Check{"ready", failing, steady}))
		if s.Healthy || !s.Known || s.Reason != `check "ready": down; 2 more passes needed` {
			t.Errorf("got %+v", s)
		}
		report := s.Checks[0]
		if len(report.Last) != 10 || report.Fails != 32 || report.Probe != "fake" || report.Last[0].Detail != "down" || report.Last[0].OK {
			t.Errorf("got %+v", report)
		}
		if !slices.IsSortedFunc(report.Last, func(a, b Result) int { return b.At.Compare(a.At) }) {
			t.Errorf("results are not newest first: %+v", report.Last)
		}
	})
}

func TestAnUpstreamWithoutAnswerTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := last(t, runFor(10*time.Second, nil, Check{"ready", silent, steady}))
		result := s.Checks[0].Last[0]
		if result.Detail != "no answer within 1s" || result.Took != time.Second || s.Healthy || !s.Known {
			t.Errorf("got %+v of %+v", result, s)
		}
	})
}

func TestATimeoutLongerThanTheIntervalProbesWithoutOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		settings := Settings{Interval: time.Second, Timeout: 3 * time.Second, Jitter: 1e-12}
		s := last(t, runFor(10*time.Second, nil, Check{"ready", silent, settings}))
		for i, result := range s.Checks[0].Last {
			if want := time.Duration(2-i) * 3 * time.Second; result.At.Sub(start) != want {
				t.Errorf("result %d began at %v, want %v", i, result.At.Sub(start), want)
			}
		}
		if len(s.Checks[0].Last) != 3 {
			t.Errorf("%d results in 10s, want 3", len(s.Checks[0].Last))
		}
	})
}

func TestAProbeThatIgnoresItsContextDoesNotDelayTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, calls atomic.Int32
		deaf := fake(func(context.Context, string) error {
			calls.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Hour)
			return nil
		})
		start := time.Now()
		statuses := runFor(10*time.Second, nil, Check{"ready", deaf, steady})
		s := last(t, statuses)
		if !s.Known || s.Healthy || s.Since.Sub(start) != 3*time.Second || s.Checks[0].Fails != 6 {
			t.Errorf("got %+v, want unhealthy after three timeouts of 1s, and 6 failures", s)
		}
		if most.Load() != 1 || calls.Load() != 1 {
			t.Errorf("%d calls, %d at once, want 1", calls.Load(), most.Load())
		}
		if running.Load() != 0 {
			t.Error("Run returned before its probe")
		}
	})
}

func TestALateAnswerOfAnEarlierProbeIsNotTakenForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := fake(func(context.Context, string) error { time.Sleep(1500 * time.Millisecond); return nil })
		if s := last(t, runFor(time.Minute, nil, Check{"ready", late, steady})); s.Healthy || s.Checks[0].Passes != 0 {
			t.Errorf("an upstream that never answers in time: %+v", s)
		}
	})
}

func TestAPassAtTheTimeoutIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tooLate := fake(func(ctx context.Context, _ string) error { <-ctx.Done(); return nil })
		for _, s := range runFor(time.Hour, nil, Check{"ready", tooLate, steady}) {
			if s.Checks[0].Last[0].OK {
				t.Fatalf("passed: %+v", s.Checks[0].Last[0])
			}
		}
	})
}

// The updates are received even after the end, as by a Run that is slow to
// see it, and in many rounds, since select chooses at random.
func TestAProbeCutOffByTheEndIsNotAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			updates := make(chan update)
			go func() {
				defer close(updates)
				newLoop(0, "10.0.0.7:80", Check{"ready", silent, steady}, &Status{}).run(ctx, updates)
			}()
			for u := range updates {
				t.Errorf("got %+v", u.report)
			}
			cancel()
		}
	})
}

func TestACheckerWithoutChecksPublishesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if statuses := runFor(time.Hour, nil); len(statuses) != 0 {
			t.Errorf("published %+v", statuses)
		}
	})
}

// Down for 20s of every minute: each fall comes a minute after the last.
func TestAFlappingUpstreamIsHeldDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		flapping := fake(func(context.Context, string) error {
			if time.Since(start)%time.Minute >= 40*time.Second {
				return errDown
			}
			return nil
		})
		settings := Settings{Interval: 5 * time.Second, Jitter: 1e-12, HoldMin: 20 * time.Second}
		statuses := runFor(5*time.Minute, nil, Check{"ready", flapping, settings})
		var holds []time.Duration
		for i, s := range statuses[1:] {
			if before := statuses[i]; before.Healthy && !s.Healthy {
				holds = append(holds, max(0, s.Checks[0].HeldUntil.Sub(s.Since)))
			}
			if s.Healthy && s.Since.Before(s.Checks[0].HeldUntil) {
				t.Errorf("healthy at %v, held until %v", s.Since, s.Checks[0].HeldUntil)
			}
		}
		if want := []time.Duration{0, 20 * time.Second, 40 * time.Second, 80 * time.Second}; !slices.Equal(holds, want) {
			t.Errorf("holds %v, want %v", holds, want)
		}
	})
}

func TestPublishIsNeverConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var checks []Check
		for _, name := range []string{"a", "b", "c", "d"} {
			checks = append(checks, Check{name, passing, steady})
		}
		inside, calls := 0, 0 // unguarded: -race sees a second goroutine
		NewChecker("10.0.0.7:80", checks, nil, func(Status) {
			inside++
			calls++
			if inside != 1 {
				t.Errorf("%d calls of publish at once", inside)
			}
			time.Sleep(10 * time.Millisecond)
			inside--
		}).Run(ctx)
		if inside != 0 || calls < 4*25 {
			t.Errorf("after Run %d calls are inside, %d were made", inside, calls)
		}
	})
}

func TestAPublishedStatusIsTheReceiversToKeepAndToEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		seed := Status{Checks: []Report{{Check: "a", Last: []Result{{Detail: "seed"}}}}}
		NewChecker("10.0.0.7:80", []Check{{"a", passing, steady}, {"b", passing, steady}}, &seed, func(s Status) {
			for i := range s.Checks {
				for j := range s.Checks[i].Last {
					if s.Checks[i].Last[j].Detail == "edited" {
						t.Fatal("a receiver's edit came back")
					}
					s.Checks[i].Last[j].Detail = "edited"
				}
				s.Checks[i].Check = "edited"
			}
		}).Run(ctx)
		if seed.Checks[0].Check != "a" || seed.Checks[0].Last[0].Detail != "seed" {
			t.Errorf("the seed was edited: %+v", seed)
		}
	})
}

func TestTextOfAnyProbeIsEscapedAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rude := fake(func(context.Context, string) error { return errors.New("\x1b[2J" + string(make([]byte, 1000))) })
		detail := last(t, runFor(time.Second, nil, Check{"ready", rude, steady})).Checks[0].Last[0].Detail
		if detail != clean(detail) || len(detail) > maxText+len("…") || detail[:8] != `\x1b[2J\` {
			t.Errorf("got %q", detail)
		}
	})
}

func TestACheckerWatchesARealUpstreamComeAndGo(t *testing.T) {
	var down atomic.Bool
	address := serveHTTP(t, flipping(&down))
	settings := Settings{Interval: 100 * time.Millisecond, Timeout: time.Minute, Rise: 1, Fall: 1}
	statuses := make(chan Status)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	checker := NewChecker(address, []Check{{"ready", HTTP{}, settings}, {"port", TCP{}, settings}}, nil, func(s Status) {
		select {
		case statuses <- s:
		case <-ctx.Done():
		}
	})
	running.Go(func() { checker.Run(ctx) })
	await := func(healthy bool) (s Status) {
		for s = <-statuses; s.Healthy != healthy || !s.Known; s = <-statuses {
		}
		return s
	}
	await(true)
	down.Store(true)
	if got, want := await(false).Reason, `check "ready": status 503, want 200-299; 1 more pass needed`; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	down.Store(false)
	await(true)
	cancel()
	running.Wait()
}
