package mediaedge

import (
	"strings"
	"testing"
)

func TestMediaIsKnownByItsTypeAndElseByItsExtension(t *testing.T) {
	none := Kind(255)
	for _, c := range []struct {
		contentType, path string
		want              Kind
	}{
		// The type decides.
		{"application/vnd.apple.mpegurl", "/play", Playlist}, {"Application/X-mpegURL; charset=utf-8", "/a.mp4", Playlist}, {"audio/mpegurl", "/", Playlist},
		{"application/dash+xml", "/a.mpd", Playlist}, {"video/vnd.mpeg.dash.mpd", "/a", Playlist},
		{"video/mp2t", "/a", Segment}, {"video/MP2T", "/a.ts", Segment}, {"video/iso.segment", "/a", Segment}, {"video/mp2t", "/a.m2ts", Progressive},
		{"video/mp4", "/a", Progressive}, {"video/mp4", "/a.mp4", Progressive}, {"video/mp4", "/a.m4s", Segment}, {"audio/mp4", "/a.cmfa", Segment},
		{"application/mp4", "/a.cmft", Segment}, {"application/mp4", "/a", Progressive}, {"application/ogg", "/a", Progressive},
		{"video/x-unheard-of", "/a.html", Progressive}, {"audio/mpeg ; a=b", "/a.png", Progressive}, {"video/mp4", "", Progressive},
		{"text/vtt", "/a", Subtitle}, {"application/ttml+xml", "/a", Subtitle},
		{"image/png", "/a.mp4", Image}, {"image/svg+xml", "/a", Image},
		{"application/json", "/a.mp4", none}, {"text/html; charset=utf-8", "/a.m3u8", none}, {"text/event-stream", "/a.ts", none}, {"application/grpc", "/a.ts", none},
		{"text/plain", "/a.srt", none}, {"video", "/a", Progressive}, {"videos/mp4", "/a.mp4", none}, {"application/vnd.apple.mpegurl, text/html", "/a", none},
		{"video/" + strings.Repeat("x", 60), "/a.mp4", none},

		// It says nothing.
		{"", "/a.m3u8", Playlist}, {"", "/live/0001.TS", Segment}, {"application/octet-stream", "/a.mp4", Progressive}, {"binary/octet-stream", "/a.m4s", Segment},
		{"multipart/byteranges; boundary=x", "/a.mp4", Progressive}, {" ", "/a.vtt", Subtitle}, {"", "/a.png", Image},
		{"", "/a", none}, {"application/octet-stream", "/a.zip", none}, {"", "/a.mp4/b", none}, {"", "/.mp4", none}, {"", "", none},
	} {
		got, media := KindOf(c.contentType, c.path)
		if !media {
			got = none
		}
		if got != c.want {
			t.Errorf("%q at %q: %v, want %v", c.contentType, c.path, got, c.want)
		}
	}
}

func TestEachTypeOfASetIsMediaOfItsKindByBoth(t *testing.T) {
	for _, s := range Sets() {
		for _, want := range s.Types() {
			path := "/a." + want.Extension
			if got, known := TypeOf(path); !known || got != want {
				t.Errorf("%s: %+v, want %+v", path, got, want)
			}
			for _, contentType := range []string{"", want.ContentType} {
				if got, media := KindOf(contentType, path); !media || got != want.Kind {
					t.Errorf("%q at %s: %v, want %v", contentType, path, got, want.Kind)
				}
			}
		}
	}
}

func TestMediaIsRecognizedWithoutAllocating(t *testing.T) {
	for _, contentType := range []string{"video/mp4", "application/vnd.apple.mpegurl; charset=utf-8", "", "application/json", "application/octet-stream"} {
		if n := testing.AllocsPerRun(100, func() { KindOf(contentType, "/vod/42/seg-0001.m4s") }); n > 0 {
			t.Errorf("%q: %v allocations", contentType, n)
		}
	}
}
