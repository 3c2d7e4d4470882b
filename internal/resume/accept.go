package resume

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
)

// Request turns h, the fields of a clone of the request, into those that ask
// for the bytes from at to the end of the plan. Sign afterwards.
func (p Plan) Request(h http.Header, at int64) {
	for k := range h {
		switch textproto.CanonicalMIMEHeaderKey(k) {
		case "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Accept-Encoding":
			delete(h, k) // in any spelling
		}
	}
	h["Range"] = []string{"bytes=" + strconv.FormatInt(at, 10) + "-" + strconv.FormatInt(p.span.Last, 10)}
	h["Accept-Encoding"] = []string{"identity"}
	if p.etag != "" {
		h["If-Match"] = []string{p.etag}
	} else {
		h["If-Unmodified-Since"] = []string{p.modified}
	}
}

// RefusalError is an answer that is not the continuation asked for.
type RefusalError struct {
	Reason   Reason
	Upstream string // the host that was asked, if the response tells
	At       int64  // the byte it was to begin with
	Got      string // what is the matter, with the field's name
	Want     string
}

func (e *RefusalError) Error() string {
	from := ""
	if e.Upstream != "" {
		from = "upstream " + e.Upstream + ": "
	}
	return fmt.Sprintf("%snot the continuation at byte %d: %s, want %s", from, e.At, e.Got, e.Want)
}

// Accept reports nil if res is exactly the bytes from at to the end of the
// plan, of the same version; else a *RefusalError. What it cannot see, that
// the body is as long as its head says, Transfer and Body watch.
func (p Plan) Accept(res *http.Response, at int64) error {
	e := p.refuse(res, at)
	if e == nil {
		return nil
	}
	e.At = at
	if res.Request != nil && res.Request.URL != nil {
		e.Upstream = res.Request.URL.Host
	}
	return e
}

func (p Plan) refuse(res *http.Response, at int64) *RefusalError {
	if res.StatusCode != http.StatusPartialContent {
		return &RefusalError{Reason: ReasonStatus, Got: "status " + strconv.Itoa(res.StatusCode), Want: "206"}
	}
	if multipart(res.Header) {
		return refusal(ReasonMultipart, res.Header, "Content-Type", "one range")
	}
	if e := p.refuseValidator(res.Header); e != nil {
		return e
	}
	want := ContentRange{First: at, Last: p.span.Last, Total: p.span.Total}
	value, _ := single(res.Header, "Content-Range")
	if got, ok := parseContentRange(value); !ok || got != want {
		return refusal(ReasonContentRange, res.Header, "Content-Range", want.String())
	}
	if length := p.span.Last - at + 1; !lengthIs(res, length) {
		return &RefusalError{Reason: ReasonLength, Want: strconv.FormatInt(length, 10) + " or none",
			Got: fmt.Sprintf("Content-Length is %d (%.80q)", res.ContentLength, res.Header.Get("Content-Length"))}
	}
	switch wholeInBytes(res) {
	case ReasonContentEncoding:
		return refusal(ReasonContentEncoding, res.Header, "Content-Encoding", "none")
	case ReasonTrailers:
		return refusal(ReasonTrailers, res.Header, "Trailer", "none")
	}
	if te := res.TransferEncoding; len(res.Header["Transfer-Encoding"]) > 0 || len(te) > 1 || len(te) == 1 && te[0] != "chunked" {
		return refusal(ReasonTransferEncoding, res.Header, "Transfer-Encoding", "chunked or none")
	}
	return nil
}

// refuseValidator compares strongly, as RFC 9110 §15.3.7.3 asks.
func (p Plan) refuseValidator(h http.Header) *RefusalError {
	etag, reason := StrongETag(h)
	if p.etag == "" {
		switch modified, ok := single(h, "Last-Modified"); {
		case reason != ReasonETagMissing:
			return refusal(ReasonETagChanged, h, "Etag", "none, as before")
		case !ok || modified != p.modified:
			return refusal(ReasonLastModified, h, "Last-Modified", p.modified)
		}
		return nil
	}
	if reason == "" && etag != p.etag {
		reason = ReasonETagChanged
	}
	if reason != "" {
		return refusal(reason, h, "Etag", fmt.Sprintf("%.80q", p.etag))
	}
	return nil
}

func refusal(reason Reason, h http.Header, key, want string) *RefusalError {
	got := key + " is missing"
	if vv := h[key]; len(vv) > 0 {
		got = fmt.Sprintf("%s is %.80q", key, vv[:min(len(vv), 3)])
	}
	return &RefusalError{Reason: reason, Got: got, Want: want}
}
