package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// entry is one line of the audit log, in the order in which it is written.
type entry struct {
	Seq  uint64 `json:"seq"`
	Time string `json:"time"`
	// Ref is the Seq of the command's first line, in both of its lines.
	Ref      uint64          `json:"ref"`
	Who      *who            `json:"who,omitempty"`
	Action   string          `json:"action"`
	Services []string        `json:"services,omitempty"`
	Request  json.RawMessage `json:"request,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Decision string          `json:"decision,omitempty"` // of a first line
	Outcome  string          `json:"outcome,omitempty"`  // of a second line
	Code     string          `json:"code,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Move     string          `json:"move,omitempty"`
	Changed  *bool           `json:"changed,omitempty"`
	// Suppressed counts the refusals of this caller that were left out.
	Suppressed int `json:"suppressed,omitempty"`
	// Recovered says that the line before this one is torn.
	Recovered *torn `json:"recovered,omitempty"`
	// Continued says that the lines before this one are in another file, or
	// were cut off from this one.
	Continued *continued `json:"continued,omitempty"`
	// Prev is the hash of the line before; the first of all has none.
	Prev string `json:"prev"`

	missing *gap // before this line, if it says so
}

// The decisions.
const (
	allowed = "allowed"
	refused = "refused"
)

type who struct {
	Name string  `json:"name"`
	Role Role    `json:"role"`
	UID  *uint32 `json:"uid,omitempty"`
	GID  *uint32 `json:"gid,omitempty"`
	PID  *int32  `json:"pid,omitempty"`
}

func whoIs(id Identity) *who {
	w := &who{Name: id.Name, Role: id.Role}
	if id.Local {
		w.UID, w.GID, w.PID = &id.UID, &id.GID, &id.PID
	}
	return w
}

// torn is a line that a crash cut short.
type torn struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func tornFrom(raw []byte) torn {
	sum := sha256.Sum256(raw)
	return torn{len(raw), hex.EncodeToString(sum[:])}
}

// continued is where the log stood when its file was moved, or cut short.
type continued struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
	// Cut is set where the file itself was cut short.
	Cut *shortfall `json:"cut,omitempty"`
}

// shortfall is in bytes.
type shortfall struct {
	Expected int64 `json:"expected"`
	Found    int64 `json:"found"`
}

const (
	maxLine    = 1 << 20 // the longest possible is about half of it
	hashPrefix = `,"hash":"`
	hashSuffix = `"}`
	hashSize   = len(hashPrefix) + 2*sha256.Size + len(hashSuffix)
)

// chain is where a log stands.
type chain struct {
	seq  uint64
	hash string // of the last good line
}

// seal numbers e and returns its line with the newline, and the chain with it.
// The hash is of the line as it would be without the hash.
func (c chain) seal(e entry, now time.Time) ([]byte, chain, error) {
	e.Seq, e.Prev, e.Time = c.seq+1, c.hash, now.UTC().Format(time.RFC3339Nano)
	if e.Ref == 0 {
		e.Ref = e.Seq
	}
	line, err := json.Marshal(e)
	if err != nil {
		return nil, c, err
	}
	sum := sha256.Sum256(line)
	hash := hex.EncodeToString(sum[:])
	line = append(line[:len(line)-1], hashPrefix+hash+hashSuffix+"\n"...)
	return line, chain{e.Seq, hash}, nil
}

// follow checks that raw, a line without its newline, comes next. Where lines
// are missing and raw itself says so, the chain goes on all the same.
func (c chain) follow(raw []byte) (entry, chain, error) {
	at := len(raw) - hashSize
	if at < 1 || !bytes.HasPrefix(raw[at:], []byte(hashPrefix)) || !bytes.HasSuffix(raw, []byte(hashSuffix)) {
		return entry{}, c, errors.New("it does not end in a hash")
	}
	hash := string(raw[at+len(hashPrefix) : len(raw)-len(hashSuffix)])
	body := append(bytes.Clone(raw[:at]), '}')
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != hash {
		return entry{}, c, errors.New("its hash does not fit: it was changed")
	}
	var e entry
	if err := json.Unmarshal(body, &e); err != nil {
		return entry{}, c, err
	}
	next := chain{e.Seq, hash}
	if from := e.Continued; from != nil {
		var err error
		if e.missing, err = c.leap(from); err != nil {
			return e, c, err
		}
		c = chain{from.Seq, from.Hash}
	}
	if e.Prev != c.hash {
		return e, c, errors.New("it does not follow the line before: lines were removed, added or moved")
	}
	if e.Seq != c.seq+1 {
		return e, c, fmt.Errorf("it has number %d, not %d", e.Seq, c.seq+1)
	}
	return e, next, nil
}

// leap checks that a line may continue from there, and returns the lines that
// it leaves out. At the beginning, where nothing is known of the file before,
// any may.
func (c chain) leap(from *continued) (*gap, error) {
	switch {
	case c == chain{}, c == chain{from.Seq, from.Hash}:
		return nil, nil
	case c.seq < from.Seq && from.Cut != nil:
		return &gap{c.seq + 1, from.Seq}, nil
	}
	return nil, fmt.Errorf("it continues number %d (hash %s), but what is before it ends with number %d (hash %s)",
		from.Seq, from.Hash, c.seq, c.hash)
}

// gap is a run of lines that a later line says were cut off.
type gap struct{ first, last uint64 }

func (g *gap) Error() string {
	return fmt.Sprintf("numbers %d to %d are missing: the file was cut short while it was open", g.first, g.last)
}
