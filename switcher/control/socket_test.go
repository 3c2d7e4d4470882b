package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func bound(t *testing.T, path string, group *uint32) *socket {
	t.Helper()
	s, err := bind(path, group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func modeOf(t *testing.T, path string) (mode os.FileMode, uid, gid uint32) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode(), owner(info).Uid, owner(info).Gid
}

func TestTheSocketHasItsModeUnderAnyUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		old := syscall.Umask(mask)
		dir := filepath.Join(openDir(t), "s")
		path := filepath.Join(dir, "c")
		bound(t, path, new(uint32(daemon)))
		syscall.Umask(old)
		if mode, uid, gid := modeOf(t, path); mode != os.ModeSocket|0o660 || uid != 0 || gid != daemon {
			t.Errorf("umask %o: socket %s %d:%d", mask, mode, uid, gid)
		}
		if mode, uid, gid := modeOf(t, dir); mode != os.ModeDir|0o750 || uid != 0 || gid != daemon {
			t.Errorf("umask %o: directory %s %d:%d", mask, mode, uid, gid)
		}
		if mode, _, _ := modeOf(t, path+".lock"); mode&^0o600 != 0 {
			t.Errorf("umask %o: lock %s", mask, mode)
		}
	}
}

// At no moment may somebody connect who may not later.
func TestTheSocketIsPrivateUntilItsGroupIsSet(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(openDir(t), "c")
	l, err := listenPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer os.Remove(path)
	if mode, _, _ := modeOf(t, path); mode != os.ModeSocket|0o600 {
		t.Error(mode)
	}
}

func TestAStaleSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := filepath.Join(openDir(t), "c")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	live := bound(t, path, nil)
	if s, err := bind(path, nil); err == nil || !strings.Contains(err.Error(), "another greenroom answers on "+path) {
		t.Fatal(s, err)
	}
	if err := live.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket is still there:", err)
	}
	bound(t, path, nil)
}

func TestOfManyThatStartAtOnceOneListens(t *testing.T) {
	path := filepath.Join(openDir(t), "c")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	var all sync.WaitGroup
	won := make(chan *socket, 16)
	for range cap(won) {
		all.Go(func() {
			if s, err := bind(path, nil); err == nil {
				won <- s
			} else if !strings.Contains(err.Error(), "another greenroom answers") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d listen", len(won))
	}
	s := <-won
	dial(t, path)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	path := filepath.Join(openDir(t), "c")
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := bind(path, nil); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Fatal(s, err)
	}
	if data, err := os.ReadFile(path); string(data) != "precious" {
		t.Error(data, err)
	}
}

func TestASocketThatANewerProcessMadeIsNotRemoved(t *testing.T) {
	path := filepath.Join(openDir(t), "c")
	older := bound(t, path, nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	bound(t, path, nil)
	if err := older.Close(); err != nil {
		t.Fatal(err)
	}
	dial(t, path)
}

func TestClosingForgivesADirectoryThatIsGone(t *testing.T) {
	dir := filepath.Join(openDir(t), "s")
	s := bound(t, filepath.Join(dir, "c"), nil)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestADirectoryThatOthersControlIsRefused(t *testing.T) {
	base := openDir(t)
	dir := func(name string, uid, gid int, mode os.FileMode) string {
		path := filepath.Join(base, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, uid, gid), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(base, "link")
	if err := errors.Join(os.Symlink(base, link), os.Lchown(link, daemon, daemon)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	group := new(uint32(daemon))
	for _, c := range []struct {
		dir   string
		group *uint32
		want  string // "" if it is good
	}{
		{dir("open", 0, 0, 0o777), nil, "can be written by everybody"},
		{dir("sticky", 0, 0, 0o777|os.ModeSticky), nil, ""},
		{dir("theirs", daemon, 0, 0o750), nil, "belongs to uid 1"},
		{dir("ours", 0, 0, 0o755), group, ""},
		{dir("closed", 0, 0, 0o750), group, "group 1 cannot reach a socket"},
		{dir("for the group", 0, daemon, 0o750), group, ""},
		{dir("without x", 0, daemon, 0o740), group, "group 1 cannot reach a socket"},
		{link, nil, "is a link of another user"},
		{file, nil, "is not a directory"},
		{filepath.Join(file, "below"), nil, "not a directory"},
		{filepath.Join(base, "new", "and", "deep"), group, ""},
	} {
		s, err := bind(filepath.Join(c.dir, "c"), c.group)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.dir, err, c.want)
		}
		if err == nil {
			_ = s.Close()
		}
	}
}

func TestAPathThatTheKernelWouldCutIsRefused(t *testing.T) {
	for _, path := range []string{"control.sock", "", "@abstract", "/tmp/" + strings.Repeat("a", 200)} {
		if s, err := bind(path, nil); err == nil || !strings.Contains(err.Error(), "absolute path") {
			t.Errorf("%q: %v, %v", path, s, err)
		}
	}
}
