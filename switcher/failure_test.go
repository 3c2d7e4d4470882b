package switcher_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// rampWith starts a ramp to green under a policy, past a gate that is open.
func rampWith(t *testing.T, policy switcher.FailurePolicy) (*bed, *valve) {
	v := new(valve)
	v.say(switcher.Pass, "")
	b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}, Options: switcher.Options{OnFailure: policy}}, "app")
	_, err := b.cutover(green, "10:1m,50:1m", "app")
	b.must(err)
	b.at("app", switcher.Ramping, 10)
	return b, v
}

func TestUnderRollbackAGateThatClosesTakesAllTrafficBack(t *testing.T) {
	for _, policy := range []switcher.FailurePolicy{"", switcher.OnFailureRollback} {
		bubble(t, func(t *testing.T) {
			b, v := rampWith(t, policy)
			v.say(switcher.Refuse, "p99 doubled")
			pass(61 * time.Second)
			b.at("app", switcher.Steady, 0)
			if m := b.last("app"); m.Result != switcher.ResultAborted || !strings.Contains(m.Detail, "p99 doubled") {
				t.Errorf("history says %+v", m)
			}
		})
	}
}

// failures are what can be found wanting of a target in a ramp.
var failures = map[string]func(*bed, *valve){
	"a gate that refuses":            func(_ *bed, v *valve) { v.say(switcher.Refuse, "p99 doubled") },
	"a gate that stays closed":       func(_ *bed, v *valve) { v.say(switcher.Wait, "p99 doubled") },
	"a target that is not reachable": func(b *bed, _ *valve) { b.health("app", green, false) },
}

func TestUnderFreezeAFailureHoldsTheRampUntilAnOperatorDecides(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, v := rampWith(t, switcher.OnFailureFreeze)
				events, cancel := b.Subscribe()
				defer cancel()
				fail(b, v)
				pass(10 * time.Minute)
				b.at("app", switcher.Ramping, 10)
				held := b.view("app").Cutover.Held
				if held == nil || held.By != "greenroom" || !strings.Contains(held.Reason, "frozen") {
					t.Fatalf("held: %+v", held)
				}
				b.stored("app")
				if n := len(told(events, switcher.EventHold, "")); n != 1 {
					t.Errorf("told %d times", n)
				}
				v.say(switcher.Pass, "")
				b.health("app", green, true)
				pass(10 * time.Minute)
				b.at("app", switcher.Ramping, 10) // nothing but an operator thaws it
				_, err := b.Resume(b.Context(), request("app"))
				b.must(err)
				pass(3 * time.Minute)
				b.at("app", switcher.Steady, 100)
			})
		})
	}
}

func TestAFrozenRampCanBeRolledBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, v := rampWith(t, switcher.OnFailureFreeze)
		v.say(switcher.Refuse, "p99 doubled")
		pass(2 * time.Minute)
		_, err := b.rollback("app")
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 0)
	})
}

func TestForwardOnlyWaitsWithoutATimeoutAndGoesOnByItself(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, v := rampWith(t, switcher.OnFailureForwardOnly)
				events, cancel := b.Subscribe()
				defer cancel()
				fail(b, v)
				pass(10 * time.Minute)
				b.at("app", switcher.Ramping, 10)
				if n := len(told(events, switcher.EventGate, "forward_only")); n != 1 {
					t.Errorf("told %d times", n)
				}
				v.say(switcher.Pass, "")
				b.health("app", green, true)
				pass(3 * time.Minute)
				b.at("app", switcher.Steady, 100)
			})
		})
	}
}

func TestBeforeTheFirstStepEveryPolicyRefuses(t *testing.T) {
	for _, policy := range []switcher.FailurePolicy{switcher.OnFailureRollback, switcher.OnFailureFreeze, switcher.OnFailureForwardOnly} {
		bubble(t, func(t *testing.T) {
			v := new(valve)
			v.say(switcher.Refuse, "not today")
			b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}}, "app")
			_, err := b.Cutover(b.Context(), switcher.CutoverRequest{
				Request: request("app"), To: green, Options: switcher.Options{OnFailure: policy},
			})
			b.is(err, switcher.ErrRefused)
			b.at("app", switcher.Steady, 0)
		})
	}
}

