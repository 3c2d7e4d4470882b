package switcher_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAPlanChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{Gates: healthyAll(), Ramp: switcher.Ramp{{Weight: 5}}}, "app")
		defer b.work("app", 0, 2)()
		b.health("app", green, false, 1)
		before, writes := b.view("app"), b.store.written()
		plan, err := b.Plan(t.Context(), switcher.CutoverRequest{Request: request("app"), To: green})
		b.must(err)
		if plan.From != blue || len(plan.Ramp) != 1 || plan.Inflight != 2 || plan.GateTimeout != switcher.DefaultGateTimeout || len(plan.Gates) != 1 {
			t.Errorf("the plan is %+v", plan)
		}
		if len(plan.Blocked) != 1 {
			t.Fatalf("it is blocked by %q", plan.Blocked)
		}
		text(t, plan.Blocked[0], "app", "1 of 2", "app-green-1:80")
		if after := b.view("app"); !reflect.DeepEqual(before, after) || b.store.written() != writes {
			t.Errorf("was %+v, is %+v", before, after)
		}
		req := request("app")
		req.Reason = "match day"
		_, err = b.Lock(t.Context(), req)
		b.must(err)
		plan, err = b.Plan(t.Context(), switcher.CutoverRequest{Request: request("app"), To: blue})
		b.must(err)
		if len(plan.Blocked) != 2 {
			t.Errorf("it is blocked by %q", plan.Blocked)
		}
	})
}

func TestACommandForAnotherGenerationIsAConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		for _, generation := range []uint64{0, 2} {
			req := request("app")
			req.IfGeneration = &generation
			_, err := b.Cutover(t.Context(), switcher.CutoverRequest{Request: req, To: green})
			b.is(err, switcher.ErrConflict)
			says(t, err, "app", "generation 1")
			_, err = b.Rollback(t.Context(), switcher.RollbackRequest{Request: req})
			b.is(err, switcher.ErrConflict)
		}
		one := uint64(1)
		req := request("app")
		req.IfGeneration = &one
		_, err := b.Cutover(t.Context(), switcher.CutoverRequest{Request: req, To: green})
		b.must(err)
	})
}

func TestABadRequestIsRefusedWithTheReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		for word, req := range map[string]switcher.CutoverRequest{
			"no service":    {To: green},
			"twice":         {Request: request("app", "app"), To: green},
			"blue or green": {Request: request("app")},
			"reason":        {Request: switcher.Request{Services: []string{"app"}, Reason: string(make([]byte, 501))}, To: green},
			"must rise":     {Request: request("app"), To: green, Ramp: &switcher.Ramp{{Weight: 20}, {Weight: 10}}},
			"gate timeout":  {Request: request("app"), To: green, Options: switcher.Options{GateTimeout: -1}},
			"drain timeout": {Request: request("app"), To: green, Options: switcher.Options{DrainTimeout: switcher.Duration(8 * 24 * time.Hour)}},
		} {
			_, err := b.Cutover(t.Context(), req)
			b.is(err, switcher.ErrInvalid)
			says(t, err, word)
			_, err = b.Plan(t.Context(), req)
			b.is(err, switcher.ErrInvalid)
		}
		_, err := b.cutover(green, "", "app", "nobody")
		b.is(err, switcher.ErrUnknownService)
		_, err = b.split(0, 50, "app")
		b.is(err, switcher.ErrInvalid)
		_, err = b.split(green, 101, "app")
		b.is(err, switcher.ErrInvalid)
		if err := b.Configure(t.Context(), map[string]switcher.Config{"app": {Active: 9}}); err == nil {
			t.Error("color 9 was taken")
		}
		b.at("app", switcher.Steady, 0)
		if v := b.view("app"); v.Generation != 1 || v.Last != nil {
			t.Errorf("a bad request left %+v", v)
		}
	})
}

func TestWhatStatusReturnsIsACopy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t, switcher.Config{}, "app")
		ramp := switcher.Ramp{{Weight: 10, Hold: time.Minute}, {Weight: 20}}
		_, err := b.Cutover(t.Context(), switcher.CutoverRequest{Request: request("app"), To: green, Ramp: &ramp})
		b.must(err)
		before, err := json.Marshal(b.view("app"))
		b.must(err)
		ramp[1].Weight = 99
		v := b.view("app")
		v.Cutover.Ramp[1].Weight, v.Cutover.Services[0] = 77, "x"
		after, err := json.Marshal(b.view("app"))
		b.must(err)
		if string(before) != string(after) {
			t.Errorf("was %s, is %s", before, after)
		}
	})
}
