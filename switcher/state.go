package switcher

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State is what outlives the process: all services, by name.
type State struct {
	Services map[string]ServiceState `json:"services"`
}

// ServiceState is the part of one service that must survive a restart.
type ServiceState struct {
	// Generation grows by one with every move of the service, never shrinks.
	Generation uint64 `json:"generation"`
	// Active is the color that serves, or that served before the cutover
	// under way moved the last of the traffic.
	Active Color `json:"active"`
	// Previous is where a rollback goes: none before the first cutover.
	Previous Color `json:"previous,omitempty"`
	// RollbackUntil ends the rollback window of the cutover from Previous.
	RollbackUntil time.Time `json:"rollback_until,omitzero"`
	Split         Split     `json:"split"`
	Phase         Phase     `json:"phase"`
	// Cutover is the one under way; nil in Steady.
	Cutover *Cutover `json:"cutover,omitempty"`
	// LastGroup names the services that the cutover from Previous moved
	// together; a rollback moves them together again.
	LastGroup []string `json:"last_group,omitempty"`
	// Lock, if not nil, refuses every move but abort and rollback.
	Lock *Lock `json:"lock,omitempty"`
	// History holds the latest moves, newest first, at most MaxHistory.
	History []Move `json:"history,omitempty"`
}

// MaxHistory bounds ServiceState.History.
const MaxHistory = 20

// Lock keeps a service where it is.
type Lock struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// Move is one finished or running move, as history shows it.
type Move struct {
	ID         string    `json:"id"`
	Kind       Kind      `json:"kind"`
	From       Color     `json:"from,omitempty"`
	To         Color     `json:"to,omitempty"`
	Generation uint64    `json:"generation"` // after the move
	Split      Split     `json:"split"`      // after the move
	By         string    `json:"by,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended,omitzero"`
	// Result is "", while it runs, or one of the Result constants.
	Result Result `json:"result,omitempty"`
	// Undone says what undid the move, if it was aborted or rolled back.
	Undone Undoing `json:"undone,omitempty"`
	// Detail says why, in a sentence: the gate that refused, who aborted.
	Detail string `json:"detail,omitempty"`
	// Evicted counts the exchanges cut at the deadline of the drain.
	Evicted int `json:"evicted,omitempty"`
	// Compared is how the target did beside the other color, when last both served;
	// of each service of the move.
	Compared []Comparison `json:"compared,omitempty"`
}

// Result is how a move ended.
type Result string

// The results of a move.
const (
	ResultDone        Result = "done"        // traffic moved; the old color is drained
	ResultRefused     Result = "refused"     // a gate did not open; traffic stayed
	ResultAborted     Result = "aborted"     // undone while it ran
	ResultRolledBack  Result = "rolled_back" // undone while it drained
	ResultSuperseded  Result = "superseded"  // another move took over while it drained
	ResultInterrupted Result = "interrupted" // the process ended while it prepared, or the service was removed while it drained
)

// Undoing is what undid a move.
type Undoing string

// What undoes a move. The zero value: nothing did.
const (
	UndoneByCommand Undoing = "command" // an abort or a rollback
	// UndoneByFailure is for a gate, a target without a healthy upstream, a config
	// that changed: what may pass by itself.
	UndoneByFailure Undoing = "failure"
	// UndoneByComparison is a verdict: the target did worse than the other color.
	UndoneByComparison Undoing = "comparison"
)

// Validate reports a state that cannot have been written by this package.
func (s ServiceState) Validate() error {
	if !s.Active.Valid() {
		return errors.New("no active color")
	}
	if err := s.Split.Validate(); err != nil {
		return err
	}
	if (s.Phase == Steady) != (s.Cutover == nil) {
		return fmt.Errorf("phase %s with cutover %v", s.Phase, s.Cutover != nil)
	}
	if mixed := s.Split.Blue > 0 && s.Split.Green > 0; mixed != (s.Phase == Ramping) || !mixed && s.Split != All(s.Active) {
		return fmt.Errorf("phase %s on %s with split %s", s.Phase, s.Active, s.Split)
	}
	if s.Cutover == nil {
		return nil
	}
	if err := s.Cutover.validate(); err != nil {
		return err
	}
	serves := s.Cutover.From // the color that must be active
	if s.Phase == Draining {
		serves = s.Cutover.Drain.Other()
	}
	if s.Active != serves {
		return fmt.Errorf("phase %s on %s, in a cutover from %s that drains %s", s.Phase, s.Active, s.Cutover.From, s.Cutover.Drain)
	}
	return nil
}

// ErrNoState says that a Store holds nothing yet.
var ErrNoState = errors.New("no state stored yet")

// Store is where state outlives the process. switchertest.TestStore is what
// an implementation must pass.
type Store interface {
	// Load returns the newest state that is whole. It returns ErrNoState
	// where there is none, and a state together with an error that wraps
	// ErrStale where the newest could not be read and an older one could.
	Load(ctx context.Context) (State, error)
	// Save returns when the state would survive a power failure. After an
	// error, Load returns either the old state or the new one.
	Save(ctx context.Context, s State) error
}

// ErrStale goes with a state that is older than the newest one written.
var ErrStale = errors.New("stale state")
