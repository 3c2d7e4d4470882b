package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// State is what a comparison has come to.
type State uint8

// The states. Only Worse is a verdict.
const (
	// TooFew: there are not enough samples of both colors. That is no verdict: the
	// new color is neither good nor bad.
	TooFew State = iota
	// NoWorse: enough samples, and nothing against the new color so far.
	NoWorse
	// Worse: the new color is worse.
	Worse
)

var stateNames = [...]string{"too_few", "no_worse", "worse"}

func (s State) String() string { return stateNames[min(s, Worse)] }

// Words is the state for a person.
func (s State) Words() string {
	return [...]string{"too few samples", "no worse so far", "worse"}[min(s, Worse)]
}

// MarshalText writes the name of the state.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if string(text) == name {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("state %.40q: want too_few, no_worse or worse", text)
}

// Verdict is what is known at one time.
type Verdict struct {
	// State is Worse if any finding is, NoWorse if none is and any has samples
	// enough.
	State    State     `json:"state"`
	Findings []Finding `json:"findings,omitempty"` // one for each metric compared
}

// Finding is what is known by one metric.
type Finding struct {
	Metric   Metric  `json:"metric"`
	Quantile float64 `json:"quantile,omitempty"` // of a latency, as 0.95
	State    State   `json:"state"`
	// P is the always-valid p-value: that of a color that is no worse ever comes to
	// be P or less with a probability of at most P. The new color can be worse only
	// when P is at most Level.
	P     float64 `json:"p"`
	Level float64 `json:"level"`
	Long  Span    `json:"long"`
	Short Span    `json:"short"`
	// Clients is how many groups of clients of the new color had errors or slow
	// answers in the long window, of those metrics, and Wanted how many must have.
	Clients int `json:"clients,omitempty"`
	Wanted  int `json:"clients_wanted,omitempty"`
	// Few: but for their number the new color would be worse.
	Few bool `json:"few_clients,omitempty"`
}

// Span is what both colors did in a window.
type Span struct {
	Seconds float64 `json:"seconds"` // its length so far
	Old     Side    `json:"old"`
	New     Side    `json:"new"`
}

// Side is what one color did.
type Side struct {
	Samples  uint64 `json:"samples"`
	Failures uint64 `json:"failures,omitempty"`
	// Share of samples that are failures, 0 to 1.
	Share float64 `json:"share,omitempty"`
	// Took is the quantile, of a latency; in JSON in milliseconds.
	Took time.Duration `json:"-"`
}

type plainSide Side

type wireSide struct {
	plainSide
	Milliseconds float64 `json:"milliseconds,omitempty"`
}

// MarshalJSON writes Took in milliseconds.
func (s Side) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireSide{plainSide(s), float64(s.Took.Microseconds()) / 1000})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Side) UnmarshalJSON(data []byte) error {
	var w wireSide
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*s = Side(w.plainSide)
	s.Took = time.Duration(w.Milliseconds*1000+0.5) * time.Microsecond
	return nil
}

// Name is the metric's, with the quantile of a latency: "latency p95".
func (f Finding) Name() string {
	if f.Metric != Latency {
		return string(f.Metric)
	}
	return "latency p" + strconv.FormatFloat(f.Quantile*100, 'g', 4, 64)
}

// Brief is the finding in the long window, with the names of the colors.
func (f Finding) Brief(before, after string) string {
	text := f.Name() + ": " + f.Long.text(f.Metric, before, after)
	if f.Few {
		text += fmt.Sprintf("; no verdict, as too few clients say so (%d of %d)", f.Clients, f.Wanted)
	}
	return text
}

func (s Span) text(m Metric, before, after string) string {
	span := time.Duration(s.Seconds * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%s %s, %s %s, in %s", after, s.New.text(m), before, s.Old.text(m), span)
}

// Sentence tells all of the finding, with the names of the colors.
func (f Finding) Sentence(before, after string) string {
	var b strings.Builder
	b.WriteString(f.Brief(before, after))
	if f.Short != f.Long { // else the ramp is younger than either
		b.WriteString("; " + f.Short.text(f.Metric, before, after))
	}
	fmt.Fprintf(&b, "; by chance in one of %s such ramps at most", odds(f.P))
	return b.String()
}

// odds is one in how many, of two digits that matter.
func odds(p float64) string {
	n := 1 / p
	if n >= 1e9 {
		return "a billion"
	}
	unit := math.Pow(10, max(0, math.Floor(math.Log10(n))-1))
	return strconv.FormatFloat(math.Floor(n/unit)*unit, 'f', 0, 64)
}

// units are what a metric counts.
var units = map[Metric]string{Errors: "requests", Connect: "attempts", Latency: "answers", Starvation: "sessions"}

func (s Side) text(m Metric) string {
	if m == Latency {
		return fmt.Sprintf("%s of %d %s", s.Took.Round(time.Millisecond/10), s.Samples, units[m])
	}
	return fmt.Sprintf("%.3g%% of %d %s", s.Share*100, s.Samples, units[m])
}
