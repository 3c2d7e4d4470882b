package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// diskCache is a cache with a disk, and with Run running until stop.
func diskCache(t testing.TB, dir string, room int64, log *slog.Logger) (c *Cache, stop func()) {
	c = newCache(t, Options{Block: 4 * KiB, Memory: 64 * KiB, Disk: &Disk{Dir: dir, Bytes: room}, Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return c, stop
}

func files(t testing.TB, dir string) (names []string, bytes int64) {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				names, bytes = append(names, path), bytes+info.Size()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, bytes
}

func TestWhatMemoryHasNoRoomForComesFromDisk(t *testing.T) {
	content := random(300 * KiB)
	o := newOrigin(t, file(content, `"v1"`))
	c, _ := diskCache(t, filepath.Join(t.TempDir(), "cache"), 4*MiB, nil)
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	// Pass by pass more of it is kept, until the origin is not asked any more.
	until(t, "all of it is kept", func() bool {
		e.get("/a").want(t, "a pass", 200, content)
		e.idle()
		before := len(o.requests())
		a := e.get("/a")
		a.want(t, "the next pass", 200, content)
		if len(o.requests()) > before {
			return false
		}
		if !strings.HasPrefix(a.status0(), "greenroom; hit; ttl=") {
			t.Errorf("Cache-Status %q", a.status0())
		}
		return true
	})
	if s := c.Stats(); s.DiskBlocks < 55 || s.MemoryBytes > 64*KiB || s.DiskErrors != 0 {
		t.Errorf("%+v", s)
	}
}

func TestARestartFindsWhatIsOnDisk(t *testing.T) {
	content := random(100 * KiB)
	dir := t.TempDir()
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600, stale-if-error=60")
		w.Header().Set("Age", "100")
		file(content, `"v1"`)(w, r)
	})
	c, stop := diskCache(t, dir, 4*MiB, nil)
	e := newEdge(t, c, o, Terms{TTL: time.Second})
	until(t, "all of it is kept", func() bool { e.get("/a").want(t, "before", 200, content); e.idle(); return c.Stats().DiskBlocks >= 10 })
	stop() // what is in memory is written, too
	asked := len(o.requests())

	c, _ = diskCache(t, dir, 4*MiB, nil)
	e = newEdge(t, c, o, Terms{TTL: time.Second})
	until(t, "it is found", func() bool { return c.Stats().DiskBlocks == 25 })
	a := e.get("/a")
	a.want(t, "after", 200, content)
	if !strings.HasPrefix(a.status0(), "greenroom; hit; ttl=") || a.header.Get("Cache-Control") != "max-age=600, stale-if-error=60" ||
		a.header.Get("Content-Type") != "video/mp4" || a.header.Get("Etag") != `"v1"` || a.header.Get("Age") < "100" {
		t.Errorf("%q", a.header)
	}
	e.get("/a", "Range: bytes=50000-50009").want(t, "after", 206, content[50000:50010])
	if got := len(o.requests()); got != asked {
		t.Error(lines(o.requests()[asked:]))
	}
	for _, name := range first(files(t, dir)) {
		if strings.Contains(name, "/a") && !strings.Contains(filepath.Base(name), "-") {
			t.Errorf("a file is named %s", name)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, info.Mode())
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

// filled leaves an object of 100 KiB on disk, with nothing running.
func filled(t *testing.T, dir string, content []byte, etag string) {
	o := newOrigin(t, file(content, etag))
	c, stop := diskCache(t, dir, 4*MiB, nil)
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	until(t, "it is on disk", func() bool {
		e.get("/a").want(t, "fill", 200, content)
		e.idle()
		return c.Stats().DiskBlocks >= 10
	})
	stop()
	if names := first(files(t, dir)); len(names) != 25 {
		t.Fatalf("%d files", len(names))
	}
	_ = c.Close()
}

func TestACorruptFileIsNeverServed(t *testing.T) {
	content := random(100 * KiB)
	for name, spoil := range map[string]func(b []byte) []byte{
		"a bit of the bytes":       func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"a bit of the description": func(b []byte) []byte { b[60] ^= 1; return b },
		"a bit of the beginning":   func(b []byte) []byte { b[0] ^= 1; return b },
		"its length":               func(b []byte) []byte { b[8] = 0xff; return b },
		"short":                    func(b []byte) []byte { return b[:len(b)-1] },
		"long":                     func(b []byte) []byte { return append(b, 0) },
		"empty":                    func([]byte) []byte { return nil },
		"a few bytes":              func(b []byte) []byte { return b[:10] },
		"vanished":                 nil,
	} {
		for _, when := range []string{"before the start", "after the start"} {
			what, dir := name+", "+when, t.TempDir()
			filled(t, dir, content, `"v1"`)
			ruin := func() {
				for _, path := range first(files(t, dir)) {
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if spoil == nil {
						err = os.Remove(path)
					} else {
						err = os.WriteFile(path, spoil(b), 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if when == "before the start" {
				ruin()
			}
			var logged logLines
			o := newOrigin(t, file(content, `"v1"`))
			c, _ := diskCache(t, dir, 4*MiB, slog.New(slog.NewTextHandler(&logged, nil)))
			e := newEdge(t, c, o, Terms{TTL: time.Hour})
			if when == "after the start" {
				until(t, what, func() bool { return c.Stats().DiskBlocks == 25 })
				ruin()
			}
			e.get("/a").want(t, what, 200, content)
			e.get("/a").want(t, what+", again", 200, content)
			if n := logged.count(); n > 1 {
				t.Errorf("%s: %d lines in the log", what, n)
			}
			if asked := o.requests(); len(asked) == 0 {
				t.Errorf("%s: the origin was not asked", what)
			}
		}
	}
}

type logLines struct {
	mu sync.Mutex
	n  int
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

func (l *logLines) count() int { l.mu.Lock(); defer l.mu.Unlock(); return l.n }

func TestTheDiskKeepsToItsRoom(t *testing.T) {
	dir := t.TempDir()
	content := random(100 * KiB)
	o := newOrigin(t, file(content, `"v1"`))
	c, stop := diskCache(t, dir, 80*KiB, nil)
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	rng := rand.New(rand.NewPCG(1, 2))
	until(t, "something was given up", func() bool {
		path := fmt.Sprintf("/%d", rng.IntN(20))
		e.get(path).want(t, path, 200, content)
		e.idle()
		if s := c.Stats(); s.DiskBytes > 80*KiB {
			t.Errorf("%+v", s)
		}
		return c.Stats().DiskEvictions > 50
	})
	stop()
	s := c.Stats()
	if names, n := files(t, dir); n > 80*KiB || n != s.DiskBytes || len(names) != s.DiskBlocks {
		t.Errorf("%d files of %d bytes; %+v", len(names), n, s)
	}
}

func TestABrokenDiskIsLeftAloneAndTheCacheGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	content := random(300 * KiB)
	o := newOrigin(t, file(content, `"v1"`))
	var logged logLines
	c, _ := diskCache(t, dir, 4*MiB, slog.New(slog.NewTextHandler(&logged, nil)))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // no directory any more
		t.Fatal(err)
	}
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	until(t, "the disk has failed", func() bool { e.get("/a").want(t, "broken", 200, content); return c.Stats().DiskErrors > 0 })
	for range 10 {
		e.get("/a").want(t, "broken", 200, content)
	}
	e.idle()
	if n := logged.count(); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
}

func TestAPurgeReachesTheDisk(t *testing.T) {
	content := random(100 * KiB)
	dir := t.TempDir()
	o := newOrigin(t, file(content, `"v1"`))
	c, _ := diskCache(t, dir, 4*MiB, nil)
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	until(t, "it is on disk", func() bool {
		e.get("/a").want(t, "fill", 200, content)
		e.get("/b").want(t, "fill", 200, content)
		e.idle()
		return c.Stats().DiskBlocks >= 40
	})
	if n := c.Purge("o", "/a", false); n != 1 {
		t.Errorf("%d objects", n)
	}
	for _, name := range first(files(t, dir)) {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(`"Path":"/a"`)) {
			t.Errorf("%s is still there", name)
		}
	}
	until(t, "the rest is written", func() bool {
		c.disk.mu.Lock()
		defer c.disk.mu.Unlock()
		return len(c.disk.pending) == 0 && c.disk.writing.object == nil
	})
	o.now(file([]byte("new"), `"v2"`))
	e.get("/a").want(t, "then", 200, []byte("new"))
	e.get("/b").want(t, "the other", 200, content)
}

func TestAPurgeFindsWhatAnotherProcessHasLeft(t *testing.T) {
	content := random(100 * KiB)
	dir := t.TempDir()
	c, _ := diskCache(t, dir, 4*MiB, nil)
	filled(t, dir, content, `"v1"`) // by another one
	if n := c.Purge("o", "/a", false); n != 1 {
		t.Errorf("%d objects", n)
	}
	if names := first(files(t, dir)); len(names) != 0 {
		t.Errorf("%d files", len(names))
	}
}

func TestANewVersionTakesTheOldOneFromDisk(t *testing.T) {
	old, changed := random(100*KiB), random(90*KiB)
	dir := t.TempDir()
	filled(t, dir, old, `"v1"`)
	o := newOrigin(t, file(changed, `"v2"`))
	c, _ := diskCache(t, dir, 4*MiB, nil)
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	until(t, "it is found", func() bool { return c.Stats().DiskBlocks == 25 })
	ob, ok := c.fromDisk("o /a")
	if !ok {
		t.Fatal("not found")
	}
	hd := *ob.head.Load()
	hd.received = hd.received.Add(-2 * time.Hour)
	ob.head.Store(&hd)
	e.get("/a").want(t, "changed", 200, changed)
	until(t, "the old one is gone", func() bool {
		for _, name := range first(files(t, dir)) {
			if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(`"ETag":"\"v1\""`)) {
				return false
			}
		}
		return true
	})
	e.get("/a").want(t, "changed, again", 200, changed)
}

func TestTwoProcessesOnOneDirectoryServeRightBytes(t *testing.T) {
	dir := t.TempDir()
	contents := map[string][]byte{}
	for i := range 6 {
		contents[fmt.Sprintf("/%d", i)] = random(100*KiB + i)
	}
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { file(contents[r.URL.Path], `"v`+r.URL.Path+`"`)(w, r) })
	var edges []*edge
	for range 2 {
		c, _ := diskCache(t, dir, 200*KiB, nil)
		edges = append(edges, newEdge(t, c, o, Terms{TTL: time.Hour}))
	}
	results(8, func(g int) {
		rng := rand.New(rand.NewPCG(3, uint64(g)))
		for range 60 {
			path := fmt.Sprintf("/%d", rng.IntN(6))
			at := rng.IntN(100 * KiB)
			end := min(at+rng.IntN(40*KiB), len(contents[path])-1)
			edges[g%2].get(path, fmt.Sprintf("Range: bytes=%d-%d", at, end)).want(t, path, 206, contents[path][at:end+1])
			if rng.IntN(20) == 0 {
				edges[g%2].c.Purge("o", path, false)
			}
		}
	})
	for _, e := range edges {
		e.idle()
		if s := e.c.Stats(); s.DiskBytes > 200*KiB {
			t.Errorf("%+v", s)
		}
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, o := range []Options{{Block: 1}, {Block: 32 * MiB}, {Memory: -1}, {Memory: MiB}, {Fills: -1}, {Name: "a b"}, {Name: "1"},
		{Disk: &Disk{}}, {Disk: &Disk{Dir: t.TempDir()}}, {Disk: &Disk{Dir: "/dev/null/x", Bytes: 64 * MiB}}} {
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "cache: ") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestADiskThatHangsHoldsNobodyForLong(t *testing.T) {
	dir := t.TempDir()
	content := random(100 * KiB)
	filled(t, dir, content, `"v1"`)
	o := newOrigin(t, file(content, `"v1"`))
	c, _ := diskCache(t, dir, 4*MiB, nil)
	e := newEdge(t, c, o, Terms{TTL: time.Hour})
	until(t, "it is found", func() bool { return c.Stats().DiskBlocks == 25 })
	for _, name := range first(files(t, dir)) {
		if err := errors.Join(os.Remove(name), syscall.Mkfifo(name, 0o600)); err != nil {
			t.Fatal(err)
		}
		// Who reads waits for what is never written, until nobody can write any more.
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	e.get("/a").want(t, "hangs", 200, content)
	if s := c.Stats(); s.DiskErrors == 0 {
		t.Errorf("%+v", s)
	}
}
