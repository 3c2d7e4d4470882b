package proxy

import (
	"io"
	"net/http"
	"time"
)

// How long a request waits to be told whether it has content. An end that comes
// with the head, or right behind it, is known at once.
const (
	foreseePatience = 200 * time.Millisecond
	foreseeHaste    = 25 * time.Millisecond // where it may be a stream that waits for an answer
)

// foresight finds out whether a request has content where its head does not say:
// over HTTP/3, and where HTTP/2 ends a stream by a frame of its own, one
// without any looks like one of unknown length, which HTTP/1.1 would send as
// chunks that many upstreams refuse in a GET.
type foresight struct {
	io.ReadCloser               // of the client
	first         [1]byte       // what was read ahead
	n             int           // of it; 0 once handed out. Valid after read
	err           error         // of that Read, until handed out. Valid after read
	read          chan struct{} // closed when it has returned
	interrupt     func() error  // ends it
}

// foresee replaces the body of r by none, if that is what comes, or by one that
// can be read as before. end is called when r is done with.
func foresee(w http.ResponseWriter, r *http.Request) (end func()) {
	if !doubtful(r) {
		return func() {}
	}
	f := &foresight{ReadCloser: r.Body, read: make(chan struct{})}
	f.interrupt = func() error { return http.NewResponseController(w).SetReadDeadline(longAgo) }
	go func() {
		defer close(f.read)
		f.n, f.err = f.ReadCloser.Read(f.first[:])
	}()
	patience := time.NewTimer(patienceFor(r.Method))
	defer patience.Stop()
	select {
	case <-f.read:
		if f.n == 0 && f.err == io.EOF {
			r.Body, r.ContentLength = http.NoBody, 0
			return func() {}
		}
	case <-patience.C:
	}
	r.Body = f
	return f.end
}

func patienceFor(method string) time.Duration {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete: // content means nothing there (RFC 9110 §9.3)
		return foreseePatience
	}
	return foreseeHaste
}

// doubtful reports whether r may, or may not, have content. What names a type of
// it has some; what waits for a 100 gets that when an upstream wants the content.
func doubtful(r *http.Request) bool {
	return r.ProtoMajor > 1 && r.ContentLength < 0 && r.Body != nil && r.Body != http.NoBody &&
		r.Method != http.MethodConnect && r.Trailer == nil && r.Header["Content-Type"] == nil && r.Header["Expect"] == nil
}

// Read has what was read ahead first.
func (f *foresight) Read(p []byte) (int, error) {
	<-f.read
	if f.n == 0 && f.err == nil || len(p) == 0 {
		return f.ReadCloser.Read(p)
	}
	n, err := copy(p, f.first[:f.n]), f.err
	f.n, f.err = 0, nil
	return n, err
}

// end sees to it that nobody reads the client's body any more.
func (f *foresight) end() {
	select {
	case <-f.read:
	default:
		if f.interrupt() == nil {
			<-f.read
		}
	}
}
