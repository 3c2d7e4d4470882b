package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

// The paces of tests: quick, and with nothing but events, or nothing but polls.
var (
	byEvents = pace{calm: 10 * time.Millisecond, storm: 50 * time.Millisecond, poll: time.Hour, relook: 20 * time.Millisecond}
	byPolls  = pace{calm: time.Hour, storm: time.Hour, poll: 5 * time.Millisecond, relook: 5 * time.Millisecond}
)

func noWatches() (*fsnotify.Watcher, error) { return nil, syscall.EMFILE }

func TestAWatchedFileIsASource(t *testing.T) {
	for name, c := range map[string]struct {
		pace  pace
		watch func() (*fsnotify.Watcher, error)
		write func(t testing.TB, path, content string)
	}{
		"replaced, seen by events":             {byEvents, fsnotify.NewWatcher, swap},
		"replaced, seen by polls":              {byPolls, noWatches, swap},
		"written in place, seen by events":     {byEvents, fsnotify.NewWatcher, put},
		"in a Kubernetes volume, by events":    {byEvents, fsnotify.NewWatcher, project},
		"replaced, with the pace of every day": {usualPace, fsnotify.NewWatcher, swap},
	} {
		t.Run(name, func(t *testing.T) {
			switchertest.TestSource(t, func(t *testing.T, first switcher.Pools) switchertest.SourceHarness {
				path := filepath.Join(t.TempDir(), "app.json")
				source := NewSource(path, nil)
				source.pace, source.watch = c.pace, c.watch
				set := func(p switcher.Pools) { c.write(t, path, poolText(t, p)) }
				set(first)
				return switchertest.SourceHarness{
					Source: source,
					Set:    set,
					Break:  func() { c.write(t, path, "broken") },
					Remove: func() { mustRemove(t, path) },
				}
			})
		})
	}
}

func poolText(t testing.TB, p switcher.Pools) string {
	t.Helper()
	text, err := json.Marshal(struct {
		Version int `json:"version"`
		switcher.Pools
	}{1, p})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// oneBlue is the text and the pools of a file with one upstream.
func oneBlue(port int) (string, switcher.Pools) {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return pools(fmt.Sprintf(`{"address": %q}`, address), ""), switcher.Pools{Blue: []switcher.Upstream{{Address: address}}}
}

// project writes as a Kubernetes volume does: app.json leads to ..data, which
// leads to a directory that is replaced as a whole.
func project(t testing.TB, path, content string) {
	t.Helper()
	dir := filepath.Dir(path)
	fresh, err := os.MkdirTemp(dir, "..")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(fresh, filepath.Base(path)), content)
	data := filepath.Join(dir, "..data")
	old, _ := os.Readlink(data)
	mustLink(t, filepath.Base(fresh), data+"_tmp")
	if err := os.Rename(data+"_tmp", data); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); missing(err) {
		mustLink(t, filepath.Join("..data", filepath.Base(path)), path)
	}
	if old != "" {
		mustRemove(t, filepath.Join(dir, old))
	}
}

