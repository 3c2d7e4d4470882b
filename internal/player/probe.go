package player

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// Media is what ffprobe finds at an address.
type Media struct {
	// Duration is what the stream says that it is long; zero, if it is live.
	Duration time.Duration
	Tracks   []Track
}

// Track is one of a stream's tracks.
type Track struct {
	Kind          string `json:"codec_type"` // "video", "audio"
	Codec         string `json:"codec_name"` // "h264", "aac"
	Width, Height int
	Packets       int `json:"nb_read_packets,string"` // how many there are in what was read
}

// Probe has ffprobe read the first part of the stream at an address, of all
// tracks. A live stream is read as fast as it comes. Whatever ffprobe complains
// about is an error.
func Probe(ctx context.Context, address string, first time.Duration) (Media, error) {
	path, err := look("ffprobe")
	if err != nil {
		return Media{}, err
	}
	var said limited
	cmd := exec.CommandContext(ctx, path, "-v", "error", "-print_format", "json", "-show_format", "-show_streams", "-count_packets",
		"-read_intervals", "%+"+strconv.FormatFloat(first.Seconds(), 'f', -1, 64), address)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || len(said) > 0 {
		return Media{}, fmt.Errorf("player: ffprobe %s: %v: %s", address, err, tail(said))
	}
	var found struct {
		Streams []Track
		Format  struct {
			Duration float64 `json:"duration,string"`
		}
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return Media{}, fmt.Errorf("player: ffprobe %s: %w", address, err)
	}
	return Media{Duration: time.Duration(found.Format.Duration * float64(time.Second)), Tracks: found.Streams}, nil
}

// limited keeps the first 64 KiB of what a program says.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	*l = append(*l, p[:min(len(p), 64<<10-len(*l))]...)
	return len(p), nil
}
