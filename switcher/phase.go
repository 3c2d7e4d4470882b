package switcher

import (
	"fmt"
	"slices"
)

// Phase is where a service stands in a cutover.
type Phase uint8

// The phases. The zero value is steady: nothing moves.
const (
	// Steady: one color serves, nothing is under way.
	Steady Phase = iota
	// Preparing: the gates must open before any traffic moves.
	Preparing
	// Ramping: both colors serve, by the weights of the current step.
	Ramping
	// Draining: the traffic has moved; the color it left finishes its work.
	Draining
)

var phaseNames = [...]string{"steady", "preparing", "ramping", "draining"}

func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// MarshalText writes the name of the phase.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Phase) UnmarshalText(text []byte) error {
	i := slices.Index(phaseNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("phase %q: want one of %q", text, phaseNames)
	}
	*p = Phase(i)
	return nil
}

// transitions lists every legal change of phase; all others are bugs. From
// each phase there is a way back in one step: Rollback always wins.
var transitions = map[Phase][]Phase{
	Steady:    {Preparing, Draining},         // cutover or split; rollback or an operator's drain
	Preparing: {Steady, Ramping, Draining},   // refused or aborted; first step; a flip without a ramp
	Ramping:   {Ramping, Draining},           // next step; flipped, aborted or rolled back
	Draining:  {Steady, Draining, Preparing}, // drained; rolled back while draining; the next cutover
}

// CanBecome reports whether a service may go from p to next.
func (p Phase) CanBecome(next Phase) bool { return slices.Contains(transitions[p], next) }
