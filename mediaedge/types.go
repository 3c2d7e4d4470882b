package mediaedge

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what media is for the edge: how long it may be kept goes by it. The
// zero value is media that the edge knows nothing about.
type Kind uint8

// The kinds of media.
const (
	Other       Kind = iota // matched by its prefix only
	Playlist                // changes while a stream is live: HLS playlists, DASH manifests
	Segment                 // a piece of a stream, never changed once it is there
	Progressive             // a whole file of video or audio, asked for in ranges
	Image                   // posters, thumbnails, storyboards
	Subtitle                // text beside the stream
)

var kindNames = [...]string{"other", "playlist", "segment", "progressive", "image", "subtitle"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Type is what an extension tells of a file.
type Type struct {
	// Extension is what follows the last dot of the name, without the dot, in
	// lower case: letters, digits, "-" and "_". In a Match it is empty if the
	// file has no extension that the rule knows.
	Extension string

	// Kind is Other where nothing is known.
	Kind Kind

	// ContentType is the media type to send if the origin names none, or an
	// empty string.
	ContentType string
}

// Set is a named group of extensions.
type Set string

// The sets that a rule may name. Left out on purpose: svg and html, which run
// scripts on the CDN's origin, and key files of encrypted streams, which want
// a decision of the application for each viewer.
const (
	HLS       Set = "hls"       // RFC 8216: playlists; MPEG-TS, fragmented MP4 and packed-audio segments; WebVTT
	DASH      Set = "dash"      // ISO/IEC 23009-1: manifests, fragmented MP4 and WebM segments
	CMAF      Set = "cmaf"      // ISO/IEC 23000-19: fragments of video, audio, text and metadata
	Video     Set = "video"     // whole files of video
	Audio     Set = "audio"     // whole files of audio
	Images    Set = "images"    // raster images
	Subtitles Set = "subtitles" // text tracks
)

// Sets returns all sets, in the order in which they are documented.
func Sets() []Set { return []Set{HLS, DASH, CMAF, Video, Audio, Images, Subtitles} }

// extensions are those of each set. An extension has the same type in all its
// sets. Where a name may be either of two kinds it is of the one that is kept
// for the shorter time: mp4 and aac, which are whole files as well as
// segments, are progressive, and vtt is a subtitle.
var extensions = map[Set][]string{
	HLS:       {"m3u8", "m3u", "ts", "m4s", "mp4", "aac", "ac3", "ec3", "vtt", "webvtt"},
	DASH:      {"mpd", "m4s", "mp4", "m4v", "m4a", "webm"},
	CMAF:      {"cmfv", "cmfa", "cmft", "cmfm", "m4s", "mp4"},
	Video:     {"mp4", "m4v", "webm", "mov", "mkv", "ogv", "avi", "3gp", "m2ts"},
	Audio:     {"mp3", "m4a", "m4b", "aac", "ac3", "ec3", "ogg", "oga", "opus", "flac", "wav", "weba"},
	Images:    {"jpg", "jpeg", "png", "gif", "webp", "avif"},
	Subtitles: {"vtt", "webvtt", "srt", "ttml", "dfxp"},
}

// types is what is known of each extension. Content types are those that IANA
// has registered, or RFC 8216 asks for; wav and srt have none, and avi only
// one that nobody sends.
var types = index(
	Type{"m3u8", Playlist, "application/vnd.apple.mpegurl"},
	Type{"m3u", Playlist, "application/vnd.apple.mpegurl"},
	Type{"mpd", Playlist, "application/dash+xml"},

	Type{"ts", Segment, "video/mp2t"},
	Type{"m4s", Segment, "video/iso.segment"},
	Type{"cmfv", Segment, "video/mp4"},
	Type{"cmfa", Segment, "audio/mp4"},
	Type{"cmft", Segment, "application/mp4"},
	Type{"cmfm", Segment, "application/mp4"},

	Type{"mp4", Progressive, "video/mp4"},
	Type{"m4v", Progressive, "video/mp4"},
	Type{"webm", Progressive, "video/webm"},
	Type{"mov", Progressive, "video/quicktime"},
	Type{"mkv", Progressive, "video/matroska"},
	Type{"ogv", Progressive, "video/ogg"},
	Type{"avi", Progressive, "video/x-msvideo"},
	Type{"3gp", Progressive, "video/3gpp"},
	Type{"m2ts", Progressive, "video/mp2t"},

	Type{"mp3", Progressive, "audio/mpeg"},
	Type{"m4a", Progressive, "audio/mp4"},
	Type{"m4b", Progressive, "audio/mp4"},
	Type{"aac", Progressive, "audio/aac"},
	Type{"ac3", Progressive, "audio/ac3"},
	Type{"ec3", Progressive, "audio/eac3"},
	Type{"ogg", Progressive, "audio/ogg"},
	Type{"oga", Progressive, "audio/ogg"},
	Type{"opus", Progressive, "audio/ogg"},
	Type{"flac", Progressive, "audio/flac"},
	Type{"wav", Progressive, "audio/wav"},
	Type{"weba", Progressive, "audio/webm"},

	Type{"jpg", Image, "image/jpeg"},
	Type{"jpeg", Image, "image/jpeg"},
	Type{"png", Image, "image/png"},
	Type{"gif", Image, "image/gif"},
	Type{"webp", Image, "image/webp"},
	Type{"avif", Image, "image/avif"},

	Type{"vtt", Subtitle, "text/vtt"},
	Type{"webvtt", Subtitle, "text/vtt"},
	Type{"srt", Subtitle, "application/x-subrip"},
	Type{"ttml", Subtitle, "application/ttml+xml"},
	Type{"dfxp", Subtitle, "application/ttml+xml"},
)

func index(all ...Type) map[string]Type {
	m := make(map[string]Type, len(all))
	for _, t := range all {
		m[t.Extension] = t
	}
	return m
}

// Types returns what the set holds, sorted by extension; nothing for a set
// that is not one of Sets.
func (s Set) Types() []Type {
	found := make([]Type, 0, len(extensions[s]))
	for _, e := range extensions[s] {
		found = append(found, types[e])
	}
	slices.SortFunc(found, func(a, b Type) int { return strings.Compare(a.Extension, b.Extension) })
	return found
}

// extension returns what follows the last dot of the last segment, in lower
// case. A name that begins with its only dot has no extension. Only ASCII is
// lowered: a Kelvin sign is no k.
func extension(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 {
		return ""
	}
	ext := name[dot+1:]
	if !strings.ContainsFunc(ext, isUpper) {
		return ext
	}
	b := []byte(ext)
	for i, c := range b {
		if isUpper(rune(c)) {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

func isUpper(c rune) bool { return 'A' <= c && c <= 'Z' }
