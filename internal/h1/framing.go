package h1

import (
	"net/http"
)

// bodyKind is how the end of a body is known (RFC 9112 §6.3).
type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyUntilClose
)

// frame is what a head says of what follows it.
type frame struct {
	kind   bodyKind
	length int64 // of bodyLength
	keep   bool  // the connection may serve again
}

// frameOf decides by a checked head; h has names in canonical form. A
// Content-Length that is repeated is made one.
func frameOf(head bool, status, minor int, h http.Header) (frame, string) {
	coding, lengths := h["Transfer-Encoding"], h["Content-Length"]
	length := int64(-1)
	if len(lengths) > 0 {
		n, ok := parseLength(lengths[0])
		if !ok {
			return frame{}, "a bad Content-Length"
		}
		for _, other := range lengths[1:] {
			if other != lengths[0] {
				return frame{}, "several Content-Lengths"
			}
		}
		length = n
		if len(lengths) > 1 {
			h["Content-Length"] = lengths[:1:1]
		}
	}
	if len(coding) > 0 {
		switch {
		case minor == 0:
			return frame{}, "a Transfer-Encoding in HTTP/1.0"
		case len(lengths) > 0:
			return frame{}, "both Transfer-Encoding and Content-Length"
		case len(coding) > 1 || !same(coding[0], "chunked"):
			return frame{}, "a Transfer-Encoding that is not chunked alone"
		}
	}
	f := frame{keep: minor == 1 && !lists(h["Connection"], "close")}
	switch {
	case status < 200:
		// A content that may not be would be read as the next head (RFC 9110 §8.6).
		if len(coding) > 0 || length > 0 {
			return frame{}, "an interim response with content"
		}
	case status == http.StatusNoContent:
		f.keep = f.keep && len(coding) == 0 && length <= 0
		delete(h, "Content-Length") // which may not go on (RFC 9110 §8.6)
	case head || status == http.StatusNotModified:
	case len(coding) > 0:
		f.kind = bodyChunked
	case length > 0:
		f.kind, f.length = bodyLength, length
	case length < 0:
		f.kind, f.keep = bodyUntilClose, false
	}
	return f, ""
}
