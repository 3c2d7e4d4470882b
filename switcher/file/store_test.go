package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestAStoreOnDiskIsAStore(t *testing.T) {
	switchertest.TestStore(t, func(t *testing.T) switchertest.StoreHarness {
		dir := filepath.Join(t.TempDir(), "a", "b")
		var last *Store
		return switchertest.StoreHarness{Open: func() switcher.Store {
			if last != nil {
				closeStore(t, last)
			}
			last = openStore(t, dir)
			return last
		}}
	})
}

func TestASecondOwnerIsRefusedAndToldWhoTheFirstIs(t *testing.T) {
	dir := t.TempDir()
	first := openStore(t, dir)
	_, err := OpenStore(dir)
	want := fmt.Sprintf("state directory %s is in use by this process itself (pid %d), which holds %s/lock", dir, os.Getpid(), dir)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	closeStore(t, first)
	openStore(t, dir)
}

func TestALockWithoutAPidStillNamesItsFile(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir)
	if err := os.Truncate(filepath.Join(dir, "lock"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(dir); err == nil || !strings.Contains(err.Error(), "in use by another process, which holds "+dir+"/lock") {
		t.Errorf("got %v", err)
	}
}

func TestALockPassesToWhoInheritsTheOpenFile(t *testing.T) {
	dir := t.TempDir()
	first := openStore(t, dir)
	fd, err := syscall.Dup(int(first.lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	heir := os.NewFile(uintptr(fd), "lock")
	if err := first.lock.file.Close(); err != nil { // as when the old process ends
		t.Fatal(err)
	}
	if _, err := OpenStore(dir); err == nil {
		t.Error("the directory was free while the heir had the open file")
	}
	if err := flock(heir); err != nil {
		t.Errorf("the heir cannot take what it has: %v", err)
	}
	if err := heir.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAClosedStoreRefuses(t *testing.T) {
	s := openStore(t, t.TempDir())
	closeStore(t, s)
	closeStore(t, s)
	if err := s.Save(t.Context(), stateAt(1)); !errors.Is(err, errClosed) {
		t.Errorf("Save: %v", err)
	}
	if _, err := s.Load(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("Load: %v", err)
	}
}

func TestAStoreNeedsADirectory(t *testing.T) {
	if _, err := OpenStore(""); err == nil {
		t.Error("no directory was accepted")
	}
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "")
	for _, dir := range []string{path, filepath.Join(path, "below")} {
		if _, err := OpenStore(dir); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestOthersCannotReadTheState(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "state")
	s := openStore(t, dir)
	mustSave(t, s, 1)
	mustSave(t, s, 2)
	for name, want := range map[string]os.FileMode{"": 0o750, current: 0o640, previous: 0o640, "lock": 0o640} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v, want %o", name, info.Mode(), err, want)
		}
	}
}

func TestOpeningRemovesWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{temporary, temporary2, "somebody-elses"} {
		put(t, filepath.Join(dir, name), "{")
	}
	openStore(t, dir)
	if got := names(t, dir); !slices.Equal(got, []string{"lock", "somebody-elses"}) {
		t.Errorf("there is %q", got)
	}
}

func TestTheGenerationBeforeIsKept(t *testing.T) {
	s := openStore(t, t.TempDir())
	for g := range uint64(4) {
		mustSave(t, s, g)
	}
	if err := os.Remove(s.path(current)); err != nil {
		t.Fatal(err)
	}
	wantStale(t, s, 2, current+" is missing", "using the previous generation, written 20")
	wantStale(t, s, 2, current+" is missing") // it stays so until the next save
	mustSave(t, s, 9)
	wantLoaded(t, s, 9)
}

func TestACorruptDocumentIsKeptAndThePreviousOneUsed(t *testing.T) {
	good, newer := document(t, 5), strings.Replace(document(t, 5), `"format":1`, `"format":2,"extra":{}`, 1)
	for name, c := range map[string]struct{ content, want string }{
		"empty":          {"", "torn or corrupt: line 1, column 1: the document ends here"},
		"torn":           {good[:len(good)/2], "torn or corrupt: line 1, column "},
		"not JSON":       {"hello", "torn or corrupt: line 1, column 1: unexpected 'h'"},
		"zeros":          {strings.Repeat("\x00", 512), `unexpected '\x00'`},
		"newer format":   {newer, "it has format 2, and this version of greenroom reads format 1"},
		"no format":      {"{}", "it has format 0"},
		"null":           {"null", "it has format 0"},
		"wrong checksum": {strings.Replace(good, `"generation":5`, `"generation":6`, 1), "its content has the checksum "},
		"unknown field":  {signed(`{"written":"2026-01-02T03:04:05Z","state":{"services":{}},"more":1}`), `unknown field "more"`},
		"unknown deep": {signed(`{"written":"2026-01-02T03:04:05Z","state":{"services":{"a":{"weather":1}}}}`),
			`state.services.a: unknown field "weather"`},
		"invalid state":   {signed(`{"written":"2026-01-02T03:04:05Z","state":{"services":{"a":{"generation":1}}}}`), `service "a": no active color`},
		"no payload":      {`{"format":1,"sha256":""}`, "no payload"},
		"trailing data":   {good + "x", "want nothing after the end"},
		"duplicate field": {strings.Replace(good, `"format":1`, `"format":1,"format":1`, 1), `key "format" is there twice`},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			mustSave(t, s, 1)
			mustSave(t, s, 2)
			put(t, s.path(current), c.content)
			kept := s.corruptPath(1)
			wantStale(t, s, 1, s.path(current), c.want, "kept as "+kept, "using the previous generation, written 20")
			if got := get(t, kept); got != c.content {
				t.Errorf("kept %q, want %q", got, c.content)
			}
			mustSave(t, s, 3)
			wantLoaded(t, s, 3)
		})
	}
}

