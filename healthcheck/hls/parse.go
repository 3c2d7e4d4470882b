package hls

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// parse reads a playlist of either kind. The library has been seen to panic on
// tags in an order that makes no sense, so what it does is contained.
func parse(body []byte) (p m3u8.Playlist, err error) {
	defer func() {
		if recover() != nil {
			p, err = nil, errors.New("it is no HLS playlist: its tags make no sense together")
		}
	}()
	if !bytes.HasPrefix(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), []byte("#EXTM3U")) {
		return nil, errors.New("it is no HLS playlist: it does not begin with #EXTM3U")
	}
	p, _, err = m3u8.DecodeFrom(bytes.NewReader(body), false)
	if err != nil {
		return nil, fmt.Errorf("it is no HLS playlist: %w", err)
	}
	return p, nil
}

// tracksOf lists what a multivariant playlist leads to; each once.
func tracksOf(master *m3u8.MasterPlaylist, at *url.URL) ([]Track, []string, error) {
	var tracks []Track
	var targets []string
	seen := make(map[string]bool)
	add := func(uri string, t Track) error {
		if uri == "" || seen[uri] {
			return nil // a rendition without a URI is inside the variants
		}
		seen[uri] = true
		if len(tracks) == maxTracks {
			return fmt.Errorf("it has more than %d variants and renditions", maxTracks)
		}
		target, path, err := resolve(at, uri)
		if err != nil {
			return err
		}
		t.URI, t.Away = path, target == ""
		tracks, targets = append(tracks, t), append(targets, target)
		return nil
	}
	for _, v := range master.Variants {
		if v == nil || v.Iframe {
			continue // for seeking in pictures; no player needs them to play
		}
		if v.URI == "" {
			return nil, nil, errors.New("a variant has no URI")
		}
		if err := add(v.URI, Track{Kind: "variant", Resolution: v.Resolution, Codecs: v.Codecs}); err != nil {
			return nil, nil, err
		}
	}
	for _, v := range master.Variants {
		if v == nil {
			continue
		}
		for _, a := range v.Alternatives {
			if err := add(a.URI, Track{Kind: strings.ToLower(a.Type)}); err != nil {
				return nil, nil, err
			}
		}
	}
	if len(tracks) == 0 {
		return nil, nil, errors.New("it has no variant")
	}
	return tracks, targets, nil
}

// playlistOf takes from a media playlist what is judged.
func playlistOf(media *m3u8.MediaPlaylist, body []byte, at *url.URL) (Playlist, error) {
	p := Playlist{Target: targetIn(body), Sequence: media.SeqNo, Ended: media.Closed}
	n := int(media.Count())
	switch {
	case p.Target <= 0:
		return p, errors.New("it has no EXT-X-TARGETDURATION")
	case p.Target > maxTarget:
		return p, fmt.Errorf("its target duration of %s is longer than %s", p.Target, maxTarget)
	case p.Sequence > maxSequence:
		return p, errors.New("its media sequence is out of range")
	case n > maxSegments:
		return p, fmt.Errorf("it has more than %d segments", maxSegments)
	}
	var date time.Time
	sealed := false
	for _, s := range media.Segments[:min(n, len(media.Segments))] {
		if s == nil {
			return p, errors.New("it is no HLS playlist: a segment is missing")
		}
		length := time.Duration(s.Duration * float64(time.Second))
		if math.IsNaN(s.Duration) || length < 0 || length > time.Hour {
			return p, fmt.Errorf("EXTINF:%v is no duration", s.Duration)
		}
		if !s.ProgramDateTime.IsZero() {
			date = s.ProgramDateTime
		}
		for _, k := range s.Keys {
			sealed = k.Method == "AES-128"
		}
		target, path, err := resolve(at, s.URI)
		if err != nil {
			return p, err
		}
		p.Segments = append(p.Segments, Segment{
			URI: path, Duration: length, Date: date, target: target, offset: s.Offset, limit: s.Limit, sealed: sealed,
		})
		if !date.IsZero() {
			date = date.Add(length)
		}
	}
	return p, nil
}

// targetIn reads the tag itself: the library raises what it says to the longest
// segment.
func targetIn(body []byte) time.Duration {
	for line := range bytes.Lines(body) {
		text, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("#EXT-X-TARGETDURATION:"))
		if !ok {
			continue
		}
		var seconds uint16
		if _, err := fmt.Sscanf(string(text), "%d", &seconds); err != nil {
			return 0
		}
		return time.Duration(seconds) * time.Second
	}
	return 0
}

// resolve returns what to ask the upstream for, which is nothing if a URI leads
// to another server, and the path that it is known by.
func resolve(at *url.URL, uri string) (target, path string, err error) {
	u, err := at.Parse(uri)
	if err != nil {
		return "", "", errors.New("a URI in it is none")
	}
	if u.Host != at.Host || u.Scheme != at.Scheme || u.User != nil {
		return "", u.Scheme + "://" + u.Host + u.Path, nil
	}
	return u.RequestURI(), u.Path, nil
}
