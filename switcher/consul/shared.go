package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/strictjson"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// SharedState is what the edges of a fleet agree on for one service: the value
// of its key "state". It is written by compare-and-set only, and each epoch names
// one color.
type SharedState struct {
	// Format is 1. An edge that finds another one changes nothing.
	Format int `json:"format"`
	// Epoch grows by one with each move that an edge publishes.
	Epoch uint64 `json:"epoch"`
	// Active is the color that serves.
	Active switcher.Color `json:"active"`
	// Previous is where a rollback goes.
	Previous switcher.Color `json:"previous,omitempty"`
	// Kind says what the edges do that follow: they roll back to the state
	// of a rollback, and cut over, past their own gates, to any other.
	Kind SharedKind `json:"kind"`
	// By, Edge and Reason say who moved it, where, and why.
	By     string    `json:"by,omitempty"`
	Edge   string    `json:"edge"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Trigger is the index of the value of "desired" that the move carried
	// out, so that a later value is told from an earlier one however soon it
	// follows. 0: the move came another way.
	Trigger uint64 `json:"trigger,omitempty"`
}

// since is the index that a value of "desired" must be above to be a later word
// than the state, which the key holds at index at. Indexes of another Consul, as
// of a snapshot that was restored, mean nothing.
func (s *SharedState) since(at uint64) uint64 {
	if s.Trigger > 0 && s.Trigger < at {
		return s.Trigger
	}
	return at
}

// SharedKind is what made a SharedState.
type SharedKind string

// The kinds of a SharedState.
const (
	SharedCutover  SharedKind = "cutover"
	SharedRollback SharedKind = "rollback"
	// SharedInitial is what an edge writes where it finds no state.
	SharedInitial SharedKind = "initial"
)

const (
	sharedFormat = 1
	maxEpoch     = 1<<53 - 1 // what every JSON reader holds exactly
	maxBy        = 200       // bytes
)

// errNewer is about a state that only a later Greenroom can read, and that
// nothing is written over.
var errNewer = errors.New("has a format that this edge does not know")

// ParseSharedState reads the value of a key "state", as strictly as ParseIntent.
func ParseSharedState(value []byte) (*SharedState, error) {
	if len(value) > maxValue {
		return nil, tooLong(len(value))
	}
	var loose struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(value, &loose) == nil && loose.Format > sharedFormat {
		return nil, fmt.Errorf("%w: %d", errNewer, loose.Format)
	}
	s := new(SharedState)
	if err := strictjson.Decode(value, s); err != nil {
		return nil, err
	}
	return s, s.validate()
}

func (s *SharedState) validate() error {
	switch {
	case s.Format != sharedFormat:
		return fmt.Errorf("format %d: want %d", s.Format, sharedFormat)
	case s.Epoch == 0 || s.Epoch >= maxEpoch:
		return fmt.Errorf("epoch %d: want 1 to %d", s.Epoch, uint64(maxEpoch-1))
	case !s.Active.Valid():
		return errors.New("no active color")
	case s.Kind != SharedCutover && s.Kind != SharedRollback && s.Kind != SharedInitial:
		return fmt.Errorf("kind %.20q: want cutover, rollback or initial", s.Kind)
	case s.By != plain(s.By, maxBy) || s.Reason != plain(s.Reason, maxReason):
		return errors.New(`"by" or "reason" are too long, or not one line of text`)
	}
	if err := validateName(s.Edge); err != nil {
		return fmt.Errorf("edge %.40q: %w", s.Edge, err)
	}
	return nil
}

// String is how status and history speak of it.
func (s *SharedState) String() string {
	return fmt.Sprintf("epoch %d, %s, by %s", s.Epoch, s.Active, s.Edge)
}

func (s *SharedState) encode() []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic("consul: a shared state does not marshal: " + err.Error()) // strings, numbers and a time always do
	}
	return text
}