func TestReformattedDocumentsLoad(t *testing.T) {
	s := openStore(t, t.TempDir())
	var any json.RawMessage = []byte(document(t, 4))
	pretty, err := json.MarshalIndent(any, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.path(current), string(pretty))
	wantLoaded(t, s, 4)
}

func TestWhenBothGenerationsAreBadNothingIsTouched(t *testing.T) {
	s := openStore(t, t.TempDir())
	put(t, s.path(current), "first")
	for range 2 {
		wantFailed(t, s, s.path(current)+" cannot be used", "there is no previous generation")
	}
	put(t, s.path(previous), "second")
	for range 2 {
		wantFailed(t, s, s.path(current)+" cannot be used", s.path(previous)+" cannot be used")
	}
	if a, b := get(t, s.path(current)), get(t, s.path(previous)); a != "first" || b != "second" {
		t.Errorf("there is %q and %q", a, b)
	}
	mustSave(t, s, 1)
	wantLoaded(t, s, 1)
	if got := get(t, s.corruptPath(1)); got != "first" {
		t.Errorf("kept %q", got)
	}
}

func TestASaveNeverLetsACorruptDocumentDisplaceAGoodOne(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustSave(t, s, 1)
	mustSave(t, s, 2)
	put(t, s.path(current), "overwritten by somebody")
	mustSave(t, s, 3)
	wantLoaded(t, s, 3)
	if err := os.Remove(s.path(current)); err != nil {
		t.Fatal(err)
	}
	wantStale(t, s, 1)
}

func TestADocumentThatCannotBeReadIsLeftInPlace(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustSave(t, s, 1)
	mustSave(t, s, 2)
	if err := os.Remove(s.path(current)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path(current), 0o700); err != nil {
		t.Fatal(err)
	}
	wantStale(t, s, 1, s.path(current)+" cannot be read: it is a directory: want a regular file")
	mustSave(t, s, 3)
	wantLoaded(t, s, 3)
}

func TestAtMostFiveCorruptDocumentsAreKept(t *testing.T) {
	s := openStore(t, t.TempDir())
	put(t, s.path(corrupt+"notes"), "not ours")
	mustSave(t, s, 1)
	mustSave(t, s, 2)
	for i := range 12 {
		put(t, s.path(current), fmt.Sprint("bad ", i))
		wantStale(t, s, 1)
	}
	var kept []string
	for _, name := range names(t, s.dir) {
		if strings.HasPrefix(name, corrupt) {
			kept = append(kept, name+": "+get(t, s.path(name)))
		}
	}
	want := []string{corrupt + "10: bad 9", corrupt + "11: bad 10", corrupt + "12: bad 11", corrupt + "8: bad 7", corrupt + "9: bad 8",
		corrupt + "notes: not ours"}
	if !slices.Equal(kept, want) {
		t.Errorf("got  %q\nwant %q", kept, want)
	}
}

