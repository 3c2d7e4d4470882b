package control

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// verified is what verify found.
type verified struct {
	chain
	lines int    // that hold, torn ones included
	size  int64  // of these
	tail  []byte // after the last newline
	// missing, if not nil, is the first gap that a line tells of, and held
	// the lines before it.
	missing error
	held    int
}

// verify reads a log that goes on from before to its end. A line that does not
// follow is allowed only where the next says that it was torn, by its length
// and hash, and lines may be missing where the next says so.
func verify(r io.Reader, before chain) (v verified, err error) {
	v.chain = before
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
		if e.missing != nil && v.missing == nil {
			v.missing, v.held = fmt.Errorf("line %d: %w", v.lines+1, e.missing), v.lines
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

// AuditEnd is where a file of the audit log ends. The zero value says that
// nothing is known of what was before.
type AuditEnd struct {
	// Seq is the number of the last line.
	Seq uint64 `json:"seq"`
	// Hash is that of the last line. A copy of it that is kept elsewhere
	// proves later that no lines were cut off after it.
	Hash string `json:"hash"`
}

// VerifyAudit reads one file of an audit log and returns how many of its lines
// hold. The error names the first line at which the chain breaks, or before
// which lines are missing. The chain proves that nothing before its last line
// was changed; that no lines were cut off after it, only a copy of the last
// hash, kept elsewhere, can prove.
//
// A file whose first line says that it continues another is accepted: its
// anchor is the last line of the file before, which [VerifyAuditAfter] checks.
func VerifyAudit(r io.Reader) (lines int, err error) {
	lines, _, err = VerifyAuditAfter(r, AuditEnd{})
	return lines, err
}

// VerifyAuditAfter is VerifyAudit of a file that must continue the one that
// ends with before. It returns where it ends itself, for the next one: the
// files of a log that was rotated are checked oldest first.
func VerifyAuditAfter(r io.Reader, before AuditEnd) (lines int, end AuditEnd, err error) {
	v, err := verify(r, chain{before.Seq, before.Hash})
	end = AuditEnd{v.seq, v.hash}
	switch {
	case v.missing != nil: // comes before whatever else is wrong
		return v.held, end, v.missing
	case err != nil:
		return v.lines, end, err
	case len(v.tail) > 0:
		return v.lines, end, fmt.Errorf("line %d: it is torn: %d bytes without a newline", v.lines+1, len(v.tail))
	}
	return v.lines, end, nil
}
