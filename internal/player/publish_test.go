package player

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestWhatIsNewIsPutOnceAndIndexesLast(t *testing.T) {
	dir := t.TempDir()
	write := func(name, body string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var put []string
	var refuse error
	p := &publisher{dir: dir, done: map[string]stamp{}, to: SinkFunc(func(_ context.Context, name string, body []byte) error {
		put = append(put, name+"="+string(body))
		return refuse
	})}
	wants := func(want ...string) {
		t.Helper()
		if err := p.pass(t.Context()); !errors.Is(err, refuse) {
			t.Fatal(err)
		}
		if !slices.Equal(put, want) {
			t.Errorf("put %q, want %q", put, want)
		}
		put = nil
	}
	write("a.m3u8", "1")
	write("index.mpd", "1")
	write("z.ts", "1")
	write("z2.ts.tmp", "1")
	wants("z.ts=1", "a.m3u8=1", "index.mpd=1")
	wants()
	write("z.ts", "it has grown")
	write("a.m3u8", "22")
	refuse = errors.New("not now")
	wants("z.ts=it has grown")
	refuse = nil
	wants("z.ts=it has grown", "a.m3u8=22")
}

func TestAStreamSaysWhatItIs(t *testing.T) {
	for s, want := range map[Stream]string{{DASH, 0}: "live DASH, index.mpd, dash", {HLSTS, 20 * time.Second}: "HLS with MPEG-TS of 20s, index.m3u8, hls"} {
		if got := s.String() + ", " + s.Index() + ", " + s.Player(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
