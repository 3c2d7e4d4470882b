package switcher_test

import (
	"context"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAGateThatAnswersOnlyWhenItMustHangsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		deaf := gateFunc(func(ctx context.Context, _ switcher.GateInput) switcher.Verdict {
			<-ctx.Done()
			return switcher.Verdict{}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{deaf}}, "app")
		started := time.Now()
		receipt, err := b.cutover(green, "", "app")
		b.must(err)
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("the command waited %s for the first verdict", took)
		}
		text(t, receipt.Services[0].Cutover.Gates[0].String(), "app", `"custom"`, "no answer within 10s")
		pass(21 * time.Second)
		b.at("app", switcher.Steady, 0)
		text(t, b.last("app").Detail, "no answer within")
	})
}

func TestTheGateTimeoutHoldsForASlowGateToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := gateFunc(func(ctx context.Context, _ switcher.GateInput) switcher.Verdict {
			select {
			case <-ctx.Done():
			case <-time.After(8 * time.Second):
			}
			return switcher.Verdict{Decision: switcher.Pass}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{slow}}, "app")
		started := time.Now()
		_, err := b.cutover(green, "", "app")
		b.must(err)
		if took := time.Since(started); took != 8*time.Second {
			t.Errorf("the command took %s", took)
		}
		b.at("app", switcher.Steady, 100)
	})
}

func TestASlowGateIsNotWaitedForLongerThanTheGateTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &slowGate{open: make(chan struct{})}
		options := switcher.Options{GateTimeout: switcher.Duration(3 * time.Second)}
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{g}, Options: options}, "app")
		started := time.Now()
		_, err := b.cutover(green, "", "app")
		if took := time.Since(started); took != 3*time.Second {
			t.Errorf("the command took %s", took)
		}
		b.must(err) // it was told that the gates are waited for, just before the end
		pass(time.Second)
		b.at("app", switcher.Steady, 0)
		text(t, b.last("app").Detail, "waited 3s", "app", `"slow"`, "no answer within 3s")
	})
}

func TestAGateThatNeverEndsIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		end := make(chan struct{})
		stuck := gateFunc(func(context.Context, switcher.GateInput) switcher.Verdict {
			<-end
			return switcher.Verdict{Decision: switcher.Pass}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{stuck}}, "app")
		defer close(end)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.at("app", switcher.Preparing, 0)
		pass(31 * time.Second)
		b.at("app", switcher.Steady, 0)
	})
}

func TestAStaleVerdictMovesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := gateFunc(func(context.Context, switcher.GateInput) switcher.Verdict {
			time.Sleep(2 * time.Second)
			return switcher.Verdict{Decision: switcher.Pass}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{slow}}, "app")
		done := later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
		pass(time.Second)
		_, err := b.Hold(t.Context(), request("app"))
		b.must(err)
		if a := b.answered(done); a.err != nil || a.receipt.Services[0].Cutover.Held == nil {
			t.Errorf("the waiting cutover got %+v", a)
		}
		pass(time.Minute)
		b.at("app", switcher.Preparing, 0)
		_, err = b.Resume(t.Context(), request("app"))
		b.must(err)
		pass(3 * time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestNoGateIsAskedOnAboutAColorThatIsSafeToStop(t *testing.T) {
	for name, c := range map[string]struct {
		ramp string
		end  func(*bed)
	}{
		"aborted before the first step": {"", func(b *bed) { _, err := b.Abort(b.Context(), request("app")); b.must(err) }},
		"aborted in a ramp":             {"10:1s", func(b *bed) { _, err := b.Abort(b.Context(), request("app")); b.must(err) }},
		"rolled back":                   {"10:1s", func(b *bed) { _, err := b.rollback("app"); b.must(err) }},
		"stranded":                      {"10:1s", func(b *bed) { b.health("app", green, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				asked := make(chan context.Context, 1)
				g := gateFunc(func(ctx context.Context, p switcher.GateInput) switcher.Verdict {
					if p.Step < p.Steps {
						return switcher.Verdict{Decision: switcher.Pass}
					}
					asked <- ctx
					<-ctx.Done()
					return switcher.Verdict{}
				})
				b := newBed(t, switcher.Config{Gates: []switcher.Gate{g}}, "app")
				later(func() (switcher.Receipt, error) { return b.cutover(green, c.ramp, "app") })
				round := <-asked
				if b.view("app").Green.SafeToStop {
					t.Error("green is safe to stop while its gates are asked")
				}
				c.end(b)
				for !b.view("app").Green.SafeToStop {
					pass(10 * time.Millisecond)
				}
				if round.Err() == nil {
					t.Error("green is safe to stop, and a gate is still being asked about it")
				}
			})
		})
	}
}
