package switcher_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

var errDisk = errors.New("no space left on device")

// bring brings app to a phase on its way to green.
func (b *bed) bring(phase switcher.Phase) {
	b.Helper()
	var err error
	switch phase {
	case switcher.Preparing:
		b.health("app", green, false, 1)
		_, err = b.cutover(green, "", "app")
	case switcher.Ramping:
		_, err = b.cutover(green, "30:1h", "app")
	case switcher.Draining:
		b.Cleanup(b.work("app", 0, 1))
		_, err = b.cutover(green, "", "app")
	case switcher.Steady:
		_, err = b.cutover(green, "", "app")
		pass(time.Second)
	}
	b.must(err)
	if v := b.view("app"); v.Phase != phase {
		b.Fatalf("the service is %s, want %s", v.Phase, phase)
	}
}

func TestRollbackWinsFromEveryPhase(t *testing.T) {
	for _, phase := range switcher.Phases {
		for name, trouble := range map[string]func(*bed){
			"quietly": func(*bed) {},
			"locked": func(b *bed) {
				req := request("app")
				req.Reason = "match day"
				_, err := b.Lock(b.Context(), req)
				b.must(err)
			},
			"store fails": func(b *bed) { b.store.failWith(errDisk) },
			"store hangs": func(b *bed) { b.Cleanup(b.store.hang()) },
		} {
			t.Run(phase.String()+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
					b.bring(phase)
					trouble(b)
					started := time.Now()
					receipt, err := b.rollback("app")
					b.must(err)
					if took := time.Since(started); took > 600*time.Millisecond {
						t.Errorf("the rollback took %s", took)
					}
					if v := receipt.Services[0]; !receipt.Changed || v.Split != switcher.All(blue) || v.Active != blue {
						t.Errorf("the receipt says %+v", receipt)
					}
					l, _ := b.Service("app").Acquire(0)
					if l.Color != blue {
						t.Errorf("a lease names %s", l.Color)
					}
					l.Release()
				})
			})
		}
	}
}

func TestASecondRollbackIsAConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.rollback("app")
		b.is(err, switcher.ErrConflict) // nothing has moved yet
		b.bring(switcher.Steady)
		release := b.work("app", 0, 1)
		_, err = b.rollback("app")
		b.must(err)
		receipt, err := b.rollback("app")
		b.must(err)
		if receipt.Changed {
			t.Error("the second rollback moved something while the first drains")
		}
		_, err = b.Abort(t.Context(), request("app"))
		b.is(err, switcher.ErrConflict)
		release()
		pass(time.Second)
		_, err = b.rollback("app")
		b.is(err, switcher.ErrConflict)
		says(t, err, "app", "blue")
		if m := b.last("app"); m.Kind != switcher.KindRollback || m.Result != switcher.ResultDone || m.To != blue {
			t.Errorf("history says %+v", m)
		}
	})
}

func TestAGroupGoesBackTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "a", "b", "c")
		_, err := b.cutover(green, "", "a", "b")
		b.must(err)
		_, err = b.cutover(green, "", "c")
		b.must(err)
		pass(time.Second)
		receipt, err := b.rollback("b")
		b.must(err)
		if len(receipt.Services) != 2 {
			t.Errorf("the receipt speaks of %d services", len(receipt.Services))
		}
		b.at("a", switcher.Steady, 0)
		b.at("b", switcher.Steady, 0)
		b.at("c", switcher.Steady, 100)
	})
}

func TestACutoverAbortedBeforeAnyTrafficMovedKeepsTheGroupAndTheWayBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll()}, "a", "b")
		_, err := b.cutover(green, "", "a", "b")
		b.must(err)
		pass(time.Second)
		b.health("a", blue, false, 1)
		_, err = b.cutover(blue, "", "a")
		b.must(err)
		_, err = b.Abort(t.Context(), request("a"))
		b.must(err)
		_, err = b.rollback("a")
		b.must(err)
		b.at("b", switcher.Steady, 0)
	})
}