func mustLink(t testing.TB, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func mustRemove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mustMkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func mustRename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// started is a source that runs.
type started struct {
	*switchertest.Sink
	looks chan look // of every look
}

// start runs a source of path until the test ends.
func start(t *testing.T, path string, change func(*Source)) started {
	t.Helper()
	s := started{&switchertest.Sink{}, make(chan look, 10_000)}
	source := NewSource(path, nil)
	source.pace = byEvents
	source.looked = func(l look) { s.looks <- l }
	if change != nil {
		change(source)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := source.Run(ctx, s.Sink); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if s.Overlapped() {
			t.Error("calls of the sink overlapped")
		}
		if err := switchertest.CheckReports(s.Reports()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestADirectoryThatIsRemovedAndMadeAgainIsWatchedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "pools")
	path := filepath.Join(dir, "app.json")
	mustMkdir(t, dir)
	text, want := oneBlue(1)
	put(t, path, text)
	s := start(t, path, nil)
	s.WaitUpdate(t, want)
	for i, gone := range []string{dir, filepath.Dir(dir), dir} {
		mustRemove(t, gone)
		wantWords(t, s.WaitFail(t), "pool file "+path+" cannot be read: no such file or directory")
		mustMkdir(t, dir)
		text, want := oneBlue(10 + i)
		put(t, path, text)
		s.WaitUpdate(t, want)
		text, want = oneBlue(20 + i)
		swap(t, path, text)
		s.WaitUpdate(t, want)
	}
}

func TestADirectoryThatIsMissingAtTheStartIsWaitedFor(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "app.json")
	s := start(t, path, nil)
	s.WaitFail(t)
	mustMkdir(t, filepath.Dir(path))
	text, want := oneBlue(1)
	swap(t, path, text)
	s.WaitUpdate(t, want)
}

func TestADirectoryThatIsReplacedAsAWholeIsFollowed(t *testing.T) {
	root := t.TempDir()
	now, next, path := filepath.Join(root, "now"), filepath.Join(root, "next"), filepath.Join(root, "now", "app.json")
	mustMkdir(t, now)
	text, want := oneBlue(1)
	put(t, path, text)
	s := start(t, path, nil)
	s.WaitUpdate(t, want)
	for i := range 5 {
		mustMkdir(t, next)
		text, want = oneBlue(10 + i)
		put(t, filepath.Join(next, "app.json"), text)
		mustRename(t, now, filepath.Join(root, fmt.Sprint("old", i)))
		mustRename(t, next, now)
		s.WaitUpdate(t, want)
		text, want = oneBlue(20 + i)
		put(t, path, text)
		s.WaitUpdate(t, want)
	}
}

func TestASymlinkOnTheWayIsFollowed(t *testing.T) {
	root := t.TempDir()
	mustMkdir(t, filepath.Join(root, "links"))
	for i := range 4 {
		mustMkdir(t, filepath.Join(root, fmt.Sprint("v", i)))
		text, _ := oneBlue(1 + i)
		put(t, filepath.Join(root, fmt.Sprint("v", i), "app.json"), text)
	}
	mustLink(t, "v0", filepath.Join(root, "now"))
	path := filepath.Join(root, "links", "app.json")
	mustLink(t, filepath.Join(root, "now", "app.json"), path)
	s := start(t, path, nil)
	_, want := oneBlue(1)
	s.WaitUpdate(t, want)
	for i := 1; i < 4; i++ {
		mustLink(t, fmt.Sprint("v", i), filepath.Join(root, "next"))
		mustRename(t, filepath.Join(root, "next"), filepath.Join(root, "now"))
		_, want = oneBlue(1 + i)
		s.WaitUpdate(t, want)
		text, want := oneBlue(10 + i)
		put(t, filepath.Join(root, fmt.Sprint("v", i), "app.json"), text)
		s.WaitUpdate(t, want)
	}
}

// TestAHalfWrittenFileIsNoAlarm writes the second half when the first has been
// looked at, and before it is looked at again.
func TestAHalfWrittenFileIsNoAlarm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	text, want := oneBlue(1)
	put(t, path, text)
	s := start(t, path, func(source *Source) { source.pace.relook = time.Hour })
	s.WaitUpdate(t, want)
	for i := range 5 {
		text, want := oneBlue(10 + i)
		put(t, path, text[:len(text)/2])
		s.waitLook(t, func(l look) bool { return l.err != nil })
		put(t, path, text)
		s.WaitUpdate(t, want)
	}
	for _, r := range s.Reports() {
		if r.Err != nil {
			t.Errorf("alarm: %v", r.Err)
		}
	}
}

func (s started) waitLook(t *testing.T, want func(look) bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case l := <-s.looks:
			if want(l) {
				return
			}
		case <-deadline:
			t.Fatal("no such look")
		}
	}
}