func TestAGateThatSaysStayHoldsARampThatWouldBeRolledBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var bad atomic.Bool
		gate := gateFunc(func(context.Context, switcher.GateInput) switcher.Verdict {
			if bad.Load() {
				return switcher.Verdict{Decision: switcher.Refuse, Stay: true, Reason: "blue cannot read schema 15"}
			}
			return switcher.Verdict{Decision: switcher.Pass}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{gate}}, "app")
		_, err := b.cutover(green, "10:1m", "app")
		b.must(err)
		bad.Store(true)
		pass(2 * time.Minute)
		b.at("app", switcher.Ramping, 10)
		text(t, b.view("app").Cutover.Held.Reason, "blue cannot read schema 15", "going back would not work")
		_, err = b.rollback("app") // which always wins
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 0)
	})
}

func TestAPolicyThatIsNoneIsInvalid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		_, err := b.Cutover(b.Context(), switcher.CutoverRequest{
			Request: request("app"), To: green, Options: switcher.Options{OnFailure: "pray"},
		})
		b.is(err, switcher.ErrInvalid)
		says(t, err, `"pray"`, "forward_only")
	})
}

func TestGatesAreAskedAtOnceAndAnswerInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		wait := gateFunc(func(ctx context.Context, _ switcher.GateInput) switcher.Verdict {
			time.Sleep(6 * time.Second)
			return switcher.Verdict{Decision: switcher.Pass, Reason: "took its time"}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{wait, wait, switcher.HealthyShare{Min: 1}}}, "app")
		began := time.Now()
		p, err := b.Plan(b.Context(), switcher.CutoverRequest{Request: request("app"), To: green})
		b.must(err)
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("took %s", took)
		}
		if len(p.Gates) != 3 || p.Gates[2].Gate != "healthy" || len(p.Blocked) != 0 {
			t.Errorf("the plan says %+v", p)
		}
	})
}

func TestAPacedGateIsAskedOnceInAWhileAndAlwaysForAPlan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked, planned := 0, 0
		gate := &switcher.Paced{Every: time.Second, Gate: gateFunc(func(_ context.Context, p switcher.GateInput) switcher.Verdict {
			if p.Planned() {
				planned++
			} else {
				asked++
			}
			return switcher.Verdict{Reason: "not yet"}
		})}
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{gate}, Options: switcher.Options{GateTimeout: switcher.Duration(10 * time.Second)}}, "app")
		for range 3 {
			_, err := b.Plan(b.Context(), switcher.CutoverRequest{Request: request("app"), To: green})
			b.must(err)
		}
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(11 * time.Second)
		b.at("app", switcher.Steady, 0)
		if planned != 3 || asked < 8 || asked > 11 {
			t.Errorf("asked %d times, and %d for a plan", asked, planned)
		}
	})
}

func TestAPacedGateForgetsWhatItSaidInARoundThatWasCalledOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := make(chan struct{}, 9)
		gate := &switcher.Paced{Every: time.Hour, Gate: gateFunc(func(ctx context.Context, _ switcher.GateInput) switcher.Verdict {
			if asked <- struct{}{}; len(asked) == 1 {
				<-ctx.Done()
				return switcher.Verdict{Reason: "canceled"}
			}
			return switcher.Verdict{Decision: switcher.Pass}
		})}
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{gate}}, "app")
		later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
		pass(time.Second)
		_, err := b.Hold(t.Context(), request("app"))
		b.must(err)
		pass(time.Second)
		_, err = b.Resume(t.Context(), request("app"))
		b.must(err)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAGateIsToldOfTheMoveAndItsUpstreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen []switcher.GateInput
		gate := gateFunc(func(_ context.Context, p switcher.GateInput) switcher.Verdict {
			seen = append(seen, p)
			return switcher.Verdict{Decision: switcher.Pass}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{gate}}, "app")
		b.health("app", blue, false, 1)
		_, err := b.Plan(b.Context(), switcher.CutoverRequest{Request: request("app"), To: green})
		b.must(err)
		_, err = b.cutover(green, "10:1m", "app")
		b.must(err)
		pass(2 * time.Minute)
		if len(seen) != 3 {
			t.Fatalf("asked %d times", len(seen))
		}
		if !seen[0].Planned() || seen[1].Planned() || seen[1].ID != b.last("app").ID {
			t.Errorf("the ids are %q, %q", seen[0].ID, seen[1].ID)
		}
		if p := seen[2]; p.Step != 2 || p.Steps != 2 || p.Weight != 100 || p.By != "tester" {
			t.Errorf("the flip is asked for as %+v", p)
		}
		if p := seen[1]; len(p.Healthy(green)) != 2 || len(p.Healthy(blue)) != 1 || len(p.Upstreams.Blue) != 2 || p.Healthy(green)[0].Since.IsZero() {
			t.Errorf("upstreams: %+v", p.Upstreams)
		}
	})
}
