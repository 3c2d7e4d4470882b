package media

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
)

func TestAConfigEndsOnceAndAfterItsLastRequest(t *testing.T) {
	for range 200 {
		var l life
		var begun, ended, inside atomic.Int64
		l.start()
		var all sync.WaitGroup
		leave := func() {
			if l.leave() {
				ended.Add(1)
				if inside.Load() != 0 || begun.Load() > 1 {
					t.Errorf("ended with %d inside, begun %d times", inside.Load(), begun.Load())
				}
			}
		}
		for range 8 {
			all.Go(func() {
				if !l.enter() {
					return
				}
				inside.Add(1)
				if err := l.begin(func() error { begun.Add(1); return nil }); err != nil {
					t.Error(err)
				}
				inside.Add(-1)
				leave()
			})
		}
		all.Go(leave) // the config's own
		all.Wait()
		if ended.Load() != 1 || l.enter() {
			t.Fatalf("ended %d times", ended.Load())
		}
	}
}

func TestAConfigThatCannotBeginSaysSoEachTime(t *testing.T) {
	var l life
	if l.enter() {
		t.Error("it has not started")
	}
	l.start()
	failure, calls := errors.New("no"), 0
	for range 3 {
		if err := l.begin(func() error { calls++; return failure }); err != failure {
			t.Error(err)
		}
	}
	if calls != 1 {
		t.Errorf("begun %d times", calls)
	}
}

func TestADirectoryIsNotGivenToTwoCachesOfOtherSizes(t *testing.T) {
	first := &Cache{Memory: 16 << 20, Dir: t.TempDir(), Disk: 64 << 20}
	running, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const key = "cache of a test"
	pool.LoadOrStore(key, caddy.Destructor(&cell{Cache: running, config: *first, stop: func() {}}))
	same, larger, elsewhere := *first, *first, *first
	larger.Disk, elsewhere.Dir = 65<<20, t.TempDir()
	elsewhere.Memory = 32 << 20
	for name, c := range map[string]struct {
		cache *Cache
		fine  bool
	}{"the same": {&same, true}, "another size": {&larger, false}, "elsewhere": {&elsewhere, true}, "none": {&Cache{Memory: 32 << 20}, true}} {
		if err := c.cache.free(); (err == nil) != c.fine || err != nil && !strings.Contains(err.Error(), first.Dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pool.Delete(key); err != nil {
		t.Error(err)
	}
	if err := larger.free(); err != nil {
		t.Errorf("when it is closed: %v", err)
	}
}

func TestWhatOutlivesAConfigWritesToTheLogOfTheNewestOne(t *testing.T) {
	var logs [3]bytes.Buffer
	logger := func(i int) *slog.Logger { return slog.New(slog.NewTextHandler(&logs[i], nil)) }
	log := afterward(logger(0)).With("origin", "vod").WithGroup("g")
	log.Info("zero", "k", "v")
	one, two := &App{log: logger(1)}, &App{log: logger(2)}
	started.add(one)
	log.Info("one")
	started.add(two)
	log.Info("two", "k", "v")
	started.remove(one)
	log.Info("three")
	started.remove(two)
	log.Info("four")
	for i, want := range [][]string{{"zero", "four"}, {"one"}, {"two", "three"}} {
		got := logs[i].String()
		if strings.Count(got, "\n") != len(want) || strings.Count(got, "origin=vod") != len(want) {
			t.Errorf("%d: %s", i, got)
		}
		for _, w := range want {
			if !strings.Contains(got, "msg="+w) {
				t.Errorf("%d has no %q: %s", i, w, got)
			}
		}
	}
	if !strings.Contains(logs[2].String(), "g.k=v") {
		t.Error(logs[2].String())
	}
}
