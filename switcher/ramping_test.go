package switcher_test

import (
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestARampTakesItsStepsInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
		receipt, err := b.cutover(green, "10:5m,50:10m", "app")
		b.must(err)
		if !receipt.Changed || receipt.ID == "" || receipt.Services[0].Split.Green != 10 {
			t.Errorf("the receipt says %+v", receipt)
		}
		if next := b.view("app").Cutover.NextStep; time.Until(next) != 5*time.Minute {
			t.Errorf("the next step is said to be in %s", time.Until(next))
		}
		pass(5*time.Minute - time.Second)
		b.at("app", switcher.Ramping, 10)
		pass(2 * time.Second)
		b.at("app", switcher.Ramping, 50)
		b.stored("app")
		pass(10 * time.Minute)
		b.at("app", switcher.Steady, 100)
		b.stored("app")
		if v := b.view("app"); v.Active != green || v.Previous != blue || v.Generation != 4 || v.Last.Result != switcher.ResultDone {
			t.Errorf("status says %+v", v)
		}
	})
}

func TestTheServicesOwnRampIsTakenUnlessTheCommandHasOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Ramp: switcher.Ramp{{Weight: 20, Hold: time.Minute}}}, "app")
		_, err := b.Cutover(t.Context(), switcher.CutoverRequest{Request: request("app"), To: green})
		b.must(err)
		b.at("app", switcher.Ramping, 20)
		_, err = b.rollback("app")
		b.must(err)
		pass(time.Second)
		_, err = b.cutover(green, "", "app")
		b.must(err)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAHeldStepWaitsForResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.cutover(green, "10:hold,50:hold", "app")
		b.must(err)
		for _, weight := range []uint8{10, 50} {
			pass(time.Hour)
			b.at("app", switcher.Ramping, weight)
			if b.view("app").Cutover.Held == nil {
				t.Fatal("status does not say that the ramp is held")
			}
			_, err = b.Resume(t.Context(), request("app"))
			b.must(err)
			pass(time.Second)
		}
		b.at("app", switcher.Steady, 100)
		_, err = b.Resume(t.Context(), request("app"))
		b.is(err, switcher.ErrConflict)
	})
}

func TestAHoldStopsARampAndAResumeGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.cutover(green, "10:1m,50:1m", "app")
		b.must(err)
		req := request("app")
		req.Reason = "looks odd"
		_, err = b.Hold(t.Context(), req)
		b.must(err)
		pass(time.Hour)
		b.at("app", switcher.Ramping, 10)
		b.stored("app")
		if h := b.view("app").Cutover.Held; h.Reason != "looks odd" || h.By != "tester" {
			t.Errorf("status says %+v", h)
		}
		_, err = b.Resume(t.Context(), req)
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Ramping, 50)
		pass(time.Minute)
		_, err = b.Hold(t.Context(), req)
		b.is(err, switcher.ErrConflict)
	})
}

func TestACutoverCompletesWhatIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.split(green, 30, "app")
		b.must(err)
		_, err = b.cutover(green, "10:1m,50:1m", "app")
		b.must(err)
		b.at("app", switcher.Ramping, 50)
		b.stored("app")
		pass(61 * time.Second)
		b.at("app", switcher.Steady, 100)
		if m := b.last("app"); m.Kind != switcher.KindCutover || m.Result != switcher.ResultDone {
			t.Errorf("history says %+v", m)
		}
	})
}

func TestACutoverDuringAnotherIsAConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "other")
		_, err := b.cutover(green, "10:1m", "app")
		b.must(err)
		for _, to := range switcher.Colors {
			_, err = b.cutover(to, "", "app")
			b.is(err, switcher.ErrConflict)
			_, err = b.cutover(to, "", "other", "app")
			b.is(err, switcher.ErrConflict)
		}
		_, err = b.Drain(t.Context(), switcher.DrainRequest{Request: request("app")})
		b.is(err, switcher.ErrConflict)
		b.at("app", switcher.Ramping, 10)
		b.at("other", switcher.Steady, 0)
	})
}

func TestACutoverToWhereItIsChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app", "other")
		unchanged := func(to switcher.Color) {
			t.Helper()
			receipt, err := b.cutover(to, "", "app", "other")
			b.must(err)
			if receipt.Changed {
				t.Error("something changed")
			}
		}
		unchanged(blue)
		release := b.work("app", 0, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		_, err = b.cutover(green, "", "other")
		b.must(err)
		unchanged(green) // one drains, the other is done
		release()
		pass(time.Second)
		l, _ := b.Service("app").AcquireIdle()
		_, err = b.Drain(t.Context(), switcher.DrainRequest{Request: request("app")})
		b.must(err)
		unchanged(green) // while an operator's drain runs
		l.Release()
		pass(time.Second)
	})
}

