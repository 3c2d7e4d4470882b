package player

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Format is how a stream is packaged.
type Format string

// The formats. All hold H.264 in two sizes and AAC, in segments of 2 s.
const (
	HLSTS  Format = "HLS with MPEG-TS"
	HLSMP4 Format = "HLS with fragmented MP4"
	DASH   Format = "DASH"
)

// Stream is a test picture with a tone, as ffmpeg makes it: 320x180 and 192x108,
// 25 frames a second. One that is live costs about a twentieth of a core.
type Stream struct {
	Format Format
	// Length is how long it is. Zero: it is live, and has no end.
	Length time.Duration
}

// Index is the name of the file by which a player begins.
func (s Stream) Index() string {
	if s.Format == DASH {
		return "index.mpd"
	}
	return "index.m3u8"
}

// Player is the name of the player for it.
func (s Stream) Player() string {
	if s.Format == DASH {
		return DASHJS
	}
	return HLSJS
}

func (s Stream) String() string {
	if s.Length == 0 {
		return "live " + string(s.Format)
	}
	return fmt.Sprintf("%s of %s", s.Format, s.Length)
}

// Start has streams encoded, all at the same time, each to a directory of its
// own, and returns those when players can begin to play: when a stream is whole,
// or a live one has three segments. A live stream goes on in real time until the
// test ends, and none of its segments is removed.
func Start(t testing.TB, streams ...Stream) (dirs []string) {
	t.Helper()
	if _, err := look("ffmpeg"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var ready sync.WaitGroup
	var failed atomic.Bool
	for _, s := range streams {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		if s.Length == 0 {
			untilTheEnd(t, func(ctx context.Context) error { return s.encode(ctx, dir) })
		}
		ready.Go(func() {
			made := s.await
			if s.Length > 0 {
				made = s.encode
			}
			if err := made(ctx, dir); err != nil {
				failed.Store(true)
				t.Error(err)
			}
		})
	}
	if ready.Wait(); failed.Load() {
		t.FailNow()
	}
	return dirs
}

// untilTheEnd runs something until the test ends, and waits for it then.
func untilTheEnd(t testing.TB, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// encode writes the stream to an empty directory; a live one until ctx ends. Its
// files are complete when they get their names, but for the initialization
// segments of MP4, which are before an index names them.
func (s Stream) encode(ctx context.Context, dir string) error {
	out, err := runTool(ctx, "ffmpeg", s.arguments(dir)...)
	if err != nil {
		return fmt.Errorf("player: encode %s: %w: %s", s, err, out)
	}
	return nil
}

// await waits until dir holds enough of a stream that is being encoded there for
// a player to begin in the middle of it: three segments.
func (s Stream) await(ctx context.Context, dir string) error {
	segments := map[Format]string{HLSTS: "0_*.ts", HLSMP4: "0_*.m4s", DASH: "chunk-stream0-*.m4s"}[s.Format]
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		found, _ := filepath.Glob(filepath.Join(dir, segments))
		index, _ := filepath.Glob(filepath.Join(dir, s.Index()))
		if len(found) >= 3 && len(index) == 1 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("player: %s has %d segments: %w", s, len(found), ctx.Err())
		}
	}
}

// arguments are those of ffmpeg. Each keyframe begins a segment, 50 frames long.
func (s Stream) arguments(dir string) []string {
	args := []string{"-v", "error", "-nostdin"}
	for _, source := range []string{"testsrc2=size=320x180:rate=25", "sine=frequency=440:sample_rate=48000"} {
		if s.Length == 0 {
			args = append(args, "-re")
		}
		args = append(args, "-f", "lavfi", "-i", source)
	}
	if s.Length > 0 {
		args = append(args, "-t", strconv.FormatFloat(s.Length.Seconds(), 'f', -1, 64))
	}
	args = append(args, "-filter_complex", "[0:v]split[large][copy];[copy]scale=192:108[small]",
		"-map", "[large]", "-map", "[small]", "-map", "1:a",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
		"-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-b:v:0", "300k", "-b:v:1", "120k", "-c:a", "aac", "-b:a", "64k")
	if s.Format == DASH {
		return append(args, s.dash(dir)...)
	}
	return append(args, s.hls(dir)...)
}

// hls puts the sound beside each of the pictures, as most packagers do.
func (s Stream) hls(dir string) []string {
	args := []string{"-map", "1:a", "-f", "hls", "-hls_time", "2", "-hls_flags", "temp_file+independent_segments",
		"-var_stream_map", "v:0,a:0 v:1,a:1", "-master_pl_name", s.Index()}
	if s.Length == 0 {
		args = append(args, "-hls_list_size", "6")
	} else {
		args = append(args, "-hls_playlist_type", "vod")
	}
	segments := "%v_%d.ts"
	if s.Format == HLSMP4 {
		segments = "%v_%d.m4s"
		args = append(args, "-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init_%v.mp4")
	}
	return append(args, "-hls_segment_filename", filepath.Join(dir, segments), filepath.Join(dir, "%v.m3u8"))
}

func (s Stream) dash(dir string) []string {
	args := []string{"-f", "dash", "-seg_duration", "2", "-ldash", "0", "-adaptation_sets", "id=0,streams=v id=1,streams=a"}
	if s.Length == 0 {
		args = append(args, "-window_size", "6", "-extra_window_size", "100000")
	}
	return append(args, filepath.Join(dir, s.Index()))
}

// runTool runs a program that must be on PATH and returns what it printed, on
// both outputs; of much, the end.
func runTool(ctx context.Context, name string, args ...string) (string, error) {
	path, err := look(name)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(tail(out)), err
}

// look finds a program, by the first of its names that is on PATH.
func look(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("player: %s is not on PATH: install it (CONTRIBUTING.md, \"Set up\", says what the tests need)", names[0])
}

// tail is the end of what a program said.
func tail(said []byte) []byte {
	said = bytes.TrimSpace(said)
	return slices.Clone(said[max(0, len(said)-2000):])
}
