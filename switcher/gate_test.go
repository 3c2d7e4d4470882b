package switcher_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func healthyAll() []switcher.Gate { return []switcher.Gate{switcher.HealthyShare{Min: 1}} }

// says fails unless err names all of words.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	text(t, err.Error(), words...)
}

func text(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not mention %q", text, w)
		}
	}
}

func TestAnEmptyPoolIsRefusedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
		b.pools("app", 2, 0)
		_, err := b.cutover(green, "", "app")
		b.is(err, switcher.ErrRefused)
		says(t, err, "app", `"healthy"`, "the green pool is empty")
		b.at("app", switcher.Steady, 0)
		if m := b.last("app"); m.Result != switcher.ResultRefused || !strings.Contains(m.Detail, "empty") {
			t.Errorf("history says %+v", m)
		}
	})
}

func TestAHalfHealthyPoolIsWaitedForThenRefusedAndTrafficStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
		b.health("app", green, false, 1)
		receipt, err := b.cutover(green, "", "app")
		b.must(err)
		if v := receipt.Services[0]; v.Phase != switcher.Preparing || len(v.Cutover.Gates) != 1 || v.Cutover.WaitsUntil.IsZero() {
			t.Fatalf("the receipt says %+v", v)
		}
		pass(29 * time.Second)
		b.at("app", switcher.Preparing, 0)
		pass(2 * time.Second)
		b.at("app", switcher.Steady, 0)
		m := b.last("app")
		if m.Result != switcher.ResultRefused {
			t.Errorf("the result is %q", m.Result)
		}
		text(t, m.Detail, "waited 30s", "app", `"healthy"`, "green has 1 of 2", "app-green-1:80: http: got 500, want 200")
		b.stored("app")
	})
}

func TestAHalfHealthyPoolIsEnoughWhereHalfIsAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{switcher.HealthyShare{Min: 0.5}}}, "app")
		b.health("app", green, false, 1)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAPoolThatBecomesHealthyIsMovedTo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll()}, "app")
		b.announce("app", 2, 2)
		b.health("app", green, false)
		_, err := b.cutover(green, "", "app")
		b.must(err)
		pass(5 * time.Second)
		b.health("app", green, true)
		pass(time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestAFlappingUpstreamDoesNotSlipThroughASoak(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gates := append(healthyAll(), switcher.Soak{For: 10 * time.Second})
		b := newBed(t, switcher.Config{Gates: gates}, "app")
		events, cancel := b.Subscribe()
		defer cancel()
		_, err := b.cutover(green, "", "app")
		b.must(err)
		for range 4 {
			pass(3 * time.Second)
			b.health("app", green, false, 1)
			pass(3 * time.Second)
			b.health("app", green, true, 1)
		}
		b.at("app", switcher.Preparing, 0)
		synctest.Wait()
		waits := len(told(events, switcher.EventGate, ""))
		if waits > 10 {
			t.Errorf("%d gate events for 8 changes of health", waits)
		}
		pass(9 * time.Second)
		b.at("app", switcher.Steady, 0) // 30 s of flapping were enough
		_, err = b.cutover(green, "", "app")
		b.must(err)
		pass(2 * time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestASoakAloneDoesNotPassAPoolThatWasNeverProbed(t *testing.T) {
	in := switcher.GateInput{To: green, Now: time.Now()}
	for _, in.Health = range []switcher.PoolHealth{{}, {Total: 2, Unknown: 2}} {
		if v := (switcher.Soak{For: time.Minute}).Check(t.Context(), in); v.Decision != switcher.Wait {
			t.Errorf("%+v: %s", in.Health, v)
		}
	}
}

func TestAGateThatRefusesEndsTheMoveAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &valve{}
		v.say(switcher.Refuse, "the migration is not done")
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}}, "app")
		_, err := b.cutover(green, "", "app")
		b.is(err, switcher.ErrRefused)
		says(t, err, "app", `"valve"`, "the migration is not done")
		var gates *switcher.GateError
		if !errors.As(err, &gates) || len(gates.Verdicts) != 1 || gates.Verdicts[0].Service != "app" {
			t.Errorf("the error carries %+v", gates)
		}
		b.at("app", switcher.Steady, 0)
	})
}

func TestAGateThatClosesDuringARampBringsTheTrafficBack(t *testing.T) {
	for name, decision := range map[string]switcher.Decision{"waiting": switcher.Wait, "refusing": switcher.Refuse} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				v := &valve{}
				v.say(switcher.Pass, "")
				b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}}, "app")
				_, err := b.cutover(green, "10:1m", "app")
				b.must(err)
				b.at("app", switcher.Ramping, 10)
				v.say(decision, "errors rise")
				pass(89 * time.Second)
				if decision == switcher.Wait {
					b.at("app", switcher.Ramping, 10)
				}
				pass(2 * time.Second)
				b.at("app", switcher.Steady, 0)
				m := b.last("app")
				if m.Result != switcher.ResultAborted {
					t.Errorf("the result is %q", m.Result)
				}
				text(t, m.Detail, "greenroom", "app", `"valve"`, "errors rise")
			})
		})
	}
}

func TestAClosedGateDoesNotSendTrafficBackToADeadPool(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := &valve{}
		v.say(switcher.Pass, "")
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{v}}, "app")
		_, err := b.cutover(green, "10:1m", "app")
		b.must(err)
		v.say(switcher.Refuse, "errors rise")
		b.health("app", blue, false)
		pass(2 * time.Minute)
		b.at("app", switcher.Ramping, 10)
		held := b.view("app").Cutover.Held
		if held == nil {
			t.Fatal("the ramp is not held")
		}
		text(t, held.Reason, "errors rise", "blue has no healthy upstream")
	})
}

func TestAGateLearnsWhatItJudges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []switcher.GateInput
		g := gateFunc(func(_ context.Context, in switcher.GateInput) switcher.Verdict {
			got = append(got, in)
			return switcher.Verdict{Decision: switcher.Pass}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{g}}, "app")
		_, err := b.cutover(green, "10,50", "app")
		b.must(err)
		pass(time.Second)
		if len(got) != 3 || got[0].Weight != 10 || got[1].Weight != 50 || got[2].Weight != 100 {
			t.Fatalf("the gate was asked %+v", got)
		}
		if in := got[0]; in.Service != "app" || in.From != blue || in.To != green || in.Health.Healthy != 2 {
			t.Errorf("the gate was asked %+v", in)
		}
	})
}
