package switcher_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// slowly passes after five seconds, and counts.
func slowly(asked *atomic.Int64) switcher.Gate {
	return gateFunc(func(context.Context, switcher.GateInput) switcher.Verdict {
		asked.Add(1)
		time.Sleep(5 * time.Second)
		return switcher.Verdict{Decision: switcher.Pass}
	})
}

func TestNoStepIsTakenToAPoolThatHasFailedWhileGatesWereAsked(t *testing.T) {
	for name, change := range map[string]func(*bed){
		"unhealthy": func(b *bed) { b.health("app", green, false, 1) },
		"empty":     func(b *bed) { b.announce("app", 2, 0); b.health("app", blue, true) },
		"not calm":  func(b *bed) { b.health("app", green, false, 1); pass(time.Second); b.health("app", green, true, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var asked atomic.Int64
				b := newBed(t, switcher.Config{Gates: []switcher.Gate{slowly(&asked), switcher.HealthyShare{Min: 1}, switcher.Soak{For: time.Minute}}}, "app")
				pass(2 * time.Minute)
				later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
				pass(2 * time.Second)
				change(b)
				pass(4 * time.Second)
				if got := b.view("app").Split.Weight(green); got != 0 {
					t.Errorf("green has %d%%", got)
				}
			})
		})
	}
}

func TestWhatGatesSayWhileTheTargetIsGoneTakesNoStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked atomic.Int64
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{slowly(&asked)}, Options: switcher.Options{OnFailure: switcher.OnFailureForwardOnly}}, "app")
		_, err := b.cutover(green, "10:1s", "app")
		b.must(err)
		pass(2 * time.Second)
		b.health("app", green, false)
		pass(time.Second)
		b.health("app", green, true)
		pass(4 * time.Second)
		b.at("app", switcher.Ramping, 10)
		pass(4 * time.Second)
		b.at("app", switcher.Steady, 100)
	})
}

func TestGatesLookAtAnUpstreamThatJoinsWhileTheyAreAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked atomic.Int64
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{slowly(&asked)}}, "app")
		done := later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
		pass(2 * time.Second)
		b.pools("app", 2, 3)
		pass(4 * time.Second)
		b.at("app", switcher.Preparing, 0)
		pass(5 * time.Second)
		b.must(b.answered(done).err)
		b.at("app", switcher.Steady, 100)
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestAReloadHasTheNewGatesAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		old, open := new(slowGate), make(chan struct{})
		old.set(open)
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{old}}, "app")
		done := later(func() (switcher.Receipt, error) { return b.cutover(green, "", "app") })
		pass(time.Second)
		v := new(valve)
		v.say(switcher.Refuse, "not today")
		b.configs["app"] = switcher.Config{Gates: []switcher.Gate{v}}
		b.must(b.Configure(b.Context(), b.configs))
		close(open)
		pass(time.Second)
		b.is(b.answered(done).err, switcher.ErrRefused)
		b.at("app", switcher.Steady, 0)
	})
}

func TestAReloadGivesGatesTheirTimeAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, v := rampWith(t, switcher.OnFailureRollback)
		v.say(switcher.Wait, "watched for too short a time")
		pass(80 * time.Second) // of the 30 s that they have, 20 have passed
		b.must(b.Configure(b.Context(), b.configs))
		pass(20 * time.Second)
		b.at("app", switcher.Ramping, 10)
		pass(20 * time.Second)
		b.at("app", switcher.Steady, 0)
	})
}

func TestAReloadTellsNothingTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, _ := rampWith(t, switcher.OnFailureFreeze)
		events, cancel := b.Subscribe()
		defer cancel()
		b.health("app", green, false)
		pass(time.Second)
		b.must(b.Configure(b.Context(), b.configs))
		pass(time.Minute)
		if n := len(told(events, switcher.EventHold, "")); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

func TestAGateThatRefusesAMoveThatMustNotGoBackIsNotAskedAllTheTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked atomic.Int64
		refuses := gateFunc(func(_ context.Context, in switcher.GateInput) switcher.Verdict {
			if in.Step == 1 {
				return switcher.Verdict{Decision: switcher.Pass}
			}
			asked.Add(1)
			return switcher.Verdict{Decision: switcher.Refuse, Reason: "no"}
		})
		b := newBed(t, switcher.Config{Gates: []switcher.Gate{refuses}, Options: switcher.Options{OnFailure: switcher.OnFailureForwardOnly}}, "app")
		_, err := b.cutover(green, "10:1m", "app")
		b.must(err)
		pass(2 * time.Minute)
		if n := asked.Load(); n < 20 || n > 40 {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

func TestAGroupHasTheMostCarefulOptionsOfItsServices(t *testing.T) {
	seconds := func(n int) switcher.Duration { return switcher.Duration(n) * switcher.Duration(time.Second) }
	web := switcher.Options{
		GateTimeout: seconds(90), DrainTimeout: seconds(30), PinDeadline: seconds(60), RollbackWindow: seconds(1800), Pins: switcher.PinsDrop,
		Deadlines: switcher.Deadlines{switcher.StreamWebSocket: seconds(7)},
	}
	api := switcher.Options{
		DrainTimeout: seconds(20), PinDeadline: seconds(50), RollbackWindow: seconds(86400), OnFailure: switcher.OnFailureForwardOnly,
	}
	want := switcher.Options{
		GateTimeout: seconds(90), DrainTimeout: seconds(30), PinDeadline: seconds(60), RollbackWindow: seconds(86400),
		OnFailure: switcher.OnFailureFreeze, Deadlines: switcher.Deadlines{switcher.StreamWebSocket: seconds(20)},
	}
	for _, names := range [][]string{{"web", "api"}, {"api", "web"}} {
		bubble(t, func(t *testing.T) {
			b := &bed{TB: t, store: &memory{}, configs: map[string]switcher.Config{"web": {Options: web}, "api": {Options: api}}}
			b.open()
			req := switcher.CutoverRequest{Request: request(names...), To: green}
			p, err := b.Plan(b.Context(), req)
			b.must(err)
			if p.Options != want {
				t.Errorf("%v: %+v, want %+v", names, p.Options, want)
			}
			req.OnFailure, req.RollbackWindow = switcher.OnFailureRollback, seconds(60)
			p, err = b.Plan(b.Context(), req)
			b.must(err)
			if p.OnFailure != switcher.OnFailureRollback || p.RollbackWindow != seconds(60) {
				t.Errorf("%v: what is said counts: %+v", names, p.Options)
			}
		})
	}
}
