package media

import (
	"net/http"
	"testing"

	"github.com/greenroom-proxy/greenroom/mediaedge"
)

func TestAnOriginThatDoesNotKnowMediaIsCorrected(t *testing.T) {
	for _, c := range []struct {
		path   string
		status int
		says   string
		want   string
	}{
		{"/a.ts", 200, "text/vnd.trolltech.linguist; charset=utf-8", "video/mp2t"},
		{"/a.ts", 206, "", "video/mp2t"},
		{"/a.ts", 206, "multipart/byteranges; boundary=x", "multipart/byteranges; boundary=x"},
		{"/a.ts", 404, "text/html", "text/html"},
		{"/a.m3u8", 200, "application/octet-stream", "application/vnd.apple.mpegurl"},
		{"/a.m3u8", 200, "audio/x-mpegurl", "audio/x-mpegurl"},
		{"/a.mp4", 200, "binary/octet-stream", "video/mp4"},
		{"/a.mp4", 200, "audio/mp4", "audio/mp4"},
		{"/a.mpd", 200, "text/xml", "application/dash+xml"},
		{"/a.vtt", 200, "text/plain", "text/vtt"},
		{"/a.webp", 200, "not a type at all", "image/webp"},
		{"/a.html", 200, "application/octet-stream", "application/octet-stream"},
	} {
		media, _ := mediaedge.TypeOf(c.path)
		res := &http.Response{StatusCode: c.status, Header: http.Header{}}
		if c.says != "" {
			res.Header.Set("Content-Type", c.says)
		}
		typed{media: media}.settle(res)
		if got := res.Header.Get("Content-Type"); got != c.want {
			t.Errorf("%s, %d, %q: %q, want %q", c.path, c.status, c.says, got, c.want)
		}
	}
}
