package hls

import "time"

// Limits of what is read of a stream: who serves it is not trusted with this
// process's memory.
const (
	maxPlaylist = 1 << 20 // bytes of a playlist
	maxTracks   = 50      // of a multivariant playlist; of more it cannot be said that they are well
	maxSegments = 10_000  // of a media playlist
	maxSequence = 1 << 53
	maxTarget   = time.Minute // more than that is no live stream
)

// Look is what one look at a stream at one upstream has found.
type Look struct {
	At time.Time
	// Err says why nothing could be seen; empty otherwise.
	Err string
	// Missing says that the upstream answered that it has no such stream (404).
	Missing bool
	// Tracks are the variants and the renditions that have a playlist of their
	// own, in the order of the multivariant playlist. A stream that begins with
	// a media playlist has one.
	Tracks []Track
}

// Track is one media playlist of a stream.
type Track struct {
	// URI is its path, resolved, without query: by it a track is known from look to
	// look, and in both colors. Tracks that share a path have what tells them
	// apart behind it: a parameter of their queries, or their place.
	URI string
	// Kind is "variant", or in lower case the type of a rendition, as "audio".
	Kind string
	// Resolution and Codecs as the multivariant playlist has them.
	Resolution, Codecs string
	// Err says why its playlist could not be read; empty otherwise.
	Err string
	// Away says that it is on another server, which is not asked.
	Away bool
	// Samples say what is wrong with its first and last segment, and with what its
	// segments begin with (EXT-X-MAP), if these were fetched.
	Samples []Finding
	Playlist
}

// Playlist is what matters here of a media playlist.
type Playlist struct {
	// Target is EXT-X-TARGETDURATION.
	Target time.Duration
	// Sequence is the number of the first segment.
	Sequence uint64
	Segments []Segment
	// Ended says that there is EXT-X-ENDLIST.
	Ended bool
}

// Segment is one segment.
type Segment struct {
	// URI is its path, resolved, without query.
	URI      string
	Duration time.Duration
	// Date is when it begins, by EXT-X-PROGRAM-DATE-TIME of this one or one
	// before; zero if there is none.
	Date time.Time

	since         int      // segments after the one that the date was told of
	init          *Segment // what players must have before it (EXT-X-MAP); nil: nothing
	target        string   // what to ask for; empty if it is on another server
	offset, limit int64    // EXT-X-BYTERANGE; limit 0: all of it
	sealed        bool     // encrypted as a whole: its first bytes say nothing
}

// Edge is the number of the last segment; without any, of the one before the
// first.
func (p *Playlist) Edge() int64 { return int64(p.Sequence) + int64(len(p.Segments)) - 1 }

// End is when the last segment ends, by its date; zero if it has none.
func (p *Playlist) End() time.Time {
	if len(p.Segments) == 0 {
		return time.Time{}
	}
	last := p.Segments[len(p.Segments)-1]
	if last.Date.IsZero() {
		return time.Time{}
	}
	return last.Date.Add(last.Duration)
}

// away says of a look that found no playlist on this server where the first of
// them is.
func (l *Look) away() (where string, all bool) {
	for i := range l.Tracks {
		if !l.Tracks[i].Away {
			return "", false
		}
	}
	if len(l.Tracks) == 0 {
		return "", false
	}
	return l.Tracks[0].URI, true
}

// Target is the longest target duration of a look's tracks.
func (l *Look) Target() (longest time.Duration) {
	for i := range l.Tracks {
		longest = max(longest, l.Tracks[i].Target)
	}
	return longest
}
