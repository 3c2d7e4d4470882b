package switchertest

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// SourceHarness is a source under test, and the world that it looks at.
type SourceHarness struct {
	// Source is the one under test; TestSource runs it.
	Source switcher.Source
	// Set changes the world so that the source should tell pools, also
	// after Break and Remove. Nil if the source cannot change, as pools in
	// the config.
	Set func(switcher.Pools)
	// Break makes what the source looks at unusable, in the same way each
	// time. Nil if that cannot happen.
	Break func()
	// Remove takes it away. Nil if that cannot happen, or is no failure.
	Remove func()
}

// TestSource is what every switcher.Source must pass. Each test begins with a
// new harness, whose source should tell first. It must not run in parallel with
// other tests, whose goroutines it would take for the source's.
//
// No test empties a pool or takes more than one upstream from it at once, since
// a source may hold back what looks like an accident.
func TestSource(t *testing.T, newHarness func(t *testing.T, first switcher.Pools) SourceHarness) {
	for name, test := range map[string]func(*testing.T, *sourceRun){
		"the first snapshot arrives":                       firstArrives,
		"a change arrives":                                 changeArrives,
		"the same content is not told again":               sameIsNotToldAgain,
		"a broken source keeps the pools and says why":     breakFails,
		"a removed source keeps the pools and says why":    removeFails,
		"pools arrive after a failure from the start":      brokenFromTheStart,
		"recovery is told even if nothing has changed":     recoveryIsTold,
		"a failure that stays the same is told once":       failureOnce,
		"a burst of changes ends with the last of them":    burstEnds,
		"a source that ends at once leaves nothing":        endsAtOnce,
		"the source has a name for status and logs":        hasName,
		"a second run begins with a snapshot of its own":   runsAgain,
		"a source that fails ends when its context ends":   endsWhileBroken,
		"a source ends with its context, and only so":      endsWithContext,
		"weights and metadata arrive as they were set":     detailsArrive,
		"an address may be in both pools at the same time": sharedAddress,
	} {
		t.Run(name, func(t *testing.T) {
			r := &sourceRun{SourceHarness: newHarness(t, poolsOf(2, 1)), sink: &Sink{}}
			before := goleak.IgnoreCurrent()
			test(t, r)
			r.stop(t)
			if err := CheckReports(r.sink.Reports()); err != nil {
				t.Error(err)
			}
			if r.sink.Overlapped() {
				t.Error("calls of the sink overlapped")
			}
			goleak.VerifyNone(t, before)
		})
	}
}

// sourceRun is one Run of the source under test.
type sourceRun struct {
	SourceHarness
	sink   *Sink
	cancel context.CancelFunc // nil when it does not run
	ended  chan error
}

func (r *sourceRun) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan error, 1)
	go func() { r.ended <- r.Source.Run(ctx, r.sink) }()
}

// stop ends the Run, if there is one.
func (r *sourceRun) stop(t *testing.T) {
	t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	if err := <-r.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the error of its context", err)
	}
	r.cancel = nil
}

// begin starts the source and waits for its first snapshot.
func (r *sourceRun) begin(t *testing.T) {
	t.Helper()
	r.start()
	r.sink.WaitUpdate(t, poolsOf(2, 1))
}

func (r *sourceRun) needs(t *testing.T, has ...bool) {
	t.Helper()
	for _, ok := range has {
		if !ok {
			t.Skip("this kind of source cannot")
		}
	}
}

func firstArrives(t *testing.T, r *sourceRun) {
	r.start()
	reports := r.sink.Wait(t, "a report", func(reports []Report) bool { return len(reports) > 0 })
	if reports[0].Err != nil || !SamePools(reports[0].Pools, poolsOf(2, 1)) {
		t.Errorf("told %v first, want %v", reports[0], poolsOf(2, 1))
	}
}

func changeArrives(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil)
	r.begin(t)
	for _, pools := range []switcher.Pools{poolsOf(3, 1), poolsOf(3, 2), poolsOf(2, 2), poolsOf(2, 1)} {
		r.Set(pools)
		r.sink.WaitUpdate(t, pools)
	}
}

