package consul

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/greenroom-proxy/greenroom/internal/strictjson"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Intent is what an operator wants of a service: the value of its key
// "desired". There are two forms. Plain text is a color and, after white space,
// a reason:
//
//	consul kv put greenroom/app/desired green
//	consul kv put greenroom/app/desired "green release 1.4.2, second try"
//
// One JSON object says more; all fields but "to" may be left out:
//
//	{"to": "green", "ramp": "10:5m,50:10m", "reason": "release 1.4.2",
//	 "if_generation": 17, "gate_timeout": "1m", "drain_timeout": "15m",
//	 "drain_deadlines": {"websocket": "30m"}, "pins": "drop", "pin_deadline": "15m",
//	 "on_failure": "freeze", "rollback_window": "1h"}
//
// Consul does not notice when a key is set to what it already holds. To ask for
// the same again, write another reason.
type Intent struct {
	// To is the color that shall take all traffic.
	To switcher.Color
	// Ramp before the flip; nil means the service's own, an empty one flips
	// at once.
	Ramp *switcher.Ramp
	// Reason in the operator's words: one line of at most 500 bytes.
	Reason string
	// IfGeneration, if not nil, has an edge refuse the intent unless the
	// service has exactly this generation there. Edges count on their own.
	IfGeneration *uint64
	switcher.Options
}

// maxReason is the Switcher's own limit, in bytes.
const maxReason = 500

// ParseIntent reads either form. Hostile values are refused: what is not UTF-8,
// is longer than 64 KiB, has control characters in its reason, and JSON with
// unknown or doubled fields, null, or anything after the object.
func ParseIntent(value []byte) (Intent, error) {
	if len(value) > maxValue {
		return Intent{}, tooLong(len(value))
	}
	if !utf8.Valid(value) {
		return Intent{}, errors.New("is not UTF-8")
	}
	text := bytes.TrimSpace(value)
	if len(text) == 0 {
		return Intent{}, errors.New(`is empty: want "blue" or "green"`)
	}
	if text[0] == '{' {
		return parseObject(text)
	}
	return parseLine(string(text))
}

func tooLong(size int) error {
	return fmt.Errorf("has %d bytes: at most %d are read", size, maxValue)
}

func parseLine(line string) (Intent, error) {
	word, rest := line, ""
	if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
		word, rest = line[:i], line[i:]
	}
	to, err := switcher.ParseColor(word)
	if err != nil {
		return Intent{}, fmt.Errorf("begins with %.20q: want \"blue\", \"green\", or a JSON object", word)
	}
	if strings.ContainsAny(rest, "\r\n") {
		return Intent{}, errors.New("has more than one line")
	}
	in := Intent{To: to, Reason: strings.TrimSpace(rest)}
	return in, in.validate()
}

func (in Intent) validate() error {
	switch {
	case !in.To.Valid():
		return errors.New(`"to" must be "blue" or "green"`)
	case len(in.Reason) > maxReason:
		return fmt.Errorf("the reason has %d bytes: at most %d", len(in.Reason), maxReason)
	case strings.ContainsFunc(in.Reason, func(r rune) bool { return !printable(r) }):
		return errors.New("the reason has control characters")
	}
	return in.Options.Validate()
}

// given is a field that may be left out, but not be null.
type given[T any] struct {
	value *T
}

// UnmarshalJSON reads what a T reads.
func (g *given[T]) UnmarshalJSON(data []byte) error {
	g.value = new(T)
	err := json.Unmarshal(data, g.value)
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is not what is wanted here", mistyped.Value)
	}
	return err
}

// or returns the value, or the zero value.
func (g given[T]) orZero() (v T) {
	if g.value != nil {
		v = *g.value
	}
	return v
}

type object struct {
	To             given[switcher.Color]         `json:"to"`
	Ramp           given[switcher.Ramp]          `json:"ramp"`
	Reason         given[string]                 `json:"reason"`
	IfGeneration   given[uint64]                 `json:"if_generation"`
	GateTimeout    given[switcher.Duration]      `json:"gate_timeout"`
	DrainTimeout   given[switcher.Duration]      `json:"drain_timeout"`
	Deadlines      given[switcher.Deadlines]     `json:"drain_deadlines"`
	Pins           given[switcher.PinPolicy]     `json:"pins"`
	PinDeadline    given[switcher.Duration]      `json:"pin_deadline"`
	OnFailure      given[switcher.FailurePolicy] `json:"on_failure"`
	RollbackWindow given[switcher.Duration]      `json:"rollback_window"`
}

func parseObject(text []byte) (Intent, error) {
	var o object
	if err := strictjson.Decode(text, &o); err != nil {
		return Intent{}, err
	}
	in := Intent{
		To: o.To.orZero(), Ramp: o.Ramp.value, Reason: o.Reason.orZero(), IfGeneration: o.IfGeneration.value,
		Options: switcher.Options{
			GateTimeout: o.GateTimeout.orZero(), DrainTimeout: o.DrainTimeout.orZero(), Deadlines: o.Deadlines.orZero(),
			Pins: o.Pins.orZero(), PinDeadline: o.PinDeadline.orZero(),
			OnFailure: o.OnFailure.orZero(), RollbackWindow: o.RollbackWindow.orZero(),
		},
	}
	return in, in.validate()
}

// request makes a command of it.
func (in Intent) request(service, by string) switcher.CutoverRequest {
	return switcher.CutoverRequest{
		Request: switcher.Request{Services: []string{service}, By: by, Reason: in.Reason, IfGeneration: in.IfGeneration},
		To:      in.To, Ramp: in.Ramp, Options: in.Options,
	}
}
