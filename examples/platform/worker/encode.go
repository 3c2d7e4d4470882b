package worker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Index is the name of the multivariant playlist.
const Index = "main.m3u8"

// What ffmpeg may open of an upload: files of these formats, and nothing that they
// name. A playlist, for one, could have it fetch from inside the network.
var hostile = []string{"-protocol_whitelist", "file", "-format_whitelist", "mov,matroska,mpegts,avi,flv,ogg"}

// ladder is the renditions: two, small, since this is an example.
var ladder = []string{
	"-filter_complex", "[0:v:0]split=2[a][b];[a]scale=-2:360[hi];[b]scale=-2:180[lo]",
	"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p",
	// A key frame each two seconds, so that segments begin together.
	"-force_key_frames", "expr:gte(t,n_forced*2)", "-sc_threshold", "0",
	"-b:v:0", "800k", "-maxrate:v:0", "1200k", "-bufsize:v:0", "1600k",
	"-b:v:1", "250k", "-maxrate:v:1", "400k", "-bufsize:v:1", "500k",
	"-c:a", "aac", "-b:a", "96k", "-ac", "2",
}

// output is where it goes: segments of two seconds.
func output(dir string, sound bool) []string {
	args, streams := []string{"-map", "[hi]", "-map", "[lo]"}, "v:0,name:hi v:1,name:lo"
	if sound {
		args = append(args, "-map", "0:a:0", "-map", "0:a:0")
		streams = "v:0,a:0,name:hi v:1,a:1,name:lo"
	}
	return append(args, "-f", "hls", "-hls_time", "2", "-var_stream_map", streams, "-master_pl_name", Index,
		"-hls_segment_filename", filepath.Join(dir, "%v", "%06d.ts"))
}

// vod encodes a file to a directory, and returns how long it is.
func (w Worker) vod(ctx context.Context, source, dir string) (time.Duration, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	sound, err := w.hasSound(ctx, source)
	if err != nil {
		return 0, err
	}
	args := append([]string{}, hostile...)
	args = append(args, "-i", source)
	args = append(args, ladder...)
	args = append(args, output(dir, sound)...)
	args = append(args, "-hls_playlist_type", "vod", "-hls_flags", "independent_segments", filepath.Join(dir, "%v", "index.m3u8"))
	if err := w.ffmpeg(ctx, args...); err != nil {
		return 0, err
	}
	return playlistLength(filepath.Join(dir, "hi", "index.m3u8"))
}

// hasSound asks whether a file has a stream of audio beside pictures.
func (w Worker) hasSound(ctx context.Context, source string) (bool, error) {
	args := append([]string{}, hostile...)
	args = append(args, "-i", source, "-map", "0:v:0", "-c", "copy", "-frames:v", "1", "-f", "null", "-")
	said, err := w.command(ctx, "info", args...).CombinedOutput()
	if err != nil {
		return false, fmt.Errorf("this is no video that can be encoded: %w: %s", err, last(said))
	}
	return bytes.Contains(said, []byte("Audio:")), nil
}

func (w Worker) ffmpeg(ctx context.Context, args ...string) error {
	if said, err := w.command(ctx, "error", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, last(said))
	}
	return nil
}

func (w Worker) command(ctx context.Context, level string, args ...string) *exec.Cmd {
	program := w.FFmpeg
	if program == "" {
		program = "ffmpeg"
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"-nostdin", "-hide_banner", "-loglevel", level, "-y"}, args...)...)
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it goes with the worker
	return cmd
}

// last returns the last line of what a program has said, up to 300 bytes.
func last(said []byte) string {
	lines := bytes.Split(bytes.TrimSpace(said), []byte("\n"))
	line := lines[len(lines)-1]
	return strings.ToValidUTF8(string(line[:min(len(line), 300)]), "?")
}

// playlistLength adds up the segments of a playlist of ours.
func playlistLength(file string) (time.Duration, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var sum float64
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "#EXTINF:"); ok {
			seconds, err := strconv.ParseFloat(strings.TrimSuffix(value, ","), 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			sum += seconds
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("nothing was encoded: the file has no pictures")
	}
	return time.Duration(sum * float64(time.Second)), nil
}
