package worker_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/examples/platform/worker"
)

func TestSegmentsComeBeforePlaylistsAndLeaveAfterThem(t *testing.T) {
	b, dir, now := fixture.Bucket(t), t.TempDir(), time.Unix(1_800_000_000, 0)
	write := func(name, text string) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(text), 0o600))
	}
	there := func(key string) bool {
		_, err := b.Head(t.Context(), "live/"+key)
		if err != nil && !errors.Is(err, bucket.ErrNone) {
			t.Fatal(err)
		}
		return err == nil
	}
	p := worker.Publisher{Bucket: b, Dir: dir, Prefix: "live"}
	write("main.m3u8", "#EXTM3U\nhi/index.m3u8\nlo/index.m3u8\n")
	write("hi/index.m3u8", "#EXTM3U\n1.ts\n2.ts\n")
	write("hi/1.ts", "one")
	if err := p.Sync(t.Context(), now); err == nil {
		t.Error("a segment is missing, and nobody says so")
	}
	if !there("hi/1.ts") || there("hi/index.m3u8") {
		t.Error("a playlist came before its segments")
	}
	write("hi/2.ts", "two")
	must(t, p.Sync(t.Context(), now))
	if !there("hi/index.m3u8") || there("main.m3u8") || p.Published() {
		t.Error("the multivariant playlist came before a variant")
	}
	write("lo/index.m3u8", "#EXTM3U\n1.ts\n")
	write("lo/1.ts", "one")
	must(t, p.Sync(t.Context(), now))
	if !there("main.m3u8") || !p.Published() {
		t.Error("the multivariant playlist is missing")
	}

	write("hi/index.m3u8", "#EXTM3U\n2.ts\n3.ts\n")
	write("hi/3.ts", "three")
	must(t, p.Sync(t.Context(), now.Add(worker.Linger-time.Second)))
	if !there("hi/1.ts") {
		t.Error("a segment left while players may ask for it")
	}
	must(t, p.Sync(t.Context(), now.Add(worker.Linger)))
	if there("hi/1.ts") || !there("hi/2.ts") || !there("lo/1.ts") {
		t.Error("the wrong segments left")
	}
}
