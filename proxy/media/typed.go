package media

import (
	"context"
	"mime"
	"net/http"
	"strings"

	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/mediaedge/origin"
)

// typed is an object whose type is known from its name. Servers go by tables of
// their system, in which a segment (.ts) may be a file of translations, and
// buckets by what the uploader said, if anything.
type typed struct {
	origin.Object
	media mediaedge.Type
	held  bool // the origin may hold its answer back
}

// Fetch implements cache.Fetcher.
func (o typed) Fetch(ctx context.Context, method string, h http.Header) (*http.Response, error) {
	res, err := o.Object.Fetch(ctx, method, h)
	if err == nil {
		o.settle(res)
	}
	return res, err
}

// settle says what the object is, where the origin says what it cannot be.
func (o typed) settle(res *http.Response) {
	whole := res.StatusCode == http.StatusOK || res.StatusCode == http.StatusPartialContent
	if whole && o.media.ContentType != "" && !plausible(o.media.Kind, res.Header.Get("Content-Type")) {
		res.Header.Set("Content-Type", o.media.ContentType)
	}
}

// plausible reports whether media of the kind may be of the type. Several
// ranges are parts of any.
func plausible(kind mediaedge.Kind, contentType string) bool {
	value, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	main, sub, _ := strings.Cut(value, "/")
	switch {
	case main == "multipart":
		return true
	case sub == "octet-stream":
		return false
	}
	switch kind {
	case mediaedge.Playlist:
		return strings.HasSuffix(sub, "mpegurl") || sub == "dash+xml"
	case mediaedge.Segment, mediaedge.Progressive:
		return main == "video" || main == "audio" || sub == "mp4" || sub == "ogg"
	case mediaedge.Image:
		return main == "image"
	case mediaedge.Subtitle:
		return sub == "vtt" || sub == "x-subrip" || sub == "ttml+xml"
	}
	return true
}
