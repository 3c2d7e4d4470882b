package control

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// Prev is the hash of the line before; the first has none.
	Prev string `json:"prev"`
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

// follow checks that raw, a line without its newline, comes next.
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
	if e.Prev != c.hash {
		return e, c, errors.New("it does not follow the line before: lines were removed, added or moved")
	}
	if e.Seq != c.seq+1 {
		return e, c, fmt.Errorf("it has number %d, not %d", e.Seq, c.seq+1)
	}
	return e, chain{e.Seq, hash}, nil
}

// verified is what verify found.
type verified struct {
	chain
	lines int    // that hold, torn ones included
	size  int64  // of these
	tail  []byte // after the last newline
}

// verify reads a log to its end. A line that does not follow is allowed only
// where the next says that it was torn, by its length and hash.
func verify(r io.Reader) (v verified, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	in.Split(wholeLines)
	var broken error // the line before this one did not follow, for this reason
	var last torn
	for in.Scan() {
		raw, ended := bytes.CutSuffix(in.Bytes(), []byte("\n"))
		if !ended {
			v.tail = bytes.Clone(raw)
			break
		}
		e, next, err := v.follow(raw)
		switch {
		case broken != nil && (err != nil || e.Recovered == nil || *e.Recovered != last):
			return v, broken
		case broken == nil && err == nil && e.Recovered != nil:
			err = errors.New("it speaks of a torn line that is not there")
		}
		if err != nil {
			broken, last = fmt.Errorf("line %d: %w", v.lines+1, err), tornFrom(raw)
			continue
		}
		if broken != nil {
			v.lines, v.size = v.lines+1, v.size+int64(last.Bytes+1)
			broken = nil
		}
		v.lines, v.size, v.chain = v.lines+1, v.size+int64(len(raw)+1), next
	}
	if err := in.Err(); err != nil && broken == nil {
		return v, fmt.Errorf("line %d: %w", v.lines+1, err)
	}
	return v, broken
}

// wholeLines splits into lines with their newlines, which the last may lack.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// VerifyAudit reads an audit log and returns how many of its lines hold. The
// error names the first line at which the chain breaks. The chain proves that
// nothing before its last line was changed; that no lines were cut off after
// it, only a copy of the last hash, kept elsewhere, can prove.
func VerifyAudit(r io.Reader) (lines int, err error) {
	v, err := verify(r)
	if err != nil {
		return v.lines, err
	}
	if len(v.tail) > 0 {
		return v.lines, fmt.Errorf("line %d: it is torn: %d bytes without a newline", v.lines+1, len(v.tail))
	}
	return v.lines, nil
}
