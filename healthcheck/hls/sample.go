package hls

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/greenroom-proxy/greenroom/internal/ask"
)

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
		if f := l.probe(ctx, address, s, func(b []byte) bool { return looksLike(t.Kind, b) }); f.What != "" {
			f.What = fmt.Sprintf("its %s segment %s %s", name, s.URI, f.What)
			t.Samples = append(t.Samples, f)
		}
	}
}

// maxInits is how many initialization segments of a track are fetched: where
// others are spliced in, a window can name many.
const maxInits = 4

// place is where something is on an upstream.
type place struct {
	target        string
	offset, limit int64
}

// sampleInits fetches the beginnings of the initialization segments of a track,
// those that players need first: of its last segments. Each is fetched once a
// look; known are those that were.
func (l *Looker) sampleInits(ctx context.Context, address string, t *Track, known map[place]Finding) {
	told := make(map[place]bool)
	for _, s := range slices.Backward(t.Segments) {
		if s.init == nil || s.init.target == "" {
			continue
		}
		at := place{s.init.target, s.init.offset, s.init.limit}
		if told[at] {
			continue
		}
		if len(told) == maxInits {
			return
		}
		told[at] = true
		f, ok := known[at]
		if !ok {
			f = l.probe(ctx, address, *s.init, isInit)
			known[at] = f
		}
		if f.Fail { // that it came whole is how players ask for it
			f.What = fmt.Sprintf("its initialization segment %s %s: players cannot begin, let the packager serve what EXT-X-MAP names", s.init.URI, f.What)
			t.Samples = append(t.Samples, f)
		}
	}
}

// probe fetches the beginning of a segment, which must look as it should.
func (l *Looker) probe(ctx context.Context, address string, s Segment, looks func([]byte) bool) Finding {
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
	case !s.sealed && !looks(a.Body):
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

// isInit tells the beginning of an initialization segment: of MP4, or the tables
// of a transport stream.
func isInit(b []byte) bool {
	if len(b) >= 8 {
		switch string(b[4:8]) {
		case "ftyp", "moov", "styp", "free", "skip":
			return true
		}
	}
	return isTS(b)
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
