package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
)

// LivePrefix is where the live stream is in the bucket.
const LivePrefix = "live"

// Live is a stream without an end: a test picture with a clock and a tone, at
// about a twentieth of a core. There must be one for a prefix.
type Live struct {
	Bucket *bucket.Bucket
	// FFmpeg is the program. Default: ffmpeg.
	FFmpeg string
	Log    *slog.Logger
}

// step is how often to look for a new segment.
const step = 200 * time.Millisecond

// Run encodes and publishes until the context ends, or ffmpeg does. A stream that
// is begun again goes on with higher numbers, since they count from the time.
func (l Live) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "platform-live")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.encode(ctx, dir) }()
	p := Publisher{Bucket: l.Bucket, Dir: dir, Prefix: LivePrefix}
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("the live stream has ended: %w", err)
		case now := <-tick.C:
			// What was not written is written next time, before what names it.
			if err := p.Sync(ctx, now); err != nil && ctx.Err() == nil {
				l.Log.Warn("cannot publish the live stream", "error", err)
			}
		}
	}
}

func (l Live) encode(ctx context.Context, dir string) error {
	args := []string{
		"-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-re", "-f", "lavfi", "-i", "sine=frequency=330:beep_factor=2",
		"-filter_complex", "[0:v]split=2[hi][b];[b]scale=-2:180[lo]",
		"-map", "[hi]", "-map", "[lo]", "-map", "1:a", "-map", "1:a",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-pix_fmt", "yuv420p",
		"-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-b:v:0", "600k", "-b:v:1", "200k", "-c:a", "aac", "-b:a", "64k",
		"-f", "hls", "-hls_time", "2", "-hls_list_size", "6", "-hls_start_number_source", "epoch",
		"-hls_flags", "independent_segments+program_date_time+temp_file+delete_segments", "-hls_delete_threshold", "10",
		"-var_stream_map", "v:0,a:0,name:hi v:1,a:1,name:lo", "-master_pl_name", Index,
		"-hls_segment_filename", filepath.Join(dir, "%v", "%d.ts"), filepath.Join(dir, "%v", "index.m3u8"),
	}
	return Worker{FFmpeg: l.FFmpeg}.ffmpeg(ctx, args...)
}