func TestServicesInDifferentMovesAreNotRolledBackInOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "a", "b", "c")
		_, err := b.cutover(green, "", "a")
		b.must(err)
		pass(time.Second)
		_, err = b.cutover(green, "40:hold", "b", "c")
		b.must(err)
		for _, f := range []func() (switcher.Receipt, error){
			func() (switcher.Receipt, error) { return b.rollback("a", "b") },
			func() (switcher.Receipt, error) { return b.rollback("b", "a") },
			func() (switcher.Receipt, error) { return b.Abort(t.Context(), request("b", "a")) },
			func() (switcher.Receipt, error) { return b.Hold(t.Context(), request("b", "a")) },
			func() (switcher.Receipt, error) { return b.Resume(t.Context(), request("b", "a")) },
			func() (switcher.Receipt, error) { return b.split(green, 20, "b", "a") },
			func() (switcher.Receipt, error) { return b.split(blue, 0, "a", "b") },
		} {
			_, err := f()
			b.is(err, switcher.ErrConflict)
		}
		b.at("a", switcher.Steady, 100)
		b.at("b", switcher.Ramping, 40)
		b.at("c", switcher.Ramping, 40)
		_, err = b.rollback("b") // the group of b is reached by naming one
		b.must(err)
		b.at("c", switcher.Steady, 0)
	})
}

func TestARollbackToADeadPoolIsRefusedUnlessForced(t *testing.T) {
	for _, phase := range []switcher.Phase{switcher.Steady, switcher.Ramping, switcher.Draining} {
		bubble(t, func(t *testing.T) {
			b := newBed(t, switcher.Config{}, "app")
			b.bring(phase)
			before := b.view("app").Split
			b.health("app", blue, false)
			_, err := b.rollback("app")
			b.is(err, switcher.ErrRefused)
			says(t, err, "app", "blue has no healthy upstream", "app-blue-1:80: http: got 500", "force")
			if now := b.view("app"); now.Split != before || now.Phase != phase {
				t.Errorf("a refused rollback led to %s, %s", now.Phase, now.Split)
			}
			_, err = b.Rollback(t.Context(), switcher.RollbackRequest{Request: request("app"), Force: true})
			b.must(err)
			if now := b.view("app").Split; now != switcher.All(blue) {
				t.Errorf("a forced rollback led to %s", now)
			}
		})
	}
}

func TestARollbackIsStoredWhenTheStoreRecovers(t *testing.T) {
	for name, trouble := range map[string]func(*memory) (recover func()){
		"fails": func(m *memory) func() { m.failWith(errDisk); return func() { m.failWith(nil) } },
		"hangs": func(m *memory) func() { return m.hang() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBed(t, switcher.Config{}, "app")
				b.bring(switcher.Steady)
				recover := trouble(b.store)
				_, err := b.cutover(blue, "", "app")
				b.is(err, switcher.ErrStore)
				b.at("app", switcher.Steady, 100)
				if name == "fails" {
					says(t, err, errDisk.Error())
				}
				started := time.Now()
				_, err = b.rollback("app")
				b.must(err)
				if took := time.Since(started); took > 300*time.Millisecond {
					t.Errorf("the rollback took %s", took)
				}
				pass(time.Minute)
				b.at("app", switcher.Steady, 0)
				if w := b.view("app").Warnings; len(w) != 1 || !strings.Contains(w[0], "older than what is served") {
					t.Errorf("the warnings are %q", w)
				}
				if !b.Unsaved() {
					t.Error("Unsaved says no")
				}
				for range 3 { // a store that hangs keeps nobody waiting for long
					started = time.Now()
					_, err = b.cutover(green, "", "app")
					b.is(err, switcher.ErrStore)
					if took := time.Since(started); took > 300*time.Millisecond {
						t.Errorf("the refusal took %s", took)
					}
				}
				recover()
				pass(3 * time.Second)
				b.stored("app")
				if w := b.view("app").Warnings; len(w) != 0 {
					t.Errorf("the warnings are %q", w)
				}
				_, err = b.cutover(green, "", "app")
				b.must(err)
			})
		})
	}
}

func TestAFlipIsNotAcknowledgedBeforeItIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		release := b.store.hang()
		done := later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
		pass(time.Second)
		select {
		case a := <-done:
			t.Fatalf("acknowledged %+v while nothing was stored", a)
		default:
		}
		if split := b.Service("app").Table().Split; split != switcher.All(blue) {
			t.Errorf("%s serves, and nothing was stored", split)
		}
		release()
		b.must(b.answered(done).err)
		b.stored("app")
		pass(time.Second)
		if b.store.written() < 3 {
			t.Errorf("%d writes for a move that prepares, flips and ends", b.store.written())
		}
	})
}

func TestAHoldGoesThroughWhenTheStoreFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		b.bring(switcher.Ramping)
		b.store.failWith(errDisk)
		_, err := b.Hold(t.Context(), request("app"))
		b.must(err)
		_, err = b.Resume(t.Context(), request("app"))
		b.is(err, switcher.ErrStore)
		pass(2 * time.Hour)
		b.at("app", switcher.Ramping, 30)
	})
}
