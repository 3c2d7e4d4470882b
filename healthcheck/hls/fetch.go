package hls

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
	// Host is what Upstreams send as such: what a URL with this host leads to is
	// asked of the upstream, too. Default: as theirs, the upstream's address.
	Host string
	// Upstreams are asked through it.
	Upstreams Upstreams
}

// Look fetches the playlists of the stream from the upstream at address, one
// after the other, and with samples the beginning of each track's first and last
// segment, and what these begin with. now is when it begins. What leads to another
// server is not fetched.
func (l *Looker) Look(ctx context.Context, address string, now time.Time, samples bool) Look {
	look := Look{At: now}
	at, err := url.ParseRequestURI(l.Path)
	if err != nil {
		look.Err = "its path is none"
		return look
	}
	at.Scheme, at.Host = "http", l.host(address) // so that another server is told from this one
	tracks, targets, err := l.begin(ctx, address, at)
	if err != nil {
		look.Err, look.Missing = fmt.Sprintf("%s: %s", at.Path, err), errors.Is(err, errMissing)
		return look
	}
	known := make(map[place]Finding)
	for i := range tracks {
		t := &tracks[i]
		if targets[i] != "" {
			if err := l.follow(ctx, address, at, targets[i], t); err != nil {
				t.Err = err.Error()
			}
		}
		if samples && t.Err == "" && !t.Away {
			l.sample(ctx, address, t)
			l.sampleInits(ctx, address, t, known)
		}
	}
	look.Tracks = tracks
	return look
}

// host is what the upstream at address is asked for.
func (l *Looker) host(address string) string {
	switch {
	case l.Host != "":
		return l.Host
	case strings.HasPrefix(address, "unix/"):
		return "localhost"
	}
	return address
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
	at, err := url.ParseRequestURI(target) // not a reference, in which // would begin a host
	if err != nil {
		return err
	}
	at.Scheme, at.Host = base.Scheme, base.Host
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

var _ Upstreams = (*ask.Upstreams)(nil)
