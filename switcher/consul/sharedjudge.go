package consul

import (
	"fmt"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// stand is where this edge stands with one service.
type stand struct {
	// active is the color that all traffic is on, or was on before the move
	// under way.
	active switcher.Color
	// to is where a move under way takes the traffic; none if nothing moves,
	// or if it has moved and the other color drains.
	to       switcher.Color
	previous switcher.Color // where a rollback would go
}

func standOf(v switcher.ServiceView) stand {
	s := stand{active: v.Active, previous: v.Previous}
	if v.Cutover != nil && v.Phase != switcher.Draining {
		s.to = v.Cutover.To
	}
	return s
}

// bond is what this edge has agreed to. The zero value: nothing yet.
type bond struct {
	// Epoch and Active of the latest state that this edge agreed with.
	Epoch  uint64         `json:"epoch,omitempty"`
	Active switcher.Color `json:"active,omitempty"`
	// Alone: it has moved since, while it did not reach Consul.
	Alone bool `json:"alone,omitempty"`
	// Diverged is the epoch that it stays away from.
	Diverged uint64 `json:"diverged,omitempty"`
	// Against is the epoch that a move undone on this edge speaks against, and
	// that may be yet to come: it will stay away from it, unless it is a
	// rollback, which an operator wants for reasons of the day. Why is what
	// undid the move.
	Against uint64 `json:"against,omitempty"`
	Why     string `json:"why,omitempty"`
}

// course is what to do about the shared state.
type course struct {
	deed  deed
	epoch uint64         // to publish, adopt or follow
	to    switcher.Color // to publish or follow
	why   string
}

type deed uint8

const (
	rest    deed = iota // all is as it should be
	wait                // a move under way decides first
	stay                // diverged: nothing is done before the next word
	adopt               // agree to the state's epoch
	publish             // write a state
	follow              // cut over to the state's color
	retreat             // roll back to it
	diverge             // stay away from it from now on
)

// moved reports that the edge has moved by itself since it agreed.
func (b bond) moved(at stand) bool {
	return b.Active.Valid() && at.to == 0 && at.active != b.Active
}

// judgeState compares what this edge has agreed to, where it stands, and what the
// key holds: nil for nothing, which must be certain.
//
// An edge that stands on another color than it agreed to has moved by itself, and
// publishes that; it lost if a newer epoch is there already. It then follows the
// winner, unless it moved while it was cut off: then what is right is not for
// machines to say. Nor is it where an own move to the state's color was undone.
func judgeState(b bond, at stand, st *SharedState) course {
	if st == nil {
		return found(b, at)
	}
	moved := b.moved(at)
	same := at.active == st.Active
	switch {
	case st.Epoch < b.Epoch:
		if at.to != 0 || b.Diverged != 0 {
			return course{deed: wait, why: fmt.Sprintf("the state went back to epoch %d from %d", st.Epoch, b.Epoch)}
		}
		return course{deed: publish, epoch: b.Epoch + 1, to: at.active, why: "the state had gone back in time"}
	case st.Epoch == b.Epoch && st.Active != b.Active:
		return astray(b, at, st)
	case st.Epoch == b.Epoch && moved:
		return course{deed: publish, epoch: st.Epoch + 1, to: at.active}
	case st.Epoch == b.Epoch:
		return course{deed: rest}
	case at.to != 0:
		return meet(at, st)
	case same:
		return course{deed: adopt, epoch: st.Epoch}
	case b.Diverged == st.Epoch:
		return course{deed: stay, why: apart(b, at, st)}
	case moved && b.Alone, b.Against == st.Epoch && st.Kind != SharedRollback:
		return course{deed: diverge, epoch: st.Epoch, why: apart(b, at, st)}
	}
	return chase(at, st)
}

// found is for a key that is not there: the first edge writes it, and one that
// remembers an epoch restores it.
func found(b bond, at stand) course {
	switch {
	case b.Diverged != 0:
		return course{deed: stay, why: "the state is gone, and this edge had diverged from it"}
	case at.to != 0:
		return course{deed: wait}
	case b.Active.Valid() && at.active == b.Active:
		return course{deed: publish, epoch: b.Epoch, to: at.active, why: "the state was gone"}
	}
	return course{deed: publish, epoch: b.Epoch + 1, to: at.active}
}

// astray is for an epoch that names two colors, which only a Consul that was
// wiped or written by hand can make.
func astray(b bond, at stand, st *SharedState) course {
	switch {
	case at.to != 0:
		return course{deed: wait}
	case at.active == st.Active:
		return course{deed: adopt, epoch: st.Epoch}
	case b.Diverged == st.Epoch:
		return course{deed: stay, why: apart(b, at, st)}
	}
	return course{deed: diverge, epoch: st.Epoch, why: apart(b, at, st)}
}

// meet is for a newer state that arrives during a move: a rollback wins over it,
// all else waits for its end.
func meet(at stand, st *SharedState) course {
	if at.to != st.Active && st.Kind == SharedRollback {
		return chase(at, st)
	}
	return course{deed: wait, why: fmt.Sprintf("a move to %s is under way, the fleet is on %s", at.to, st)}
}

// chase goes to the state's color.
func chase(at stand, st *SharedState) course {
	c := course{deed: follow, epoch: st.Epoch, to: st.Active}
	if st.Kind == SharedRollback && (at.to != 0 || at.previous == st.Active) {
		c.deed = retreat
	}
	return c
}

func apart(b bond, at stand, st *SharedState) string {
	where := fmt.Sprintf("this edge is on %s, the fleet on %s since epoch %d by %s", at.active, st.Active, st.Epoch, st.Edge)
	if b.Against == st.Epoch {
		return fmt.Sprintf("%s; its own move there was undone: %s: cut over here, roll back there, or trigger anew", where, b.Why)
	}
	return where + ": cut over or roll back here, or trigger anew"
}
