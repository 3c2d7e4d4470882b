package cache

import (
	"bytes"
	"strconv"
	"time"
)

// playlist is what the TTL of an HLS playlist goes by (RFC 8216 §4.3, and
// EXT-X-PART-INF of its second edition). The zero value is anything else, and
// one that has ended.
type playlist struct {
	live   bool
	target time.Duration // of a segment
	step   time.Duration // how often it changes: a part's target, or a segment's
}

// readPlaylist looks at a whole playlist. A multivariant one has no target
// duration, and is not live.
func readPlaylist(body []byte) playlist {
	if !bytes.HasPrefix(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), []byte("#EXTM3U")) {
		return playlist{}
	}
	var p playlist
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("#EXT-X-ENDLIST")) {
			return playlist{}
		}
		if v, ok := bytes.CutPrefix(line, []byte("#EXT-X-TARGETDURATION:")); ok && p.target == 0 {
			p.target = duration(v)
		}
		if v, ok := bytes.CutPrefix(line, []byte("#EXT-X-PART-INF:")); ok && p.step == 0 {
			if _, v, ok := bytes.Cut(v, []byte("PART-TARGET=")); ok {
				v, _, _ = bytes.Cut(v, []byte(","))
				p.step = duration(v)
			}
		}
	}
	p.live = p.target > 0
	if p.step == 0 || p.step > p.target {
		p.step = p.target
	}
	return p
}

// duration reads decimal seconds up to an hour; 0 if there are none.
func duration(v []byte) time.Duration {
	v = bytes.TrimSpace(v)
	if len(v) > 16 {
		return 0
	}
	s, err := strconv.ParseFloat(string(v), 64)
	if err != nil || !(s > 0 && s <= 3600) {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// limit shortens the terms for a live playlist: fresh for half of what it
// changes by, and stale for one segment at most, since a player that sees no
// news for longer gives up anyway.
func (p playlist) limit(t Terms) Terms {
	if p.live {
		t.TTL = min(t.TTL, p.step/2)
		t.StaleIfError = min(t.StaleIfError, p.target)
		t.StaleWhileRevalidate = min(t.StaleWhileRevalidate, p.target)
	}
	return t
}
