package origin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

// retryable are the statuses by which an endpoint says that it cannot answer,
// rather than what the answer is.
func retryable(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// hasBody reports whether bytes may follow the head.
func hasBody(res *http.Response) bool {
	return res.Request.Method != http.MethodHead && res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified &&
		res.ContentLength != 0 && res.Body != http.NoBody
}

// unfit says why an answer means nothing to the client, whatever the health of
// its endpoint. Another one would give the same.
func unfit(q question, res *http.Response) string {
	has := func(name string) bool { return len(q.fields[name]) > 0 }
	switch status := res.StatusCode; {
	case status < 200 || status > 599:
		return fmt.Sprintf("status %d, which means nothing here", status)
	case status == http.StatusNotModified:
		if !has("If-None-Match") && !has("If-Modified-Since") {
			return "status 304 without a condition that asks for it"
		}
	case status >= 300 && status < 400:
		return fmt.Sprintf("status %d: a redirect is never followed: name the place it leads to as the endpoint (for a bucket, that of its region)", status)
	case status == http.StatusPartialContent && !has("Range"):
		return "status 206 without a Range that asks for it"
	case status == http.StatusPartialContent:
		if reason := unfitPart(q, res); reason != "" {
			return reason
		}
	}
	if hasBody(res) && res.ContentLength < 0 && len(res.TransferEncoding) == 0 {
		return "a body with neither Content-Length nor chunks, whose end cannot be told from a cut: have the origin send Content-Length"
	}
	return ""
}

// unfitPart compares what a 206 says of itself, and with what it was asked for.
func unfitPart(q question, res *http.Response) string {
	if media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";"); strings.EqualFold(strings.TrimSpace(media), "multipart/byteranges") {
		return ""
	}
	if len(res.Header["Content-Range"]) != 1 {
		return "status 206 without exactly one Content-Range"
	}
	part, err := resume.ParseContentRange(res.Header.Get("Content-Range"))
	switch {
	case err != nil || part.First < 0:
		return "status 206 with a Content-Range that cannot be read"
	case res.ContentLength >= 0 && res.ContentLength != part.Last-part.First+1:
		return "status 206 whose Content-Length is not that of its Content-Range"
	case !asked(q.fields.Get("Range"), part):
		return "status 206 with another part than it was asked for"
	}
	return ""
}

// asked reports whether a part is what a valid Range asks for, or its beginning:
// a server may send less (RFC 9110 §15.3.7), but clients do not look where what
// they get begins. Of several ranges it may be any.
func asked(field string, part resume.ContentRange) bool {
	_, set, _ := strings.Cut(field, "=")
	first, last, _ := strings.Cut(strings.Trim(set, " \t"), "-")
	n, _ := strconv.ParseInt(first, 10, 64)
	end, err := strconv.ParseInt(last, 10, 64)
	switch {
	case strings.Contains(set, ","):
		return true
	case first == "":
		return part.Total < 0 || part.First == max(part.Total-end, 0)
	}
	return part.First == n && (err != nil || part.Last <= end)
}

// otherVersion reports a part of another version than If-Range names, which is
// what servers send that do not know the field (MinIO is one). The client
// would join it to bytes that it does not fit.
func otherVersion(q question, res *http.Response) bool {
	want := q.fields.Get("If-Range")
	if want == "" || res.StatusCode != http.StatusPartialContent {
		return false
	}
	if strings.HasPrefix(want, `"`) {
		tag, _ := resume.StrongETag(res.Header)
		return tag != want
	}
	modified := res.Header["Last-Modified"] // W/ is never equal (RFC 9110 §13.1.5)
	return len(modified) != 1 || modified[0] != want
}

// maxErrorBody is how much is read of what a bucket says of an error.
const maxErrorBody = 8 << 10

// faults are codes of errors that are about the edge's own configuration, and
// not about the object that was asked for.
var faults = map[string]bool{
	"SignatureDoesNotMatch": true, "RequestTimeTooSkewed": true, "InvalidAccessKeyId": true, "AuthorizationHeaderMalformed": true,
	"ExpiredToken": true, "InvalidToken": true, "TokenRefreshRequired": true, "Unauthorized": true, "UnauthorizedAccess": true,
	"AccountProblem": true, "AllAccessDisabled": true, "NotSignedUp": true, "InvalidSecurity": true, "InvalidBucketName": true, "NoSuchBucket": true,
	"InvalidRegion": true, "XAmzContentSHA256Mismatch": true, "MissingSecurityHeader": true, "RequestExpired": true,
}