func TestALockStopsARampUntilItIsLifted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.cutover(green, "10:1m", "app")
		b.must(err)
		req := request("app")
		_, err = b.Lock(t.Context(), req)
		b.is(err, switcher.ErrInvalid)
		req.Reason = "match day"
		_, err = b.Lock(t.Context(), req)
		b.must(err)
		b.stored("app")
		pass(time.Hour)
		b.at("app", switcher.Ramping, 10)
		for _, f := range []func() (switcher.Receipt, error){
			func() (switcher.Receipt, error) { return b.cutover(green, "", "app") },
			func() (switcher.Receipt, error) { return b.split(green, 50, "app") },
			func() (switcher.Receipt, error) { return b.split(green, 0, "app") },
			func() (switcher.Receipt, error) { return b.Lock(t.Context(), req) },
		} {
			_, err = f()
			if err == nil {
				t.Error("a locked service was moved")
			}
		}
		_, err = b.split(green, 50, "app")
		b.is(err, switcher.ErrLocked)
		says(t, err, "app", "tester", "match day")
		_, err = b.Unlock(t.Context(), req)
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestATargetThatLosesItsLastHealthyUpstreamIsLeftAtOnce(t *testing.T) {
	for name, lose := range map[string]func(*bed){
		"unhealthy": func(b *bed) { b.health("app", green, false) },
		"gone":      func(b *bed) { b.announce("app", 2, 0); b.health("app", blue, true) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBed(t, switcher.Config{}, "app", "other")
				_, err := b.cutover(green, "50:hold", "app", "other")
				b.must(err)
				b.health("app", green, false, 1)
				pass(time.Minute)
				b.at("app", switcher.Ramping, 50)
				lose(b)
				pass(100 * time.Millisecond)
				b.at("app", switcher.Steady, 0)
				b.at("other", switcher.Steady, 0)
				m := b.last("app")
				if m.Result != switcher.ResultAborted || m.Generation != b.view("app").Generation {
					t.Errorf("history says %+v", m)
				}
				text(t, m.Detail, "app", "green")
			})
		})
	}
}

func TestWhateverStopsAWaitingMoveAnswersItsCommand(t *testing.T) {
	for name, stop := range map[string]func(*bed) error{
		"hold": func(b *bed) error { _, err := b.Hold(b.Context(), request("app")); return err },
		"lock": func(b *bed) error {
			req := request("app")
			req.Reason = "no"
			_, err := b.Lock(b.Context(), req)
			return err
		},
		"abort":    func(b *bed) error { _, err := b.Abort(b.Context(), request("app")); return err },
		"rollback": func(b *bed) error { _, err := b.rollback("app"); return err },
		"split":    func(b *bed) error { _, err := b.split(green, 0, "app"); return err },
		"removal":  func(b *bed) error { return b.Configure(b.Context(), nil) },
		"stop":     func(b *bed) error { b.stop(); return nil },
	} {
		for _, phase := range []switcher.Phase{switcher.Preparing, switcher.Ramping} {
			t.Run(name+" while "+phase.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) { stopWhileWaiting(t, phase, stop) })
			})
		}
	}
}

// stopWhileWaiting stops a move while a command waits for its gates.
func stopWhileWaiting(t *testing.T, phase switcher.Phase, stop func(*bed) error) {
	t.Helper()
	slow := make(chan struct{})
	close(slow)
	g := &slowGate{open: slow}
	b := newBed(t, switcher.Config{Gates: []switcher.Gate{g}}, "app")
	release := b.work("app", 0, 1) // so that nothing is answered by a drain's end
	wait := func() (switcher.Receipt, error) { return b.cutover(green, "", "app") }
	if phase == switcher.Ramping {
		_, err := b.split(green, 20, "app")
		b.must(err)
		l, _ := b.Service("app").Acquire(0)
		defer l.Release()
		wait = func() (switcher.Receipt, error) { return b.split(green, 50, "app") }
	}
	defer release()
	g.set(make(chan struct{}))
	done := later(wait)
	pass(time.Second)
	select {
	case a := <-done:
		t.Fatalf("the command did not wait: %+v", a)
	default:
	}
	b.must(stop(b))
	a := b.answered(done)
	if a.err == nil && a.receipt.Services == nil {
		t.Errorf("the waiting command got nothing: %+v", a)
	}
}
