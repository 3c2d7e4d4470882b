package control

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func note(t *testing.T, a *Audit, actions ...string) {
	t.Helper()
	for _, action := range actions {
		if err := a.note(entry{Action: action}); err != nil {
			t.Fatal(err)
		}
	}
}

func move1(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// verifyInOrder checks files, each after the one before.
func verifyInOrder(files ...[]byte) (lines int, err error) {
	var end AuditEnd
	for _, data := range files {
		var n int
		n, end, err = VerifyAuditAfter(bytes.NewReader(data), end)
		if lines += n; err != nil {
			return lines, err
		}
	}
	return lines, nil
}

func TestALogThatWasMovedGoesOnInANewFile(t *testing.T) {
	for name, put := range map[string]func(t *testing.T, path string){
		"gone": func(*testing.T, string) {},
		"an empty file of logrotate": func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := openAudit(t)
			note(t, a, "one", "two")
			old := a.path + ".1"
			move1(t, a.path, old)
			put(t, a.path)
			note(t, a, "three")
			before, err := os.ReadFile(old)
			if err != nil {
				t.Fatal(err)
			}
			after := readLog(t, a)
			if n, err := verifyInOrder(before, after); n != 4 || err != nil {
				t.Errorf("%d lines: %v", n, err)
			}
			first, last := parseEntries(t, before)[1], parseEntries(t, after)[0]
			if c := last.Continued; last.Action != "continued" || c == nil || c.Seq != first.Seq || c.Hash != last.Prev || c.Cut != nil {
				t.Errorf("%+v", last)
			}
			if info, err := os.Stat(a.path); err != nil || info.Mode() != 0o640 {
				t.Error(info.Mode(), err)
			}
			if n := verifyLog(t, a); n != 2 { // by itself
				t.Error(n)
			}
			if n, err := verifyInOrder(after, before); n != 2 || err == nil || !strings.Contains(err.Error(), "line 1: ") {
				t.Errorf("in the wrong order: %d lines, %v", n, err)
			}
			if n, err := verifyInOrder(slices.Collect(bytes.Lines(before))[0], after); n != 1 || err == nil || !strings.Contains(err.Error(), "line 1: it continues number 2") {
				t.Errorf("the end cut off: %d lines, %v", n, err)
			}
			wantOpens(t, a, 2)
			if b, err := OpenAudit(old); err != nil { // its lock is given back
				t.Error(err)
			} else {
				_ = b.Close()
			}
		})
	}
}

// wantOpens wants the next process to take up the log.
func wantOpens(t *testing.T, a *Audit, lines int) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := OpenAudit(a.path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	note(t, b, "after")
	if data := readLog(t, b); bytes.Count(data, []byte("\n")) != lines+1 {
		t.Errorf("%s", data)
	}
}

func TestReopenAndCloseLeaveASuccessor(t *testing.T) {
	a := openAudit(t)
	if err := a.Reopen(); err != nil || len(readLog(t, a)) != 0 {
		t.Error(err)
	}
	move1(t, a.path, a.path+".0") // nothing is in it, so nothing goes on
	note(t, a, "one")
	if first := entries(t, a)[0]; first.Continued != nil || first.Seq != 1 {
		t.Errorf("%+v", first)
	}
	for i, end := range []func() error{a.Reopen, a.Close} {
		move1(t, a.path, a.path+".1")
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if list := entries(t, a); len(list) != 1 || list[0].Continued.Seq != uint64(i+1) {
			t.Errorf("%+v", list)
		}
	}
	if err := errors.Join(a.Close(), (*Audit)(nil).Reopen()); err != nil {
		t.Error(err)
	}
	if a.Reopen() == nil {
		t.Error("a closed log was reopened")
	}
}

// Whatever is at the path, a command is refused until it is put right, and
// nothing is lost or overwritten meanwhile.
func TestWhatCannotGoOnAtThePathIsRefusedUntilItIsGone(t *testing.T) {
	good := sampleLog(t)
	file := func(data []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, data, 0o640) }
	}
	for want, put := range map[string]func(string) error{
		"it has lines, but not those":            file(good),
		"move it aside to begin a new one":       file([]byte("torn")),
		"its hash does not fit: it was changed;": file(bytes.Replace(good, []byte("reason 2"), []byte("reason 3"), 1)),
		"is a directory":                         func(path string) error { return os.Mkdir(path, 0o755) },
		"too many levels of symbolic links":      func(path string) error { return os.Symlink("/dev/null", path) },
		"another process writes it": func(path string) error {
			other, err := OpenAudit(path)
			if err == nil {
				t.Cleanup(func() { _ = other.Close() })
			}
			return err
		},
	} {
		a := openAudit(t)
		note(t, a, "one")
		move1(t, a.path, a.path+".1")
		if err := put(a.path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(a.path)
		for range 2 {
			if err := a.note(entry{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), a.path) {
				t.Errorf("%v; want %q", err, want)
			}
		}
		if now, _ := os.ReadFile(a.path); !bytes.Equal(now, before) {
			t.Errorf("%s: it was written", want)
		}
		if err := os.Remove(a.path); err != nil {
			t.Fatal(err)
		}
		note(t, a, "two")
		old, err := os.ReadFile(a.path + ".1")
		if n, broken := verifyInOrder(old, readLog(t, a)); n != 3 || err != nil || broken != nil {
			t.Errorf("%s: %d lines, %v", want, n, broken)
		}
	}
}