// explain finds out what a bucket means by an error, and takes from the answer
// all but its status. It returns the fault, if it is the edge's own.
func (a *attempt) explain(ctx context.Context, q question, res *http.Response) (fault string) {
	if a.o.s3 == nil || res.StatusCode < 400 {
		return ""
	}
	status := res.StatusCode
	code := readCode(res.Body)
	_ = res.Body.Close()
	res.Body, res.ContentLength, res.TransferEncoding = http.NoBody, 0, nil
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language"} {
		res.Header.Del(name)
	}
	if q.method == http.MethodHead && (status == http.StatusBadRequest || status == http.StatusForbidden) {
		code = a.code(ctx, q)
	}
	switch {
	case status > http.StatusNotFound:
		return ""
	case faults[code]:
		fault = "the bucket answers " + code
	case status == http.StatusUnauthorized:
		fault = "the bucket answers 401"
	case status == http.StatusForbidden && code == "AccessDenied":
		res.StatusCode = http.StatusNotFound
		a.o.totals.denied.Add(1)
		if a.o.told.allow(code, a.o.now()) {
			a.o.log.Warn("bucket answers AccessDenied, which is taken for 404: a key is missing and the edge may not list the bucket, or it may not read there", "origin", a.o.name, "endpoint", a.e.place.String())
		}
		return ""
	default:
		return ""
	}
	if a.o.told.allow(fault, a.o.now()) {
		a.o.log.Error("bucket refuses the edge: look at its keys, region, bucket and clock", "origin", a.o.name, "endpoint", a.e.place.String(), "reason", fault)
	}
	return fault
}

// code asks with GET for why a HEAD failed: its answer had no body to say so.
func (a *attempt) code(ctx context.Context, q question) string {
	q.method, q.fields = http.MethodGet, http.Header{"Range": {"bytes=0-0"}}
	r, refusal := a.o.request(ctx, a.e, q)
	if refusal != nil {
		return ""
	}
	res, err := roundTrip(a.e.transport, r)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	if res.StatusCode < 400 {
		return ""
	}
	return readCode(res.Body)
}

// readCode reads the code of an error of S3: the first <Code> in its XML. It
// reads on to the end of a short body, so that the connection is kept.
func readCode(body io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(body, maxErrorBody))
	_, rest, _ := bytes.Cut(text, []byte("<Code>"))
	code, _, found := bytes.Cut(rest, []byte("</Code>"))
	if !found {
		return ""
	}
	return string(code)
}

// kept are the fields of a response that go on; lists may have several.
var kept = map[string]struct{ list bool }{
	"Content-Type": {}, "Content-Range": {}, "Content-Disposition": {}, "Etag": {}, "Last-Modified": {}, "Expires": {}, "Date": {}, "Age": {}, "Retry-After": {},
	"Content-Encoding": {true}, "Content-Language": {true}, "Accept-Ranges": {true}, "Cache-Control": {true}, "Cdn-Cache-Control": {true}, "Cache-Status": {true},
}

// present makes what the caller gets of an answer. It has nothing of the
// request, which holds a signature, and a field that is there twice and may
// not be is not there at all.
func present(res *http.Response) *http.Response {
	out := &http.Response{
		Status: strconv.Itoa(res.StatusCode) + " " + http.StatusText(res.StatusCode), StatusCode: res.StatusCode,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, len(kept)), Body: res.Body, ContentLength: res.ContentLength, TransferEncoding: res.TransferEncoding,
	}
	for name, k := range kept {
		if vv := res.Header[name]; len(vv) == 1 || k.list && len(vv) > 1 {
			out.Header[name] = vv
		}
	}
	if slices.ContainsFunc(res.Header["Vary"], func(v string) bool { return strings.Contains(v, "*") }) {
		out.Header["Vary"] = []string{"*"} // all other members name what is the same in each question
	}
	if res.ContentLength >= 0 && res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified {
		out.Header["Content-Length"] = []string{strconv.FormatInt(res.ContentLength, 10)}
	}
	return out
}
