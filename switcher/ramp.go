package switcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// UntilResumed as the hold of a step keeps the cutover there until an
// operator says resume.
const UntilResumed time.Duration = -1

// Step is one weight of a ramp and how long to stay at it.
type Step struct {
	// Weight of the target color, 1 to 99 percent.
	Weight uint8
	// Hold before the next step: 0 goes on as soon as the gates allow,
	// UntilResumed waits for an operator.
	Hold time.Duration
}

// Ramp is the steps before the flip, with rising weights. The last step, to
// 100 percent, is implied; an empty ramp is a plain flip.
type Ramp []Step

// MaxSteps bounds a ramp.
const MaxSteps = 100

const maxHold = 7 * 24 * time.Hour

// ParseRamp reads "10:5m,25:10m,50:hold": weight in percent, colon, how long
// to hold it. A weight alone holds for no time.
func ParseRamp(s string) (Ramp, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var r Ramp
	for part := range strings.SplitSeq(s, ",") {
		step, err := parseStep(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("ramp step %q: %w", part, err)
		}
		r = append(r, step)
	}
	return r, r.Validate()
}

func parseStep(s string) (Step, error) {
	weight, hold, timed := strings.Cut(s, ":")
	n, err := strconv.ParseUint(strings.TrimSuffix(weight, "%"), 10, 8)
	if err != nil {
		return Step{}, errors.New("want a weight in percent, 1 to 99, as in \"10:5m\"")
	}
	step := Step{Weight: uint8(n)}
	switch {
	case !timed:
	case hold == "hold":
		step.Hold = UntilResumed
	default:
		if step.Hold, err = time.ParseDuration(hold); err != nil {
			return Step{}, fmt.Errorf("hold %q: want a duration, as \"5m\", or \"hold\"", hold)
		}
		if step.Hold < 0 {
			return Step{}, fmt.Errorf("hold %q is negative", hold)
		}
	}
	return step, nil
}

// Validate wants weights from 1 to 99 that rise, and holds up to a week.
func (r Ramp) Validate() error {
	if len(r) > MaxSteps {
		return fmt.Errorf("ramp of %d steps: at most %d", len(r), MaxSteps)
	}
	last := uint8(0)
	for _, s := range r {
		switch {
		case s.Weight < 1 || s.Weight > 99:
			return fmt.Errorf("ramp step %s: the weight must be 1 to 99 (the step to 100 is implied)", s)
		case s.Weight <= last:
			return fmt.Errorf("ramp step %s: weights must rise, and %d came before", s, last)
		case s.Hold != UntilResumed && (s.Hold < 0 || s.Hold > maxHold):
			return fmt.Errorf("ramp step %s: the hold must be 0 to %s, or \"hold\"", s, maxHold)
		}
		last = s.Weight
	}
	return nil
}

func (s Step) String() string {
	switch s.Hold {
	case UntilResumed:
		return fmt.Sprintf("%d:hold", s.Weight)
	case 0:
		return strconv.Itoa(int(s.Weight))
	}
	return fmt.Sprintf("%d:%s", s.Weight, s.Hold)
}

func (r Ramp) String() string {
	parts := make([]string, len(r))
	for i, s := range r {
		parts[i] = s.String()
	}
	return strings.Join(parts, ",")
}

// MarshalJSON writes the ramp as the string that ParseRamp reads.
func (r Ramp) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Ramp) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return errors.New(`ramp: want a string, as "10:5m,50:10m"`)
	}
	parsed, err := ParseRamp(s)
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}
