package file

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inherited is what a successor gets of s.
func inherited(t *testing.T, s *Store) *os.File {
	t.Helper()
	f, err := s.Lock()
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// wantOwned wants nobody else to get the directory.
func wantOwned(t *testing.T, when, dir string) {
	t.Helper()
	s, err := OpenStore(dir)
	if err == nil {
		t.Errorf("%s: another got the directory", when)
		closeStore(t, s)
	} else if !strings.Contains(err.Error(), "in use by") {
		t.Errorf("%s: %v", when, err)
	}
}

func TestADirectoryIsHandedOnWithoutAMomentWithoutAnOwner(t *testing.T) {
	dir := t.TempDir()
	old := openStore(t, dir)
	mustSave(t, old, 1)
	f := inherited(t, old)
	wantOwned(t, "when the lock was copied", dir)
	next, err := Adopt(dir, f)
	must(t, err)
	wantOwned(t, "when it was adopted", dir)
	must(t, old.Leave())
	wantOwned(t, "when the old one has left", dir)
	must(t, old.Leave())
	must(t, old.Close()) // as when the config of the old process is taken down
	wantOwned(t, "when the old one was closed", dir)
	wantLoaded(t, next, 1)
	mustSave(t, next, 2)
	wantLoaded(t, next, 2)
	if err := old.Save(t.Context(), stateAt(9)); !errors.Is(err, errClosed) {
		t.Errorf("who has left saves: %v", err)
	}
	if _, err := old.Lock(); !errors.Is(err, errClosed) {
		t.Errorf("who has left hands on: %v", err)
	}
	if err := old.Reclaim(); !errors.Is(err, errClosed) {
		t.Errorf("who has left reclaims: %v", err)
	}
	must(t, next.Close())
	openStore(t, dir)
}

func TestTheLockNamesWhoOwnsTheDirectoryAlsoAfterAnUpgradeThatFailed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	path := filepath.Join(dir, "lock")
	mustSave(t, s, 1)
	f := inherited(t, s)
	must(t, os.WriteFile(path, []byte("999999999\n"), fileMode)) // as another process signs it
	must(t, f.Close())                                           // and ends
	must(t, s.Reclaim())
	text, err := os.ReadFile(path)
	must(t, err)
	if want := strconv.Itoa(os.Getpid()) + "\n"; string(text) != want {
		t.Errorf("the lock says %q, want %q", text, want)
	}
	wantOwned(t, "when it was reclaimed", dir)
	mustSave(t, s, 2)
	wantLoaded(t, s, 2)
}

func TestAdoptingSignsTheLock(t *testing.T) {
	dir := t.TempDir()
	old := openStore(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, "lock"), []byte("999999999\n"), fileMode))
	next, err := Adopt(dir, inherited(t, old))
	must(t, err)
	must(t, old.Leave()) // whose signature it is not
	text, err := os.ReadFile(filepath.Join(dir, "lock"))
	must(t, err)
	if string(text) != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("the lock says %q", text)
	}
	must(t, next.Leave())
}

func TestALockThatIsNotThisDirectorysIsRefused(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	openStore(t, elsewhere)
	s := openStore(t, dir)
	if _, err := Adopt(elsewhere, inherited(t, s)); err == nil || !strings.Contains(err.Error(), "another directory") {
		t.Errorf("of another directory: %v", err)
	}
	if _, err := Adopt(filepath.Join(dir, "none"), inherited(t, s)); err == nil {
		t.Error("a directory that is none was adopted")
	}
	closed := inherited(t, s)
	must(t, closed.Close())
	if _, err := Adopt(dir, closed); err == nil {
		t.Error("a closed file was adopted")
	}
	f := inherited(t, s)
	must(t, os.Remove(filepath.Join(dir, "lock")))
	must(t, os.WriteFile(filepath.Join(dir, "lock"), nil, fileMode))
	if _, err := Adopt(dir, f); err == nil || !strings.Contains(err.Error(), "was replaced") {
		t.Errorf("of a lock that was replaced: %v", err)
	}
}

func TestALockThatAnotherProcessHasIsNotAdopted(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0) // opened, and not inherited
	must(t, err)
	if _, err := Adopt(dir, f); err == nil {
		t.Error("it was adopted")
	}
	must(t, f.Close())
	wantOwned(t, "afterwards", dir)
}

func TestPeekingReadsWhatIsThereAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := Peek(filepath.Join(dir, "none")); !errors.Is(err, switcher.ErrNoState) {
		t.Errorf("no directory: %v", err)
	}
	s := openStore(t, dir)
	if _, err := Peek(dir); !errors.Is(err, switcher.ErrNoState) {
		t.Errorf("no state: %v", err)
	}
	mustSave(t, s, 1)
	mustSave(t, s, 2)
	state, err := Peek(dir)
	if err != nil || state.Services["app"].Generation != 2 {
		t.Errorf("%+v, %v", state, err)
	}
	must(t, os.WriteFile(s.path(current), []byte("damaged"), fileMode))
	before := names(t, dir)
	_, err = Peek(dir)
	if err == nil || errors.Is(err, switcher.ErrNoState) || !strings.Contains(err.Error(), s.path(current)) {
		t.Errorf("damaged: %v", err)
	}
	if after := names(t, dir); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("there was %v, and is %v", before, after)
	}
}
