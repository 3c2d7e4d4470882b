package player

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Sink is where a stream is published: a bucket, for example.
type Sink interface {
	// Put stores body under name, which has no slashes, in place of what was there.
	Put(ctx context.Context, name string, body []byte) error
}

// SinkFunc is a Sink that is a function.
type SinkFunc func(ctx context.Context, name string, body []byte) error

// Put calls f.
func (f SinkFunc) Put(ctx context.Context, name string, body []byte) error { return f(ctx, name, body) }

// Publish copies a stream from the directory that it is encoded to: what is there
// before it returns, and what comes until the test ends. An index is put only when
// all is there that it names. The sink may still be asked while the test
// ends, with a context that does too.
func Publish(t testing.TB, dir string, to Sink) {
	t.Helper()
	p := &publisher{dir: dir, to: to, done: map[string]stamp{}}
	if err := p.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	untilTheEnd(t, func(ctx context.Context) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if err := p.pass(ctx); err != nil {
				return err
			}
		}
	})
}

// publisher copies what is new in a directory.
type publisher struct {
	dir  string
	to   Sink
	done map[string]stamp // what has been put
}

// stamp tells two versions of a file apart.
type stamp struct {
	size  int64
	mtime time.Time
}

// file is a version of a file.
type file struct {
	name  string
	stamp stamp
	body  []byte
}

// pass reads the indexes first and puts them last: what they name was there
// when they were read, and so it is put between the two.
func (p *publisher) pass(ctx context.Context) error {
	indexes, err := p.changed(isIndex)
	if err != nil {
		return err
	}
	media, err := p.changed(func(name string) bool { return !isIndex(name) && !strings.HasSuffix(name, ".tmp") })
	if err != nil {
		return err
	}
	for _, f := range append(media, indexes...) {
		if err := p.to.Put(ctx, f.name, f.body); err != nil {
			return fmt.Errorf("player: publish %s: %w", f.name, err)
		}
		p.done[f.name] = f.stamp
	}
	return nil
}

// changed reads the files of a kind that have not been put as they are.
func (p *publisher) changed(kind func(name string) bool) ([]file, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, fmt.Errorf("player: publish: %w", err)
	}
	var files []file
	for _, entry := range entries {
		if !kind(entry.Name()) {
			continue
		}
		info, err := entry.Info() // before the file is read: if it grows meanwhile it is read again
		if err != nil {
			return nil, fmt.Errorf("player: publish: %w", err)
		}
		now := stamp{info.Size(), info.ModTime()}
		if p.done[entry.Name()] == now {
			continue
		}
		body, err := os.ReadFile(filepath.Join(p.dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("player: publish: %w", err)
		}
		files = append(files, file{entry.Name(), now, body})
	}
	return files, nil
}

// isIndex reports whether a file names others.
func isIndex(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".m3u8" || ext == ".mpd"
}
