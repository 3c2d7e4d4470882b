// Package h3 evens out where the server for HTTP/3 does other things with a
// request and its response than net/http's.
package h3

import (
	"io"
	"net/http"
)

// HoldToLength has the body of r fail with io.ErrUnexpectedEOF if it ends before
// all has come that the head has announced (RFC 9114 §4.1.2: such a request is
// malformed). The server takes the end of a stream for the end of the content.
func HoldToLength(r *http.Request) {
	if r.ProtoMajor == 3 && r.ContentLength > 0 && r.Body != nil {
		r.Body = &body{r.Body, r.ContentLength}
	}
}

type body struct {
	io.ReadCloser
	left int64 // Reads come one after the other
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left > 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// LeaveLengthOut is called with the fields of a response to r just before its
// head is written. The server says of what has no content, for that is so with
// HEAD, 204 and 304, that its length is 0, which speaks of what a GET would have
// (RFC 9110 §8.6). A length that is there already stays.
func LeaveLengthOut(h http.Header, r *http.Request, status int) {
	if r.ProtoMajor != 3 || r.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified {
		return
	}
	if _, said := h["Content-Length"]; !said {
		h["Content-Length"] = nil
	}
}

// Writer returns a w that calls LeaveLengthOut by itself.
func Writer(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if r.ProtoMajor != 3 {
		return w
	}
	return &writer{w, r}
}

type writer struct {
	http.ResponseWriter
	r *http.Request
}

func (w *writer) WriteHeader(status int) {
	LeaveLengthOut(w.Header(), w.r, status)
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
