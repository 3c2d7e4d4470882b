package resume

import (
	"net/http"
	"strings"
)

// MinLength is the shortest body, in bytes, that is worth a resume. A shorter
// one is mostly in flight as a whole before an upstream can die of it, and cheap
// for its client to ask for again.
const MinLength = 64 << 10

// Rules are what an operator may choose. The zero value is the strictest.
type Rules struct {
	// LastModified has a response without any ETag be continued by its
	// Last-Modified, if that is at least a minute older than its Date.
	// It says less than a strong ETag: a file that is written in place, or
	// copied with its times, may change under it. Default: false.
	LastModified bool
}

// Plan is what a body was announced as, and how to ask for the rest of it. The
// zero value is not usable; Start makes one.
type Plan struct {
	span     ContentRange // what the first response sends
	etag     string       // with its quotes; empty: modified is the validator
	modified string       // Last-Modified, as it was sent
}

// Start decides whether the body of res may go on from another upstream. req is
// the request as res answers it. The reason is empty if it may, else the Plan
// is of no use.
func Start(req *http.Request, res *http.Response, rules Rules) (Plan, Reason) {
	if reason := startRequest(req); reason != "" {
		return Plan{}, reason
	}
	p := Plan{}
	var reason Reason
	if p.span, reason = startSpan(req, res); reason != "" {
		return Plan{}, reason
	}
	if reason = wholeInBytes(res); reason != "" {
		return Plan{}, reason
	}
	p.etag, reason = StrongETag(res.Header)
	if reason == ReasonETagMissing && rules.LastModified {
		var ok bool
		if p.modified, ok = strongLastModified(res.Header); !ok {
			return Plan{}, ReasonLastModified
		}
		reason = ""
	}
	switch {
	case reason != "":
		return Plan{}, reason
	case res.ContentLength < MinLength:
		return Plan{}, ReasonSmall
	}
	return p, ""
}

func startRequest(req *http.Request) Reason {
	switch {
	case req.Method != http.MethodGet && req.Method != "":
		return ReasonMethod
	case req.ContentLength != 0 || req.Body != nil && req.Body != http.NoBody:
		return ReasonRequestBody
	}
	return ""
}

// startSpan finds which bytes res announces.
func startSpan(req *http.Request, res *http.Response) (ContentRange, Reason) {
	switch {
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPartialContent:
		return ContentRange{}, ReasonStatus
	case len(res.TransferEncoding) > 0 || len(res.Header["Transfer-Encoding"]) > 0:
		return ContentRange{}, ReasonTransferEncoding
	case res.ContentLength < 0 || !lengthIs(res, res.ContentLength):
		return ContentRange{}, ReasonLength
	case multipart(res.Header):
		return ContentRange{}, ReasonMultipart
	}
	if res.StatusCode == http.StatusOK {
		unit, ok := single(res.Header, "Accept-Ranges")
		switch {
		case !ok || !equalASCII(unit, "bytes"):
			return ContentRange{}, ReasonAcceptRanges
		case len(res.Header["Content-Range"]) > 0:
			return ContentRange{}, ReasonContentRange
		}
		return ContentRange{First: 0, Last: res.ContentLength - 1, Total: res.ContentLength}, ""
	}
	value, _ := single(res.Header, "Content-Range")
	span, ok := parseContentRange(value)
	switch {
	case !ok || span.First == unknown || span.Total == unknown:
		return ContentRange{}, ReasonContentRange
	case span.Last-span.First+1 != res.ContentLength:
		return ContentRange{}, ReasonLength
	case !span.asked(req.Header):
		return ContentRange{}, ReasonRange
	}
	return span, ""
}

// wholeInBytes reports what would make the bytes of res something else than
// those of the representation, or not all there is to its content.
func wholeInBytes(res *http.Response) Reason {
	if vv := res.Header["Content-Encoding"]; res.Uncompressed || len(vv) > 1 || len(vv) == 1 && !equalASCII(vv[0], "identity") {
		return ReasonContentEncoding
	}
	if len(res.Trailer) > 0 || len(res.Header["Trailer"]) > 0 {
		return ReasonTrailers
	}
	return ""
}

// lengthIs reports whether neither the field nor the transport says that the
// length is another than n.
func lengthIs(res *http.Response, n int64) bool {
	if res.ContentLength >= 0 && res.ContentLength != n {
		return false
	}
	vv, there := res.Header["Content-Length"]
	if !there {
		return true
	}
	if len(vv) != 1 {
		return false
	}
	length, ok := parseDigits(vv[0])
	return ok && length == n
}

// multipart reports a body of several ranges, each with a head of its own.
func multipart(h http.Header) bool {
	for _, v := range h["Content-Type"] {
		mediaType, _, _ := strings.Cut(v, ";")
		if equalASCII(strings.Trim(mediaType, " \t"), "multipart/byteranges") {
			return true
		}
	}
	return false
}
