package control

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// sampleLog writes a few commands into a new log and returns its bytes.
func sampleLog(t *testing.T) []byte {
	t.Helper()
	a := openAudit(t)
	for i := range 4 {
		ref, err := a.begin(entry{Who: whoIs(Identity{Name: "x"}), Action: "cutover", Reason: fmt.Sprint("reason ", i), Decision: allowed})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.note(entry{Ref: ref, Action: "cutover", Outcome: "done"}); err != nil {
			t.Fatal(err)
		}
	}
	return readLog(t, a)
}

func readLog(t *testing.T, a *Audit) []byte {
	t.Helper()
	data, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// verifyLog wants a whole chain.
func verifyLog(t *testing.T, a *Audit) (lines int) {
	t.Helper()
	lines, err := VerifyAudit(bytes.NewReader(readLog(t, a)))
	if err != nil {
		t.Errorf("after %d lines: %s", lines, err)
	}
	return lines
}

func wantBreak(t *testing.T, data []byte, line int, what string) {
	t.Helper()
	lines, err := VerifyAudit(bytes.NewReader(data))
	if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("line %d: ", line)) || lines != line-1 {
		t.Errorf("%s: %d lines hold, %v; want line %d to break", what, lines, err, line)
	}
}

func TestAnyByteThatWasTamperedWithIsFound(t *testing.T) {
	data := sampleLog(t)
	if lines, err := VerifyAudit(bytes.NewReader(data)); lines != 8 || err != nil {
		t.Fatal(lines, err)
	}
	for i := range data {
		line := bytes.Count(data[:i], []byte("\n")) + 1
		for _, flip := range []byte{0x01, 0x20, 0x80} {
			changed := slices.Clone(data)
			changed[i] ^= flip
			wantBreak(t, changed, line, fmt.Sprintf("byte %d xor %#x", i, flip))
		}
		wantBreak(t, slices.Delete(slices.Clone(data), i, i+1), line, fmt.Sprintf("byte %d removed", i))
	}
}

func TestLinesThatWereRemovedAddedOrMovedAreFound(t *testing.T) {
	data := sampleLog(t)
	lines := slices.Collect(bytes.Lines(data))
	last := len(lines) - 1
	for i := range lines {
		if i < last { // cutting off the end is what a chain cannot show
			wantBreak(t, bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil), i+1, "removed")
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			wantBreak(t, bytes.Join(swapped, nil), i+1, "swapped")
		}
		wantBreak(t, bytes.Join(slices.Insert(slices.Clone(lines), i+1, lines[i]), nil), i+2, "doubled")
		wantBreak(t, bytes.Join(slices.Insert(slices.Clone(lines), i, []byte("\n")), nil), i+1, "an empty line")
	}
	forged, _, err := chain{}.seal(entry{Action: "cutover"}, testTime)
	if err != nil {
		t.Fatal(err)
	}
	wantBreak(t, append(slices.Clone(data), forged...), 9, "a line of another chain")
	wantBreak(t, append(slices.Clone(data), bytes.Repeat([]byte("a"), 2*maxLine)...), 9, "an endless line")
}

func TestALogGoesOnWhereItEnded(t *testing.T) {
	a := openAudit(t)
	for i := range 3 {
		if err := a.note(entry{Action: fmt.Sprint("run ", i)}); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := a.note(entry{}); err == nil {
			t.Fatal("a closed log was written")
		}
		var err error
		if a, err = OpenAudit(a.path); err != nil {
			t.Fatal(err)
		}
	}
	defer a.Close()
	if n := verifyLog(t, a); n != 3 {
		t.Error(n)
	}
	info, err := os.Stat(a.path)
	if err != nil || info.Mode() != 0o640 {
		t.Error(info.Mode(), err)
	}
}