func TestAnOversizedDocumentIsNeitherReadNorWritten(t *testing.T) {
	s := openStore(t, t.TempDir())
	put(t, s.path(current), "")
	if err := os.Truncate(s.path(current), maxDocument+1); err != nil {
		t.Fatal(err)
	}
	wantFailed(t, s, "it has more than 67108864 bytes")
	s.limit = int64(len(document(t, 1)))
	mustSave(t, s, 1)
	wantLoaded(t, s, 1)
	if err := s.Save(t.Context(), switchertest.FullState()); err == nil || !strings.Contains(err.Error(), "can be read again") {
		t.Errorf("Save: %v", err)
	}
	wantLoaded(t, s, 1)
}

func TestAnInvalidStateIsNotSaved(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustSave(t, s, 1)
	bad := stateAt(2)
	bad.Services["other"] = switcher.ServiceState{}
	if err := s.Save(t.Context(), bad); err == nil || !strings.Contains(err.Error(), `service "other": no active color`) {
		t.Errorf("Save: %v", err)
	}
	wantLoaded(t, s, 1)
}

func TestAFailedSaveLeavesTheOldStateAndNoLitter(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustSave(t, s, 1)
	mustSave(t, s, 2)
	if err := os.Remove(s.path(previous)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(s.path(previous), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), stateAt(3)); err == nil || !strings.Contains(err.Error(), s.dir) {
		t.Errorf("Save: %v", err)
	}
	wantLoaded(t, s, 2)
	if _, err := os.Lstat(s.path(temporary)); !missing(err) {
		t.Errorf("the temporary file is still there: %v", err)
	}
}

// TestNoTruncationAndNoFlippedByteGivesAWrongState cuts and damages a document
// in every way that fits into the time of a test.
func TestNoTruncationAndNoFlippedByteGivesAWrongState(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustSave(t, s, 1)
	mustSave(t, s, 2)
	older, newest := get(t, s.path(previous)), get(t, s.path(current))
	try := func(content, how string) {
		t.Helper()
		put(t, s.path(current), content)
		got, err := s.Load(t.Context())
		switch generation := got.Services["app"].Generation; {
		case err == nil && generation == 2: // as the last line feed cut off
		case errors.Is(err, switcher.ErrStale) && generation == 1:
		default:
			t.Fatalf("%s: generation %d, %v", how, generation, err)
		}
		if get(t, s.path(previous)) != older {
			t.Fatalf("%s: the previous generation changed", how)
		}
	}
	for n := range len(newest) {
		try(newest[:n], fmt.Sprintf("the first %d bytes", n))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		damaged := []byte(newest)
		at, bit := random.IntN(len(damaged)), random.IntN(8)
		damaged[at] ^= 1 << bit
		try(string(damaged), fmt.Sprintf("bit %d of byte %d flipped", bit, at))
	}
	for range 200 {
		damaged := []byte(newest)
		from := random.IntN(len(damaged))
		clear(damaged[from:min(from+random.IntN(64), len(damaged))])
		try(string(damaged), fmt.Sprintf("zeros from byte %d", from))
	}
}

func FuzzADocumentIsRefusedOrComesBackAsItIs(f *testing.F) {
	f.Add([]byte(signed(`{"written":"2026-01-02T03:04:05Z","state":{"services":{}}}`)))
	f.Add([]byte(`{"format":1,"sha256":"","payload":{}}`))
	full, err := encode(switchertest.FullState(), at, maxDocument)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := decode(doc)
		if err != nil {
			return
		}
		again, err := encode(p.State, p.Written, maxDocument)
		if err != nil {
			t.Fatalf("loaded what cannot be saved: %v", err)
		}
		if back, err := decode(again); err != nil || len(back.State.Services) != len(p.State.Services) {
			t.Fatalf("saved what cannot be loaded: %v", err)
		}
	})
}

func TestLoadAndSaveCanBeCalledAtTheSameTimeAsClose(t *testing.T) {
	s := openStore(t, t.TempDir())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s.Save(context.Background(), stateAt(1)) == nil {
			if _, err := s.Load(context.Background()); err != nil && !errors.Is(err, errClosed) {
				t.Errorf("Load: %v", err)
			}
		}
	}()
	closeStore(t, s)
	<-done
}

func TestALockFileThatWasRemovedMeanwhileIsNotTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	put(t, path, "")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if !isAt(f, path) {
		t.Error("an untouched file is not at its path")
	}
	swap(t, path, "")
	if isAt(f, path) {
		t.Error("another file was taken for the locked one")
	}
	mustRemove(t, path)
	if isAt(f, path) {
		t.Error("a removed file is at its path")
	}
}