func TestACopyInTheFilesPlaceGoesOnAsItIs(t *testing.T) {
	a := openAudit(t)
	note(t, a, "one", "two")
	data := readLog(t, a)
	move1(t, a.path, a.path+"~")
	if err := os.WriteFile(a.path, data, 0o640); err != nil {
		t.Fatal(err)
	}
	note(t, a, "three")
	if n := verifyLog(t, a); n != 3 {
		t.Error(n)
	}
}

func TestCopytruncateIsNoticed(t *testing.T) {
	a := openAudit(t)
	note(t, a, "one", "two")
	copied := readLog(t, a)
	if err := os.Truncate(a.path, 0); err != nil {
		t.Fatal(err)
	}
	note(t, a, "three")
	first := entries(t, a)[0]
	if c := first.Continued; c == nil || c.Seq != 2 || c.Cut == nil || c.Cut.Expected != int64(len(copied)) || c.Cut.Found != 0 {
		t.Errorf("%+v", first)
	}
	if n, err := verifyInOrder(copied, readLog(t, a)); n != 4 || err != nil {
		t.Error(n, err)
	}
	early := slices.Collect(bytes.Lines(copied))[0] // copied before the second line
	if n, err := verifyInOrder(early, readLog(t, a)); n != 1 || err == nil || !strings.Contains(err.Error(), "line 1: numbers 2 to 2 are missing: the file was cut short") {
		t.Error(n, err)
	}
	wantOpens(t, a, 2)
}

// What is cut off is missed wherever the cut is, and what is left stays.
func TestALogThatIsCutShortAnywhereGoesOn(t *testing.T) {
	data := sampleLog(t)
	ends := map[int]bool{}
	for i, c := range data {
		ends[i+1] = c == '\n'
	}
	for cut := 1; cut < len(data); cut++ {
		if !ends[cut] && !ends[cut+1] && !ends[cut-1] && cut%97 != 1 {
			continue // each costs several fsyncs
		}
		path := filepath.Join(openDir(t), "audit.log")
		if err := os.WriteFile(path, data, 0o640); err != nil {
			t.Fatal(err)
		}
		a, err := OpenAudit(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(cut)); err != nil {
			t.Fatal(err)
		}
		note(t, a, "after")
		got := readLog(t, a)
		if !bytes.HasPrefix(got, data[:cut]) || !bytes.Contains(got, []byte(`"cut":{"expected":`)) {
			t.Fatalf("cut at %d: %s", cut, got)
		}
		kept := bytes.Count(data[:cut], []byte("\n"))
		lines, err := VerifyAudit(bytes.NewReader(got))
		switch {
		case cut == len(data)-1: // only the newline is gone, and was mended
			if err != nil {
				t.Errorf("cut at %d: %s", cut, err)
			}
		case kept == 0 && !ends[cut+1]: // nothing is left to tell that anything is missing
		case err == nil || !strings.Contains(err.Error(), "to 8 are missing") || lines > kept+1:
			t.Errorf("cut at %d: %d lines hold: %v", cut, lines, err)
		}
		wantOpens(t, a, bytes.Count(got, []byte("\n")))
	}
}

func TestACutLogOfWhichTheRestIsBrokenIsRefused(t *testing.T) {
	a := openAudit(t)
	note(t, a, "one", "two")
	data := readLog(t, a)
	if err := os.WriteFile(a.path, []byte("hello\nworld\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := a.note(entry{}); err == nil || !strings.Contains(err.Error(), "what is left is broken: line 1: ") || !strings.Contains(err.Error(), "move it aside") {
		t.Error(err)
	}
	move1(t, a.path, a.path+".bad")
	note(t, a, "three")
	if n, err := verifyInOrder(data, readLog(t, a)); n != 4 || err != nil {
		t.Error(n, err)
	}
}

// A line that claims a cut cannot hide that others were removed.
func TestALineThatContinuesMustFit(t *testing.T) {
	data := sampleLog(t)
	lines := slices.Collect(bytes.Lines(data))
	v, err := verify(bytes.NewReader(data), chain{})
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]continued{
		"another hash":         {Seq: 8, Hash: strings.Repeat("0", 64)},
		"a line that is later": {Seq: 9, Hash: v.hash},
		"an earlier line":      {Seq: 7, Hash: v.hash, Cut: &shortfall{}},
	} {
		forged, _, err := chain{from.Seq, from.Hash}.seal(entry{Action: "continued", Continued: &from}, testTime)
		if err != nil {
			t.Fatal(err)
		}
		wantBreak(t, append(slices.Clone(data), forged...), 9, name)
	}
	self, _, err := v.seal(entry{Action: "continued", Continued: &continued{Seq: 3, Hash: v.hash}}, testTime)
	if err != nil {
		t.Fatal(err)
	}
	wantBreak(t, self, 1, "a line that contradicts itself")
	cut, _, err := v.seal(entry{Action: "continued", Continued: &continued{Seq: 8, Hash: v.hash, Cut: &shortfall{9, 1}}}, testTime)
	if err != nil {
		t.Fatal(err)
	}
	wantBreak(t, append(bytes.Join(lines[:6], nil), cut...), 7, "lines cut off")
}
