package hls

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
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
	p, _, err = m3u8.DecodeFrom(bytes.NewReader(unquoted(body)), false)
	if err != nil {
		return nil, fmt.Errorf("it is no HLS playlist: %w", err)
	}
	return p, nil
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
	sealed, since := false, 0
	first := media.Map // what the next segments begin with
	var begins *Segment
	for _, s := range media.Segments[:min(n, len(media.Segments))] {
		if s == nil {
			return p, errors.New("it is no HLS playlist: a segment is missing")
		}
		length := time.Duration(s.Duration * float64(time.Second))
		if math.IsNaN(s.Duration) || length < 0 || length > time.Hour {
			return p, fmt.Errorf("EXTINF:%v is no duration", s.Duration)
		}
		if !s.ProgramDateTime.IsZero() {
			date, since = s.ProgramDateTime, 0
		}
		for _, k := range s.Keys {
			sealed = k.Method == "AES-128"
		}
		if s.Map != nil {
			first = s.Map
		}
		if first != nil {
			var err error
			if begins, err = initOf(first, at, sealed); err != nil {
				return p, err
			}
			first = nil
		}
		target, path, _, err := resolve(at, s.URI)
		if err != nil {
			return p, err
		}
		p.Segments = append(p.Segments, Segment{
			URI: path, Duration: length, Date: date, since: since, init: begins, target: target, offset: p.offset(path, s), limit: s.Limit, sealed: sealed,
		})
		if !date.IsZero() {
			date = date.Add(length)
		}
		since++
	}
	return p, nil
}

// offset is where a segment begins in its file: without an offset of its own
// (RFC 8216 §4.3.2.2) it follows the one before.
func (p *Playlist) offset(path string, s *m3u8.MediaSegment) int64 {
	if n := len(p.Segments); n > 0 && s.Limit > 0 && s.Offset == 0 {
		if before := p.Segments[n-1]; before.URI == path && before.limit > 0 {
			return before.offset + before.limit
		}
	}
	return s.Offset
}

// initOf is what an EXT-X-MAP leads to. What is encrypted as a whole begins so, too.
func initOf(m *m3u8.Map, at *url.URL, sealed bool) (*Segment, error) {
	if m.URI == "" {
		return nil, errors.New("an EXT-X-MAP has no URI")
	}
	target, path, _, err := resolve(at, m.URI)
	return &Segment{URI: path, target: target, offset: m.Offset, limit: m.Limit, sealed: sealed}, err
}

// ranges are those of EXT-X-MAP as they should be: the library reads them without
// quotes, and with an offset, or not at all.
var ranges = regexp.MustCompile(`(?m)^(#EXT-X-MAP:.*BYTERANGE=)"([0-9]+)(@[0-9]+)?"`)

func unquoted(body []byte) []byte {
	return ranges.ReplaceAllFunc(body, func(tag []byte) []byte {
		part := ranges.FindSubmatch(tag)
		if len(part[3]) == 0 {
			part[3] = []byte("@0")
		}
		return slices.Concat(part[1:]...)
	})
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
