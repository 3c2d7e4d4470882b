package player

import (
	"net/http"
	"path"
)

// contentTypes are those of the files of a stream.
var contentTypes = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl",
	".mpd":  "application/dash+xml",
	".ts":   "video/mp2t",
	".m4s":  "video/iso.segment",
	".mp4":  "video/mp4",
}

// ContentType is the media type of a stream's file of that name.
func ContentType(name string) string {
	if t := contentTypes[path.Ext(name)]; t != "" {
		return t
	}
	return "application/octet-stream"
}

// Files serves the streams below a directory as a plain file server does, to
// pages of any origin: what a control run plays.
func Files(dir string) http.Handler {
	files := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions { // CMCD in headers, and ranges, are asked for first
			h.Set("Access-Control-Allow-Headers", "Range, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Content-Type", ContentType(r.URL.Path))
		if isIndex(r.URL.Path) {
			h.Set("Cache-Control", "no-store") // its date has no more than seconds
		}
		files.ServeHTTP(w, r)
	})
}
