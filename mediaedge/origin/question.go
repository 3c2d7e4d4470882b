package origin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

// Bounds of what is taken from a client.
const (
	maxRanges = 16
	maxRange  = 1 << 10 // bytes of a Range or If-Range field
	maxField  = 4 << 10 // bytes of any other
	maxQuery  = 8 << 10
)

// What each request says.
const (
	userAgent = "greenroom"
	via       = "1.1 greenroom"
)

// question is what is asked of all endpoints alike.
type question struct {
	method string
	path   string // canonical, decoded
	query  string
	fields http.Header // Range and conditions
	held   bool        // the answer may be held back
}

// ask makes the question for an object, of a client's request. Of its fields
// only Range and conditions are taken. What cannot be sent is left out if that
// only costs bytes, and refused otherwise.
func (o *Origin) ask(b Object, method string, h http.Header) (question, *Error) {
	q := question{method: method, path: b.path, held: b.held && o.s3 == nil, fields: make(http.Header, 4)}
	switch {
	case method != http.MethodGet && method != http.MethodHead:
		return q, o.refuse(http.StatusMethodNotAllowed, "only GET and HEAD are asked of it")
	case o.s3 != nil && (b.path == "" || strings.HasSuffix(b.path, "/")):
		return q, o.refuse(http.StatusNotFound, "a path that ends in a slash is no key, and a bucket is not listed")
	case o.s3 == nil:
		q.query = b.query
	}
	if len(q.query) > maxQuery || strings.ContainsFunc(q.query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return q, o.refuse(http.StatusBadRequest, fmt.Sprintf("a query of more than %d bytes, or with characters that must be encoded", maxQuery))
	}
	if v := strings.Join(h["If-Match"], ", "); !sendable(v, maxField) {
		return q, o.refuse(http.StatusBadRequest, "an If-Match that cannot be sent on, nor left out")
	} else if v != "" {
		q.fields["If-Match"] = []string{v}
	}
	if v := strings.Join(h["If-None-Match"], ", "); v != "" && sendable(v, maxField) {
		q.fields["If-None-Match"] = []string{v}
	}
	// A date that is there twice is none (RFC 9110 §13.1.3, §13.1.4).
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if vv := h[name]; len(vv) == 1 && sendable(vv[0], maxRange) {
			q.fields[name] = vv[:1:1]
		}
	}
	if method == http.MethodGet {
		q.takeRange(h)
	}
	return q, nil
}

// takeRange takes Range and If-Range, both or neither. RFC 9110 §14.2 lets
// anyone ignore a Range, and has it ignored if it is not valid.
func (q *question) takeRange(h http.Header) {
	ranges, ok := Range(h)
	if !ok {
		return
	}
	switch condition := h["If-Range"]; {
	case len(condition) == 1 && condition[0] != "" && sendable(condition[0], maxRange):
		q.fields["If-Range"] = condition[:1:1]
	case len(condition) > 0:
		return // nobody knows what the part is to fit
	}
	q.fields["Range"] = []string{ranges}
}

// Range returns the field Range as it is sent on, and reports whether it is: it
// is there once, in bytes, with at most 16 ranges, of which each is of at least
// one byte, none is backwards, and the field of at most 1 KiB.
func Range(h http.Header) (ranges string, ok bool) {
	vv := h["Range"]
	if len(vv) != 1 || !validRange(vv[0]) {
		return "", false
	}
	return "bytes" + vv[0][len("bytes"):], true
}

// whole is the question without a range.
func (q question) whole() question {
	q.fields = q.fields.Clone()
	q.fields.Del("Range")
	q.fields.Del("If-Range")
	return q
}

func sendable(v string, bound int) bool { return len(v) <= bound && plainValue(v) }

// plainValue reports whether v may be a field's value (RFC 9110 §5.5).
func plainValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// validRange reports whether s is a Range in bytes with at most maxRanges
// ranges, each "first-last", "first-" or "-length".
func validRange(s string) bool {
	unit, set, ok := strings.Cut(s, "=")
	if !ok || len(s) > maxRange || !strings.EqualFold(unit, "bytes") || len(unit) != len("bytes") {
		return false
	}
	n := 0
	for spec := range strings.SplitSeq(set, ",") {
		first, last, ok := strings.Cut(strings.Trim(spec, " \t"), "-")
		if n++; !ok || n > maxRanges || first == "" && last == "" || !number(first) || !number(last) {
			return false
		}
		if first != "" && last != "" && smaller(last, first) || first == "" && strings.Trim(last, "0") == "" {
			return false // nothing at all, which servers do not agree on how to answer
		}
	}
	return true
}

// number reports whether s is empty, or digits that fit an int64 for sure.
func number(s string) bool {
	return len(s) <= 18 && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

func smaller(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// url is where an object is. The error is of a path that is not canonical: what
// is sent is read once more, so that it is below the prefix to everyone.
func (p place) url(path, query string) (*url.URL, error) {
	u := &url.URL{Scheme: p.scheme, Host: p.host, Path: p.prefix + path, RawQuery: query}
	if p.bucket {
		u.RawPath, u.RawQuery = sign.EscapePath(u.Path), ""
	}
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%w: it does not begin with a slash", plainpath.ErrAmbiguous)
	}
	read, err := plainpath.Canonical(u.EscapedPath())
	if err != nil {
		return nil, err
	}
	if read != u.Path {
		return nil, fmt.Errorf("%w: what would be sent is read as another", plainpath.ErrAmbiguous)
	}
	return u, nil
}

// request makes a request to the endpoint, with a signature of now.
func (o *Origin) request(ctx context.Context, e *endpoint, q question) (*http.Request, *Error) {
	u, err := e.place.url(q.path, q.query)
	if err != nil {
		return nil, o.refuse(http.StatusBadRequest, err.Error())
	}
	r := (&http.Request{Method: q.method, URL: u, Host: u.Host, Header: make(http.Header, 12), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	r.Header["User-Agent"] = []string{userAgent}
	for name, values := range o.static {
		r.Header[name] = values
	}
	r.Header["Via"] = []string{via}
	if o.s3 != nil && o.s3.Signer != nil {
		if err := o.s3.Signer.SignRequest(ctx, r, o.now()); err != nil {
			return nil, &Error{Origin: o.name, Reason: printable(err.Error()), status: http.StatusBadGateway, final: true}
		}
	}
	r.Header["Accept-Encoding"] = []string{"identity"}
	for name, values := range q.fields {
		r.Header[name] = values
	}
	return r, nil
}

// refuse is the error of what is not asked of any endpoint.
func (o *Origin) refuse(status int, reason string) *Error {
	return &Error{Origin: o.name, Reason: printable(reason), status: status, final: true}
}
