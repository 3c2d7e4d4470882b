package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/h3"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// relay passes on a final response.
func (a *attempt) relay(res *http.Response) error {
	defer res.Body.Close() // if a writer around ours panics
	a.enter(phaseRelaying)
	if a.x.Upload != nil {
		a.x.Upload.settle()
	}
	delete(res.Trailer, a.x.Own)
	announced := a.writeHead(res)
	kind := responseKind(a.x.streamKind(), res)
	a.x.Expects(res.ContentLength)
	a.x.Became(kind)
	a.x.Opened()
	stays := a.goOn(res)
	bye := farewellOf(res.Header, kind, func(cause error) { a.cancel(cause) })
	if bye != nil {
		a.x.OnEnd(bye.ask)
	}
	if !a.bodyComplete() {
		// A stream both ways: a client that only listens may be silent.
		defer liftReadTimeout(a.r.Context())()
	}
	readErr, writeErr := a.copyBody(res, kind, bye, a.x.Leak.response(a.r, res))
	// Before Close: over HTTP/2 that waits for the transport's reading of the
	// request's body to end, and a slow client would decide when.
	_, _ = a.takeBack(false)
	_ = res.Body.Close()
	if bye.over() && writeErr == nil {
		if err := a.sayGoodbye(kind, announced); err != nil {
			return a.aborted("writing to the client", err)
		}
		return nil
	}
	switch {
	case writeErr != nil:
		return a.aborted("writing to the client", writeErr)
	case readErr != nil:
		a.x.Broken = a.cause() == nil
		if kind == switcher.StreamDownload && stays != "" && a.x.Onward != nil && a.r.Context().Err() == nil {
			a.x.Onward.Observer.Cut(stays)
		}
		_ = a.rc.Flush() // what did come belongs to the client
		return a.aborted("reading the response", readErr)
	}
	a.writeTrailer(res.Trailer, announced)
	return nil
}

// writeTrailer has the server send what came behind the body.
func (a *attempt) writeTrailer(trailer http.Header, announced []string) {
	h := a.w.Header()
	delete(trailer, a.x.Own)
	for k, vv := range trailer {
		if !slices.Contains(announced, k) {
			k = http.TrailerPrefix + k
		}
		h[k] = vv
	}
}

// writeHead writes status and fields, and returns the trailers it announced.
func (a *attempt) writeHead(res *http.Response) (announced []string) {
	h := a.w.Header()
	a.copyResponseHeader(h, res.Header)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or the server guesses one
	}
	for k := range res.Trailer {
		announced = append(announced, k)
	}
	if announced != nil {
		h["Trailer"] = []string{strings.Join(announced, ", ")}
	}
	if a.r.ProtoMajor == 1 && !a.bodyComplete() {
		// An early answer: whether the rest of the body ever comes is open,
		// so this connection ends with the response (RFC 9112 §9.6). To
		// net/http it also means not to read that rest before it answers.
		// EnableFullDuplex would say only the latter, and makes net/http
		// panic when it meets the body's end after the handler.
		h["Connection"] = []string{"close"}
	}
	h3.LeaveLengthOut(h, a.r, res.StatusCode)
	a.x.relays(res.StatusCode)
	a.w.WriteHeader(res.StatusCode)
	return announced
}

// copyBody copies until the body ends, and tells the side that failed.
func (a *attempt) copyBody(res *http.Response, kind switcher.StreamKind, bye *farewell, media *leakCount) (readErr, writeErr error) {
	if res.Body == http.NoBody {
		return nil, nil
	}
	c := copying{attempt: a, body: res.Body, bye: bye, media: media, flushes: res.ContentLength < 0 || kind == switcher.StreamSSE}
	defer c.buffers.giveBack()
	if c.flushes {
		res.Header = nil // it may be long until the end, and all has been said
		if err := a.flush(); err != nil {
			return nil, err
		}
		c.patient, _ = res.Body.(interface{ await() bool })
	} else if bye == nil && res.ContentLength >= spliceLeast {
		c.moves = newSplicer(a.w, a.r)
	}
	if kind != switcher.StreamSSE {
		c.buffers.borrow() // or the first write of what is short would be split
	}
	for more := true; more && !bye.awaits(); {
		more, readErr, writeErr = c.next()
	}
	return readErr, writeErr
}

// copying is a body on its way to the client.
type copying struct {
	*attempt
	body    io.Reader
	bye     *farewell
	media   *leakCount
	flushes bool                      // each piece goes out at once
	patient interface{ await() bool } // body, where it can be waited for without a buffer; else nil
	moves   splicer
	buffers loan
	full    bool // the last Read filled its buffer
}

// next passes on what comes next, and reports whether there may be more.
func (c *copying) next() (more bool, readErr, writeErr error) {
	if err := c.splice(&c.moves, c.body, c.media); err != nil {
		return false, nil, err
	}
	buf := c.buffer()
	n, err := c.body.Read(buf)
	c.full = n == len(buf)
	if n > 0 {
		n = c.bye.passed(buf[:n])
		c.x.Sent(n)
		c.media.passed(n)
		if _, err := c.w.Write(buf[:n]); err != nil {
			return false, nil, err
		}
	}
	if err == io.EOF {
		c.bye.finish()
		if c.flushes && n == 0 {
			return false, nil, c.flush() // after a silence, the end has no time left to be written in
		}
		return false, nil, nil
	}
	if err != nil {
		return false, err, nil
	}
	if c.flushes && n > 0 {
		if err := c.flush(); err != nil {
			return false, nil, err
		}
		c.buffers.passed(n) // what is not flushed is no stream, and does not wait for long
	}
	return true, nil, nil
}

// buffer is for the next Read. A stream that is silent holds none, or a small one.
func (c *copying) buffer() []byte {
	if c.patient != nil && !c.full {
		c.buffers.giveBack()
		if c.patient.await() {
			c.buffers.borrow()
		}
	}
	return c.buffers.buffer()
}

// flush ignores only that a writer cannot flush at all.
func (a *attempt) flush() error {
	if err := a.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func isEventStream(h http.Header) bool {
	const eventStream = "text/event-stream"
	ct := h.Get("Content-Type")
	return len(ct) >= len(eventStream) && strings.EqualFold(ct[:len(eventStream)], eventStream)
}

// copyResponseHeader adds the end-to-end fields of src, but for our own, to
// those in dst. Only Server replaces: the server in front put its own name
// there, and the field names the origin (RFC 9110 §10.2.4).
func (a *attempt) copyResponseHeader(dst, src http.Header) {
	listed := connectionFields(src)
	for k, vv := range src {
		if hopByHop(k) || k == a.x.Own || slices.Contains(listed, k) {
			continue
		}
		if prior, ok := dst[k]; ok && k != "Server" {
			vv = append(slices.Clip(prior), vv...)
		}
		dst[k] = vv
	}
}
