package switcher

import "time"

// EventType says what an Event is about.
type EventType string

// The types of event.
const (
	EventPhase    EventType = "phase"    // the phase changed
	EventSplit    EventType = "split"    // the traffic was divided anew
	EventGate     EventType = "gate"     // a gate keeps a cutover waiting
	EventCompare  EventType = "compare"  // what came of comparing the colors of a ramp
	EventHold     EventType = "hold"     // a ramp was held or resumed
	EventLock     EventType = "lock"     // locked or unlocked
	EventEnd      EventType = "end"      // a move ended; Result says how
	EventPools    EventType = "pools"    // a source announced new pools
	EventSource   EventType = "source"   // a source fails, or works again
	EventHealth   EventType = "health"   // an upstream's verdict changed
	EventServices EventType = "services" // a service was added or removed
	EventPins     EventType = "pins"     // the color that drains no longer serves pinned sessions
	EventLost     EventType = "lost"     // this subscriber was too slow: ask for status again
)

// Event is one change of one service.
type Event struct {
	// Seq numbers the events of this process from 1, without a gap. An
	// EventLost has the number of the first event that was missed.
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	Type    EventType `json:"type"`
	Service string    `json:"service,omitempty"`
	// ID of the move that the event belongs to.
	ID         string `json:"id,omitempty"`
	Kind       Kind   `json:"kind,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	Phase      Phase  `json:"phase"`
	Active     Color  `json:"active,omitempty"`
	Split      Split  `json:"split"`
	Color      Color  `json:"color,omitempty"` // that pools or health speak of
	By         string `json:"by,omitempty"`
	Result     Result `json:"result,omitempty"`
	// Detail is a sentence for a person.
	Detail string `json:"detail,omitempty"`
	// Took is how long an ended move took, its drain included.
	Took Duration `json:"took,omitempty"`
	// Drained is how long the drain of an ended move took.
	Drained Duration `json:"drained,omitempty"`
}