// A crash may leave any part of a line. It is never lost, and never believed.
func TestATornLastLineStaysAndIsNoted(t *testing.T) {
	data := sampleLog(t)
	begin := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
	for end := begin; end <= len(data); end++ {
		if middle := end > begin+2 && end < len(data)-2; middle && end%17 != 0 {
			continue // each costs several fsyncs
		}
		path := filepath.Join(openDir(t), "audit.log")
		if err := os.WriteFile(path, data[:end], 0o640); err != nil {
			t.Fatal(err)
		}
		a, err := OpenAudit(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.note(entry{Action: "after"}); err != nil {
			t.Fatal(err)
		}
		got := readLog(t, a)
		if !bytes.HasPrefix(got, data[:end]) {
			t.Fatalf("cut at %d: what was there is gone", end)
		}
		missing := len(data) - end
		if torn := end > begin && missing > 1; torn != bytes.Contains(got, fmt.Appendf(nil, `"recovered":{"bytes":%d,`, end-begin)) {
			t.Errorf("cut at %d: %s", end, got[begin:])
		}
		verifyLog(t, a)
		if torn := end > begin && missing > 1; torn {
			changed := slices.Clone(got)
			changed[begin] ^= 1
			wantBreak(t, changed, 8, "a torn line tampered with")
			wantBreak(t, slices.Delete(slices.Clone(got), begin, end+1), 8, "a torn line removed")
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALogThatCannotBeTrustedIsNotOpened(t *testing.T) {
	dir := openDir(t)
	path := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o640); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good := sampleLog(t)
	changed := bytes.Replace(good, []byte("reason 2"), []byte("reason 3"), 1)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path("good", good), link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		path("changed", changed):        "line 5: its hash does not fit: it was changed; move the file aside",
		path("text", []byte("hello\n")): "line 1: it does not end in a hash",
		link:                            "too many levels of symbolic links",
		dir:                             "is a directory",
		"/dev/null":                     "not a regular file",
		filepath.Join(dir, "no", "log"): "no such file or directory",
	} {
		if a, err := OpenAudit(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", name, a, err, want)
		}
	}
	if now, err := os.ReadFile(filepath.Join(dir, "changed")); err != nil || !bytes.Equal(now, changed) {
		t.Error("a log that was refused was changed")
	}
}

func TestTwoProcessesDoNotWriteOneLog(t *testing.T) {
	a := openAudit(t)
	if b, err := OpenAudit(a.path); err == nil || !strings.Contains(err.Error(), "another process writes it") {
		t.Fatal(b, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := OpenAudit(a.path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
}

// flaky is a file that can fail, and knows what is on the disk.
type flaky struct {
	auditFile
	full     bool // half of a write fits
	syncs    bool // else Sync fails
	cuts     bool // else Truncate fails
	unsynced bool
}

func (f *flaky) Write(p []byte) (int, error) {
	f.unsynced = true
	if f.full {
		n, err := f.auditFile.Write(p[:len(p)/2])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.auditFile.Write(p)
}

func (f *flaky) Sync() error {
	if !f.syncs {
		return syscall.EIO
	}
	f.unsynced = false
	return f.auditFile.Sync()
}

func (f *flaky) Truncate(size int64) error {
	if !f.cuts {
		return syscall.EPERM
	}
	return f.auditFile.Truncate(size)
}

func TestAWriteThatFailsLeavesTheChainWhole(t *testing.T) {
	for name, broken := range map[string]flaky{
		"the disk is full":                    {full: true, syncs: true, cuts: true},
		"the disk does not take it":           {cuts: true},
		"the disk is full and nothing goes":   {full: true, syncs: true},
		"the disk does not take it, nor cuts": {},
	} {
		t.Run(name, func(t *testing.T) {
			a := openAudit(t)
			if err := a.note(entry{Action: "before"}); err != nil {
				t.Fatal(err)
			}
			file := a.file
			broken.auditFile = file
			a.file = &broken
			for range 3 {
				if err := a.note(entry{Action: "lost"}); err == nil {
					t.Fatal("no error")
				}
			}
			a.file = file
			if err := a.note(entry{Action: "after"}); err != nil {
				t.Fatal(err)
			}
			if n := verifyLog(t, a); n != 2 || bytes.Contains(readLog(t, a), []byte("lost")) {
				t.Errorf("%d lines: %s", n, readLog(t, a))
			}
		})
	}
}
