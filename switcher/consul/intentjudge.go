package consul

import (
	"encoding/hex"
	"fmt"
)

// handled is the last value of "desired" that this edge has dealt with.
type handled struct {
	// Index of it; 0: none.
	Index uint64 `json:"index,omitempty"`
	// Sum of it, SHA-256 in hex.
	Sum string `json:"sum,omitempty"`
}

func (p pair) handled() handled { return handled{Index: p.index, Sum: hex.EncodeToString(p.sum[:])} }

// past is what an edge knows of its own past in the fleet.
type past uint8

const (
	lost      past = iota // it had a memory, which cannot be read
	joining               // it has none
	returning             // it has one
)

// ruling is what a value of "desired" comes to.
type ruling struct {
	// news: it has not been dealt with.
	news bool
	// intent to carry out, if Result is empty.
	intent Intent
	// result and reason of a value that moves nothing.
	result Result
	reason string
}

// judgeDesired decides about d, with st the shared state that the key next to it
// holds at index at, or nil.
//
// Nothing in Consul tells the age of a value but its index, so:
//
//   - an index that was dealt with moves nothing, nor does one below it: Consul
//     was wiped or restored, and the value may be an old one. It is then dealt
//     with, and the next one counts;
//   - what a new edge finds there is not for it: the state says where the fleet
//     is. Only where there is no state either is it carried out;
//   - a state that a move wrote later, and that names another color, is the
//     later word; one that a trigger made is as old as the trigger. For an edge that is apart, one that moved while it was cut off,
//     it is also if it names the same color.
func judgeDesired(h handled, p past, apart bool, d pair, st *SharedState, at uint64) ruling {
	now := d.handled()
	if d.index == 0 || now == h {
		return ruling{}
	}
	if d.index <= h.Index {
		if now.Sum == h.Sum {
			return ruling{news: true} // the same value, in a Consul that counts anew
		}
		return ruling{news: true, result: Stale, reason: fmt.Sprintf(
			"its index %d is not above %d, which was the last: Consul was wiped or restored; write another value to move", d.index, h.Index)}
	}
	if d.value == nil {
		return ruling{news: true, result: Malformed, reason: tooLong(d.size).Error()}
	}
	intent, err := ParseIntent(d.value)
	switch {
	case err != nil:
		return ruling{news: true, result: Malformed, reason: err.Error()}
	case p == lost && st == nil:
		return ruling{news: true, result: Stale, reason: "this edge has lost its memory: it may have dealt with it; write another value to move"}
	case p != returning && st != nil && st.Active == intent.To:
		return ruling{news: true, result: Applied, reason: "the fleet was there when this edge joined"}
	case p != returning && st != nil:
		return ruling{news: true, result: Stale, reason: fmt.Sprintf(
			"it was there when this edge joined, and the fleet is at %s; write another value to move", st)}
	case st != nil && st.Kind != SharedInitial &&
		(apart && at > d.index || st.Active != intent.To && st.since(at) > d.index):
		return ruling{news: true, result: Stale, reason: fmt.Sprintf("the fleet has moved since: %s", st)}
	}
	return ruling{news: true, intent: intent}
}
