package switcher

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// gateEvery is how often closed gates are asked again, gatePatience how long
// one round of them may take.
const (
	gateEvery    = 200 * time.Millisecond
	gatePatience = 10 * time.Second
)

// failingEvery is how often they are asked while a move has failed and stays
// where it is.
const failingEvery = 2 * time.Second

// checked is the answer of one round of gates.
type checked struct {
	run      *run
	round    int
	asked    []gateCall
	verdicts []Verdict
}

// askGates starts a round of gate checks beside the loop, since a gate may
// take its time.
func (s *Switcher) askGates(ctx context.Context, r *run, now time.Time) {
	inputs := make([]gateCall, len(r.members))
	for i, m := range r.members {
		inputs[i] = gateCall{m.config.Gates, r.input(m, now)}
	}
	ctx, cancel := context.WithCancel(ctx)
	r.checking, r.asked, r.recall = true, now, cancel
	round := r.round
	patience := min(gatePatience, r.waiting.Add(time.Duration(r.cut.GateTimeout)).Sub(now))
	s.gating.Go(func() {
		defer cancel()
		verdicts := askAll(ctx, inputs, patience)
		select {
		case s.checked <- checked{r, round, inputs, verdicts}:
		case <-ctx.Done():
		}
	})
}

func (r *run) input(m *machine, now time.Time) GateInput {
	p := GateInput{
		Service: m.name, ID: r.cut.ID, From: r.cut.From, To: r.cut.To, Weight: r.cut.nextWeight(),
		Step: r.cut.Step + 1, Steps: len(r.cut.Ramp) + 1,
		Health: m.pools.Of(r.cut.To).Health(), Now: now, By: r.cut.By, Reason: r.cut.Reason,
	}
	for _, c := range Colors {
		*p.Upstreams.At(c) = m.pools.Of(c).states()
	}
	return p
}

type gateCall struct {
	gates []Gate
	input GateInput
}

// askAll asks all gates at once, so that a slow one takes no other's time, and
// answers in their order.
func askAll(ctx context.Context, calls []gateCall, patience time.Duration) []Verdict {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	verdicts := []Verdict{}
	for _, call := range calls {
		verdicts = append(verdicts, make([]Verdict, len(call.gates))...)
	}
	var asking sync.WaitGroup
	at := 0
	for _, call := range calls {
		for _, g := range call.gates {
			into := &verdicts[at]
			at++
			asking.Go(func() {
				v := g.Check(ctx, call.input)
				v.Gate, v.Service = g.Name(), call.input.Service
				if v.Decision != Pass && v.Reason == "" {
					v.Reason = silence(ctx, patience)
				}
				*into = v
			})
		}
	}
	asking.Wait()
	return verdicts
}

func silence(ctx context.Context, patience time.Duration) string {
	if ctx.Err() != nil {
		return fmt.Sprintf("no answer within %s", patience.Round(time.Millisecond))
	}
	return "gave no reason"
}

// overdue deals with a round of gates that does not end when it should: the
// commands that wait are let go, and at the gate timeout the move ends.
func (s *Switcher) overdue(r *run, now time.Time) {
	late := now.Sub(r.asked) - gatePatience
	if late < time.Second && now.Sub(r.waiting) < time.Duration(r.cut.GateTimeout)+time.Second {
		return
	}
	r.verdicts = nil
	for _, m := range r.members {
		for _, g := range m.config.Gates {
			r.verdicts = append(r.verdicts, Verdict{Gate: g.Name(), Service: m.name, Reason: "one of the gates does not end its check"})
		}
	}
	s.answer(r, nil)
	if now.Sub(r.waiting) >= time.Duration(r.cut.GateTimeout) {
		s.giveUp(r, fmt.Sprintf("waited %s: ", r.cut.GateTimeout))
	}
}

// gatesChecked goes on with what a round of gates has answered.
func (s *Switcher) gatesChecked(c checked) {
	r := c.run
	if c.round != r.round || !slices.Contains(s.runs, r) {
		return // the move has changed, or ended, meanwhile
	}
	said := closedGates(r.verdicts)
	r.checking, r.verdicts = false, c.verdicts
	r.cut.NoWayBack = slices.ContainsFunc(c.verdicts, func(v Verdict) bool { return v.Stay && v.Decision != Pass })
	if closedGates(c.verdicts) == "" {
		if v, ok := r.joined(c.asked); ok {
			r.asked, r.verdicts = time.Time{}, []Verdict{v}
			return
		}
		r.askInstant(c.asked, time.Now())
	}
	closed := closedGates(r.verdicts)
	switch {
	case slices.ContainsFunc(r.verdicts, func(v Verdict) bool { return v.Decision == Refuse }):
		s.giveUp(r, "")
	case closed == "":
		s.takeStep(r)
	default:
		if closed != said {
			s.emit(r.members[0], Event{Type: EventGate, Detail: "waits for " + closed})
		}
		s.answer(r, nil)
	}
}

// giveUp ends a move whose gates stay closed: before any traffic moved it is
// refused, afterwards its failure policy decides.
func (s *Switcher) giveUp(r *run, prefix string) {
	refusal := &GateError{r.verdicts}
	detail := prefix + closedGates(r.verdicts)
	if r.phase == Preparing {
		s.end(r, ResultRefused, detail, refusal)
		return
	}
	s.fail(r, failure{by: CauseGate, detail: detail, cause: refusal})
}

// joined reports that the target has an upstream that it had not when the gates
// were asked, and so none has looked at.
func (r *run) joined(asked []gateCall) (v Verdict, ok bool) {
	for i, m := range r.members {
		known := make(map[string]bool)
		for _, u := range asked[i].input.Upstreams.Of(r.cut.To) {
			known[u.Address] = true
		}
		for _, u := range m.pools.Of(r.cut.To).states() {
			if !known[u.Address] {
				return Verdict{Gate: HealthyShare{}.Name(), Service: m.name, Reason: fmt.Sprintf("%s has a new upstream, %s: all gates are asked again", r.cut.To, u.Address)}, true
			}
		}
	}
	return Verdict{}, false
}

// instant is a gate that judges by its input alone.
type instant interface{ instant() }

// askInstant asks such gates again before a step is taken: while others took
// their time, the pool may have changed.
func (r *run) askInstant(asked []gateCall, now time.Time) {
	at := 0
	for i, m := range r.members {
		for _, g := range asked[i].gates {
			if _, ok := g.(instant); ok {
				v := g.Check(context.Background(), r.input(m, now))
				v.Gate, v.Service = g.Name(), m.name
				r.verdicts[at] = v
			}
			at++
		}
	}
}