func TestAFileThatStaysTornIsAnAlarm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	text, want := oneBlue(1)
	put(t, path, text)
	s := start(t, path, nil)
	s.WaitUpdate(t, want)
	put(t, path, text[:len(text)/2])
	wantWords(t, s.WaitFail(t), "pool file "+path+": line 1, column 33: blue[0]: the document ends within a string")
	put(t, path, "")
	s.Wait(t, "the other failure", func(reports []switchertest.Report) bool {
		last := reports[len(reports)-1]
		return last.Err != nil && strings.Contains(last.Err.Error(), "line 1, column 1: the document ends here")
	})
	put(t, path, text)
	s.WaitUpdate(t, want)
}

func TestOtherFormattingIsTheSameContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	text, want := oneBlue(1)
	put(t, path, text)
	s := start(t, path, nil)
	s.WaitUpdate(t, want)
	put(t, path, text+" \n")
	s.waitLook(t, func(l look) bool { return l.sum == read(path).sum })
	if n := len(s.Reports()); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestAnUnreadableFileFails makes it unreadable for root too: by a link to
// itself.
func TestAnUnreadableFileFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	text, want := oneBlue(1)
	put(t, path, text)
	s := start(t, path, nil)
	s.WaitUpdate(t, want)
	if err := errors.Join(os.Remove(path), os.Symlink(path, path)); err != nil {
		t.Fatal(err)
	}
	wantWords(t, s.WaitFail(t), "too many levels of symbolic links")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, path, text)
	s.WaitUpdate(t, want)
}

// TestWithoutWatchesTheFileIsPolledEvery5Seconds runs on the clock of a bubble.
func TestWithoutWatchesTheFileIsPolledEvery5Seconds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	text, _ := oneBlue(1)
	put(t, path, text)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := start(t, path, func(source *Source) {
			source.pace, source.watch = usualPace, noWatches
			source.log = slog.New(slog.NewTextHandler(&log, nil))
		})
		after := func(d time.Duration, reports int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if n := len(s.Reports()); n != reports {
				t.Fatalf("told %d times, want %d: %v", n, reports, s.Reports())
			}
		}
		after(0, 1)
		text, _ := oneBlue(2)
		put(t, path, text)
		after(5*time.Second-1, 1)
		after(1, 2)
		after(time.Minute, 2)
		put(t, path, "bad")
		after(5*time.Second, 2) // one look is not believed
		after(250*time.Millisecond, 3)
		after(time.Hour, 3) // told once
		put(t, path, text)
		after(5*time.Second, 4)
		if n := strings.Count(log.String(), "\n"); n != 1 ||
			!strings.Contains(log.String(), "only polled") || !strings.Contains(log.String(), "fs.inotify.max_user_instances") {
			t.Errorf("logged %d lines: %s", n, log.String())
		}
	})
}

func TestAContentThatNeverRestsIsAnAlarmInTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	put(t, path, "0")
	synctest.Test(t, func(t *testing.T) {
		s := start(t, path, func(source *Source) { source.pace, source.watch = usualPace, noWatches })
		for i := range 25 {
			put(t, path, strings.Repeat("9", 2+i))
			time.Sleep(250 * time.Millisecond)
			synctest.Wait()
		}
		if reports := s.Reports(); len(reports) != 1 || reports[0].Err == nil {
			t.Errorf("told %v", reports)
		}
	})
}

func TestTheLimitOfWatchesIsNamed(t *testing.T) {
	err := hint(fmt.Errorf("add: %w", syscall.ENOSPC))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "fs.inotify.max_user_watches") {
		t.Errorf("got %v", err)
	}
}

func TestAWatcherThatEndsIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	text, want := oneBlue(1)
	put(t, path, text)
	made := make(chan *fsnotify.Watcher, 2)
	s := start(t, path, func(source *Source) {
		source.watch = func() (*fsnotify.Watcher, error) {
			w, err := fsnotify.NewWatcher()
			made <- w
			return w, err
		}
	})
	s.WaitUpdate(t, want)
	if err := (<-made).Close(); err != nil {
		t.Fatal(err)
	}
	<-made
	text, want = oneBlue(2)
	put(t, path, text)
	s.WaitUpdate(t, want)
}

func TestASourceIsNamedByItsFile(t *testing.T) {
	if got := NewSource("pools/app.json", nil).String(); got != "file pools/app.json" {
		t.Errorf("got %q", got)
	}
}