// sameIsNotToldAgain relies on CheckReports to see a repetition.
func sameIsNotToldAgain(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil)
	r.begin(t)
	for n := 3; n < 6; n++ {
		r.Set(poolsOf(n-1, 1))
		r.Set(poolsOf(n, 1))
		r.sink.WaitUpdate(t, poolsOf(n, 1))
		r.Set(poolsOf(n, 1))
	}
}

func breakFails(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil, r.Break != nil)
	failsAndRecovers(t, r, r.Break)
}

func removeFails(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil, r.Remove != nil)
	failsAndRecovers(t, r, r.Remove)
}

// failsAndRecovers wants: pools, one or more failures, pools; and nothing else.
func failsAndRecovers(t *testing.T, r *sourceRun, fail func()) {
	t.Helper()
	r.begin(t)
	fail()
	if err := r.sink.WaitFail(t); err == nil {
		t.Fatal("no failure")
	}
	r.Set(poolsOf(3, 1))
	reports := r.sink.WaitUpdate(t, poolsOf(3, 1))
	for i, report := range reports[1 : len(reports)-1] {
		if report.Err == nil {
			t.Errorf("report %d told pools while the source failed: %v", i+1, report)
		}
	}
}

func brokenFromTheStart(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil, r.Break != nil)
	r.Break()
	r.start()
	r.sink.WaitFail(t)
	r.Set(poolsOf(2, 1))
	reports := r.sink.WaitUpdate(t, poolsOf(2, 1))
	if reports[0].Err == nil {
		t.Errorf("told %v first, want a failure", reports[0])
	}
}

func recoveryIsTold(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil, r.Break != nil)
	r.begin(t)
	r.Break()
	r.sink.WaitFail(t)
	r.Set(poolsOf(2, 1))
	r.sink.WaitUpdate(t, poolsOf(2, 1))
}

// failureOnce relies on CheckReports to see a repetition.
func failureOnce(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil, r.Break != nil)
	r.begin(t)
	r.Break()
	r.sink.WaitFail(t)
	for range 3 {
		r.Break()
	}
	r.Set(poolsOf(3, 1))
	r.sink.WaitUpdate(t, poolsOf(3, 1))
}

func burstEnds(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil)
	r.begin(t)
	for n := 3; n <= 30; n++ {
		r.Set(poolsOf(n, 1))
	}
	r.sink.WaitUpdate(t, poolsOf(30, 1))
}

func endsAtOnce(t *testing.T, r *sourceRun) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Source.Run(ctx, r.sink); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the error of its context", err)
	}
}

func hasName(t *testing.T, r *sourceRun) {
	if r.Source.String() == "" {
		t.Error("String returned nothing")
	}
}

func runsAgain(t *testing.T, r *sourceRun) {
	r.begin(t)
	r.stop(t)
	r.sink = &Sink{}
	r.begin(t)
}

func endsWhileBroken(t *testing.T, r *sourceRun) {
	r.needs(t, r.Break != nil)
	r.begin(t)
	r.Break()
	r.sink.WaitFail(t)
	r.stop(t)
}

func endsWithContext(t *testing.T, r *sourceRun) {
	r.begin(t)
	select {
	case err := <-r.ended:
		t.Fatalf("Run returned %v by itself", err)
	default:
	}
	r.stop(t)
}

func detailsArrive(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil)
	r.begin(t)
	pools := poolsOf(2, 1)
	for _, weight := range []int{7, switcher.MaxWeight, 1} {
		pools = switcher.Pools{Blue: byAddress(pools.Blue), Green: byAddress(pools.Green)}
		pools.Blue[0].Weight = weight
		pools.Green[0].Meta = map[string]string{"version": "1.4.2", "zone": string(rune('a' + weight%26))}
		r.Set(pools)
		r.sink.WaitUpdate(t, pools)
	}
}

func sharedAddress(t *testing.T, r *sourceRun) {
	r.needs(t, r.Set != nil)
	r.begin(t)
	pools := poolsOf(2, 1)
	pools.Green = append(pools.Green, pools.Blue[0])
	r.Set(pools)
	r.sink.WaitUpdate(t, pools)
}
