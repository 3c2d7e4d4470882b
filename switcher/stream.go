package switcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// StreamKind is what sort of exchange is under way, as far as its end matters.
type StreamKind uint8

// The kinds. StreamRequest is an exchange that may become any of the others,
// and one that is over soon. There is none for other tunnels, because there are
// none: nothing but WebSockets is upgraded, by Upgrade or extended CONNECT, and
// what such a tunnel carries counts as a WebSocket even if it has no frames.
const (
	StreamRequest   StreamKind = iota
	StreamWebSocket            // both directions, until one side ends it
	StreamSSE                  // server-sent events
	StreamDownload             // a response of known length
	StreamUpload               // a request whose body is still coming
	StreamLive                 // a response of unknown length
	StreamGRPC                 // a gRPC call
	streamKinds
)

var streamNames = [streamKinds]string{"request", "websocket", "sse", "download", "upload", "live", "grpc"}

func (k StreamKind) String() string {
	if k < streamKinds {
		return streamNames[k]
	}
	return fmt.Sprintf("StreamKind(%d)", uint8(k))
}

// Rests reports a kind that mostly rests: what is open says little of the load.
func (k StreamKind) Rests() bool { return k == StreamWebSocket || k == StreamSSE }

// StreamKinds lists all kinds.
func StreamKinds() []StreamKind {
	kinds := make([]StreamKind, streamKinds)
	for i := range kinds {
		kinds[i] = StreamKind(i)
	}
	return kinds
}

// ParseStreamKind reads the name of a kind.
func ParseStreamKind(name string) (StreamKind, error) {
	if i := slices.Index(streamNames[:], name); i >= 0 {
		return StreamKind(i), nil
	}
	return 0, fmt.Errorf("kind %.20q: want one of %s", name, strings.Join(streamNames[:], ", "))
}

// MarshalText writes the name.
func (k StreamKind) MarshalText() ([]byte, error) {
	if k >= streamKinds {
		return nil, fmt.Errorf("no such kind: %d", k)
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads the name.
func (k *StreamKind) UnmarshalText(text []byte) (err error) {
	*k, err = ParseStreamKind(string(text))
	return err
}

// Deadlines are how long streams may go on in a drain, by kind. 0: as long as
// DrainTimeout says. In JSON it is an object: {"websocket": "30m", "upload": "2h"}.
type Deadlines [streamKinds]Duration

// Validate names the kind whose deadline is out of range.
func (d Deadlines) Validate() error {
	for k, v := range d {
		if v < 0 || v > maxDrainTimeout {
			return fmt.Errorf("drain deadline of %s %s: want 0 to %s", StreamKind(k), v, maxDrainTimeout)
		}
	}
	return nil
}

// MarshalJSON leaves out what is 0.
func (d Deadlines) MarshalJSON() ([]byte, error) {
	var fields []string
	for k, v := range d {
		if v != 0 {
			fields = append(fields, fmt.Sprintf("%q:%q", StreamKind(k), v))
		}
	}
	return []byte("{" + strings.Join(fields, ",") + "}"), nil
}

// UnmarshalJSON refuses kinds that there are not, and one that is there twice.
func (d *Deadlines) UnmarshalJSON(data []byte) error {
	in := json.NewDecoder(bytes.NewReader(data))
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return errors.New(`drain deadlines: want an object, as {"websocket": "30m"}`)
	}
	var read Deadlines
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return err
		}
		k, err := ParseStreamKind(fmt.Sprint(name))
		switch {
		case err != nil:
			return err
		case read[k] != 0:
			return fmt.Errorf("drain deadline of %s: given twice", k)
		}
		if err := in.Decode(&read[k]); err != nil {
			return fmt.Errorf("drain deadline of %s: %w", k, err)
		}
		if read[k] == 0 {
			return fmt.Errorf("drain deadline of %s is 0: leave it out for drain_timeout", k)
		}
	}
	*d = read
	return nil
}

// Deadline is how long streams of a kind may go on in a drain.
func (o Options) Deadline(k StreamKind) time.Duration {
	if k < streamKinds && o.Deadlines[k] != 0 {
		return time.Duration(o.Deadlines[k])
	}
	return time.Duration(o.DrainTimeout)
}

// deadlines returns the earliest and the latest of all kinds.
func (o Options) deadlines() (first, last time.Duration) {
	first = time.Duration(o.DrainTimeout)
	last = first
	for k := range streamKinds {
		d := o.Deadline(k)
		first, last = min(first, d), max(last, d)
	}
	return first, last
}

// Stream is one exchange under way, as it is shown.
type Stream struct {
	// ID is unique while the edge runs.
	ID    string     `json:"id"`
	Kind  StreamKind `json:"kind"`
	Color Color      `json:"color"`
	// State is "waiting" before the response has begun, "open" afterwards,
	// and "ending" when it has been asked to end.
	State    string `json:"state"`
	Upstream string `json:"upstream"`
	// Client is the address of the peer, without its port, cut short where
	// the config says so.
	Client   string `json:"client"`
	Method   string `json:"method"`
	Path     string `json:"path"` // without the query, which may hold secrets
	Protocol string `json:"protocol"`
	// Started is when the upstream was chosen; LastByte when one last moved,
	// either way, the zero time: none has.
	Started  time.Time `json:"started"`
	LastByte time.Time `json:"last_byte,omitzero"`
	// Received counts the bytes of body from the client, Sent those to it.
	Received int64 `json:"received"`
	Sent     int64 `json:"sent"`
	// Rate is that of both together, in bytes per second, since somebody last
	// looked, half a second ago or longer; at the first look, since the start.
	Rate int64 `json:"rate"`
}

// StreamQuery chooses streams. The zero value chooses all that count as such.
type StreamQuery struct {
	Color Color        // 0: both
	Kinds []StreamKind // none: all
	// After is the ID of the last one of the page before.
	After string
	// Limit of a page, 1 to MaxStreams; 0 is 100.
	Limit int
}

// PageLimit is how many streams a page of q has at most.
func (q StreamQuery) PageLimit() int {
	if q.Limit == 0 {
		return 100
	}
	return min(q.Limit, MaxStreams)
}

// MaxStreams is how many one page can have.
const MaxStreams = 1000

// StreamPage is streams, the oldest first.
type StreamPage struct {
	Streams []Stream `json:"streams"`
	// Total is how many there are in all that the query chooses.
	Total int `json:"total"`
	// Next is what After must be for the next page; empty: this is the last.
	Next string `json:"next,omitempty"`
}

// StreamCount is the streams of one kind on a color that drains.
type StreamCount struct {
	Kind   StreamKind `json:"kind"`
	Count  int        `json:"count"`
	Oldest time.Time  `json:"oldest"` // when the oldest began
	// Deadline is when they are asked to end, Ending how many have been and
	// are not gone yet.
	Deadline time.Time `json:"deadline,omitzero"`
	Ending   int       `json:"ending,omitempty"`
	// ETA is about when the last of them will be gone: as soon as their bodies
	// have passed, if the length of all is known and all of them move; and no
	// later than the evictions from Deadline on take at their pace. The zero
	// time: nobody can tell.
	ETA time.Time `json:"eta,omitzero"`
}
