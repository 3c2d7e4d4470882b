package mediaedge

import "strings"

// TypeOf returns what the extension of a path tells of it; false: no set has
// it.
func TypeOf(path string) (t Type, known bool) {
	t, known = types[extension(path)]
	return t, known
}

// KindOf returns the kind of media that a body with this Content-Type is, at
// this path; false: it is no media. The type decides whether it is. Where that
// says nothing, as application/octet-stream does or a field that is missing, the
// path's extension decides instead; it also tells segments from whole files,
// which share their types. An unknown path may be empty. It allocates nothing
// for what is written in lower case.
func KindOf(contentType, path string) (k Kind, media bool) {
	contentType, _, _ = strings.Cut(contentType, ";")
	contentType = strings.TrimSpace(contentType)
	if len(contentType) > longestType {
		return Other, false
	}
	contentType = strings.ToLower(contentType)
	if saysNothing[contentType] {
		t, known := TypeOf(path)
		return t.Kind, known
	}
	if k, known := kinds[contentType]; known && k != Segment && k != Progressive {
		return k, true
	}
	switch family, _, _ := strings.Cut(contentType, "/"); {
	case family == "image":
		return Image, true
	case family == "video" || family == "audio" || kinds[contentType] != Other:
		if t, _ := TypeOf(path); t.Kind == Segment || t.Kind == Progressive {
			return t.Kind, true
		}
		if kinds[contentType] == Segment {
			return Segment, true
		}
		return Progressive, true
	}
	return Other, false
}

// longestType bounds how much of a field is looked at.
const longestType = 64

// saysNothing are Content-Types of anything. Ranges of anything are of
// multipart/byteranges (RFC 9110 §14.6).
var saysNothing = map[string]bool{
	"": true, "application/octet-stream": true, "binary/octet-stream": true, "multipart/byteranges": true,
}

// kinds are Content-Types that tell more than the family does, or are in
// none: those that servers send, registered or not.
var kinds = map[string]Kind{
	"application/vnd.apple.mpegurl": Playlist, "application/x-mpegurl": Playlist, "application/mpegurl": Playlist,
	"audio/mpegurl": Playlist, "audio/x-mpegurl": Playlist,
	"application/dash+xml": Playlist, "video/vnd.mpeg.dash.mpd": Playlist,

	"video/mp2t": Segment, "video/iso.segment": Segment, "audio/iso.segment": Segment,
	"application/mp4": Progressive, "application/ogg": Progressive,

	"text/vtt": Subtitle, "application/ttml+xml": Subtitle, "application/x-subrip": Subtitle,
}
