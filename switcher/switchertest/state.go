package switchertest

import (
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

// FullState returns a valid state in which each field is set in some service: a
// ramp that is held, a drain, a lock, history, and text that is hard to store.
// Each call returns memory of its own.
func FullState() switcher.State {
	return switcher.State{Services: map[string]switcher.ServiceState{
		"ramping": ramping(), "draining": draining(), "locked": locked(), "fresh": fresh(1),
		`na"me/with <odd> ünïcode`: fresh(7),
	}}
}

func fresh(generation uint64) switcher.ServiceState {
	return switcher.ServiceState{Generation: generation, Active: switcher.Blue, Split: switcher.All(switcher.Blue)}
}

// at gives times with nanoseconds, which a store must not round.
func at(minute int) time.Time { return time.Date(2026, 3, 4, 5, minute, 6, 123456789, time.UTC) }

func ramping() switcher.ServiceState {
	return switcher.ServiceState{
		Generation: 1<<63 + 1, // more than a float64 holds
		Active:     switcher.Blue, Previous: switcher.Green,
		Split: switcher.Weighted(switcher.Green, 25), Phase: switcher.Ramping,
		Cutover: &switcher.Cutover{
			ID: "c-1", Kind: switcher.KindCutover, Services: []string{"draining", "ramping"},
			From: switcher.Blue, To: switcher.Green, Step: 2,
			Ramp: switcher.Ramp{
				{Weight: 10, Hold: 90 * time.Second}, {Weight: 25, Hold: switcher.UntilResumed}, {Weight: 50},
			},
			NoWayBack: true,
			Held:      &switcher.Hold{Reason: "errors\nrise \u2028 \x00", By: "uid 1000"},
			Options: switcher.Options{
				GateTimeout: switcher.Duration(30 * time.Second), DrainTimeout: switcher.Duration(10 * time.Minute),
				Deadlines: switcher.Deadlines{
					switcher.StreamWebSocket: switcher.Duration(30 * time.Minute), switcher.StreamUpload: switcher.Duration(2 * time.Hour),
				},
				Pins: switcher.PinsHold, PinDeadline: switcher.Duration(20 * time.Minute),
				OnFailure: switcher.OnFailureFreeze, RollbackWindow: switcher.Duration(2 * time.Hour),
			},
			By: "uid 1000", Reason: `1.4.2 "final"`, Started: at(1), Compared: comparisons(),
		},
		LastGroup: []string{"draining", "ramping"},
		History:   []switcher.Move{move(2), move(1)},
	}
}

func draining() switcher.ServiceState {
	s := fresh(12)
	s.Phase, s.Previous, s.RollbackUntil = switcher.Draining, switcher.Green, at(40)
	s.Cutover = &switcher.Cutover{
		ID: "c-2", Kind: switcher.KindRollback, Services: []string{"draining"},
		From: switcher.Green, To: switcher.Blue, Drain: switcher.Green, Started: at(9),
		Ending: switcher.ResultRolledBack, Undone: switcher.UndoneByCommand, Detail: "by uid 1000",
	}
	return s
}

func locked() switcher.ServiceState {
	s := fresh(3)
	s.Active, s.Split = switcher.Green, switcher.All(switcher.Green)
	s.Lock = &switcher.Lock{Reason: "match day", By: "uid 0", At: at(3)}
	for i := range switcher.MaxHistory {
		s.History = append(s.History, move(i))
	}
	return s
}

func move(i int) switcher.Move {
	return switcher.Move{
		ID: fmt.Sprintf("m-%d", i), Kind: "cutover", From: switcher.Blue, To: switcher.Green,
		Generation: uint64(i + 1), Split: switcher.Weighted(switcher.Green, 75), By: "uid 1000", Reason: "1.4.2",
		Started: at(i), Ended: at(i + 1), Result: switcher.ResultDone, Detail: "drained", Evicted: i + 1,
		Compared: comparisons(), Undone: switcher.UndoneByFailure,
	}
}

func comparisons() []switcher.Comparison {
	side := compare.Side{Samples: 900, Failures: 1, Share: 1. / 900, Took: 1234567 * time.Microsecond}
	span := compare.Span{Seconds: 60.5, Old: side, New: side}
	return []switcher.Comparison{{
		Service: "ramping", At: at(2), Verdict: compare.Verdict{State: compare.NoWorse, Findings: []compare.Finding{
			{Metric: compare.Latency, Quantile: 0.95, State: compare.NoWorse, P: 0.0001, Level: 0.00025, Long: span, Short: span, Clients: 2, Wanted: 3, Few: true},
		}},
	}}
}

// generations makes a state of so many services that are all at generation.
func generations(services int, generation uint64) switcher.State {
	s := switcher.State{Services: make(map[string]switcher.ServiceState, services)}
	for i := range services {
		service := fresh(generation)
		service.History = []switcher.Move{move(int(generation % 50))}
		s.Services[fmt.Sprintf("service-%04d", i)] = service
	}
	return s
}
