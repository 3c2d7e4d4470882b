package hls

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"github.com/greenroom-proxy/greenroom/internal/ask"
)

// Upstreams sends one GET to an upstream; *ask.Upstreams is one.
type Upstreams interface {
	Get(ctx context.Context, address, target string, header http.Header, limit int64) (ask.Answer, error)
}

// Looker looks at one stream.
type Looker struct {
	// Path of the stream: of its multivariant playlist, or of its only media
	// playlist. It may have a query.
	Path string
	// Upstreams are asked through it.
	Upstreams Upstreams
}

// Look fetches the playlists of the stream from the upstream at address, one
// after the other, and with samples the beginning of each track's first and last
// segment. now is when it begins. What leads to another server is not fetched.
func (l *Looker) Look(ctx context.Context, address string, now time.Time, samples bool) Look {
	look := Look{At: now}
	at, err := url.ParseRequestURI(l.Path)
	if err != nil {
		look.Err = "its path is none"
		return look
	}
	at.Scheme, at.Host = "upstream", "upstream" // so that another server is told from this one
	tracks, targets, err := l.begin(ctx, address, at)
	if err != nil {
		look.Err, look.Missing = fmt.Sprintf("%s: %s", at.Path, err), errors.Is(err, errMissing)
		return look
	}
	for i := range tracks {
		t := &tracks[i]
		if targets[i] != "" {
			if err := l.follow(ctx, address, at, targets[i], t); err != nil {
				t.Err = err.Error()
			}
		}
		if samples && t.Err == "" && !t.Away {
			l.sample(ctx, address, t)
		}
	}
	look.Tracks = tracks
	return look
}

// begin reads the first playlist. Tracks without a target are read already.
func (l *Looker) begin(ctx context.Context, address string, at *url.URL) ([]Track, []string, error) {
	first, body, err := l.playlist(ctx, address, at.RequestURI())
	if err != nil {
		return nil, nil, err
	}
	switch p := first.(type) {
	case *m3u8.MasterPlaylist:
		return tracksOf(p, at)
	case *m3u8.MediaPlaylist:
		media, err := playlistOf(p, body, at)
		return []Track{{URI: at.Path, Kind: "variant", Playlist: media}}, []string{""}, err
	}
	return nil, nil, errors.New("it is no HLS playlist")
}

// follow reads the playlist of a track.
func (l *Looker) follow(ctx context.Context, address string, base *url.URL, target string, t *Track) error {
	p, body, err := l.playlist(ctx, address, target)
	if err != nil {
		return err
	}
	media, ok := p.(*m3u8.MediaPlaylist)
	if !ok {
		return errors.New("it is a multivariant playlist where a media playlist should be")
	}
	at, err := base.Parse(target)
	if err != nil {
		return err
	}
	t.Playlist, err = playlistOf(media, body, at)
	return err
}

var errMissing = errors.New("answered 404")

func (l *Looker) playlist(ctx context.Context, address, target string) (m3u8.Playlist, []byte, error) {
	a, err := l.Upstreams.Get(ctx, address, target, nil, maxPlaylist)
	switch {
	case err != nil:
		return nil, nil, errors.New(ask.Line(err.Error()))
	case a.Status == http.StatusNotFound:
		return nil, nil, errMissing
	case a.Status != http.StatusOK:
		return nil, nil, fmt.Errorf("answered %d", a.Status)
	case a.Cut:
		return nil, nil, fmt.Errorf("it has more than %d bytes", maxPlaylist)
	}
	p, err := parse(a.Body)
	if err != nil {
		return nil, nil, errors.New(ask.Line(err.Error()))
	}
	return p, a.Body, nil
}

// sampled is how much of a segment is fetched.
const sampled = 1024

// sample fetches the beginning of the first and the last segment of a track.
func (l *Looker) sample(ctx context.Context, address string, t *Track) {
	if len(t.Segments) == 0 {
		return
	}
	places := []int{0, len(t.Segments) - 1}
	for i, name := range []string{"first", "last"} {
		s := t.Segments[places[i]]
		if s.target == "" || i == 1 && places[1] == 0 {
			continue
		}
		if f := l.probe(ctx, address, t.Kind, s); f.What != "" {
			f.What = fmt.Sprintf("its %s segment %s %s", name, s.URI, f.What)
			t.Samples = append(t.Samples, f)
		}
	}
}

func (l *Looker) probe(ctx context.Context, address, kind string, s Segment) Finding {
	last := s.offset + sampled - 1
	if s.limit > 0 {
		last = s.offset + min(s.limit, sampled) - 1
	}
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", s.offset, last)}}
	a, err := l.Upstreams.Get(ctx, address, s.target, header, sampled)
	switch {
	case err != nil:
		return Finding{Fail: true, What: "cannot be fetched: " + ask.Line(err.Error())}
	case a.Status != http.StatusPartialContent && a.Status != http.StatusOK:
		return Finding{Fail: true, What: fmt.Sprintf("cannot be fetched: answered %d", a.Status)}
	case a.Status == http.StatusOK && s.offset > 0:
		return Finding{Fail: true, What: "is a range of a file, and the upstream does not serve ranges"}
	case !s.sealed && !looksLike(kind, a.Body):
		return Finding{Fail: true, What: "is no media: it is neither MPEG-TS nor fragmented MP4"}
	case a.Status == http.StatusOK:
		return Finding{What: "was asked for by a range, and came whole"}
	}
	return Finding{}
}

// boxes are those that a segment of fragmented MP4 can begin with.
var boxes = map[string]bool{"ftyp": true, "styp": true, "moof": true, "sidx": true, "emsg": true, "prft": true}

// looksLike tells media by its first bytes.
func looksLike(kind string, b []byte) bool {
	if len(b) >= 8 && boxes[string(b[4:8])] || isTS(b) {
		return true
	}
	switch kind {
	case "audio": // packed audio, RFC 8216 §3.4
		return len(b) >= 3 && (string(b[:3]) == "ID3" || b[0] == 0xff && b[1]&0xf0 == 0xf0 || b[0] == 0x0b && b[1] == 0x77)
	case "subtitles":
		return len(b) >= 6 && string(b[:6]) == "WEBVTT" || len(b) >= 9 && string(b[3:9]) == "WEBVTT"
	}
	return false
}

// isTS wants the sync byte at the beginning of each packet.
func isTS(b []byte) bool {
	for i := 0; i < len(b); i += 188 {
		if b[i] != 0x47 {
			return false
		}
	}
	return len(b) >= 188
}

var _ Upstreams = (*ask.Upstreams)(nil)
