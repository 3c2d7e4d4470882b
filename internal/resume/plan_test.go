package resume

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	size      = 100_000
	sizeText  = "100000"
	longSince = "Sat, 01 Nov 2025 10:00:00 GMT"
)

// exchange is a request and its response, eligible as they are.
func exchange() (*http.Request, *http.Response) {
	return &http.Request{Method: "GET", Header: http.Header{}}, &http.Response{
		StatusCode: 200, ContentLength: size,
		Header: http.Header{"Accept-Ranges": {"bytes"}, "Content-Length": {sizeText}, "Etag": {`"v1"`}, "Content-Type": {"video/mp4"}},
	}
}

// rangeExchange is the same of a part: bytes 1000 to 100,999 of 200,000.
func rangeExchange() (*http.Request, *http.Response) {
	req, res := exchange()
	req.Header.Set("Range", "bytes=1000-100999")
	res.StatusCode = 206
	res.Header.Set("Content-Range", "bytes 1000-100999/200000")
	return req, res
}

func TestWhichExchangesAreEligible(t *testing.T) {
	type req = *http.Request
	type res = *http.Response
	for name, tt := range map[string]struct {
		change func(req, res)
		want   Reason
	}{
		"as it is":                {func(req, res) {}, ""},
		"empty method is GET":     {func(q req, _ res) { q.Method = "" }, ""},
		"unit in capitals":        {func(_ req, s res) { s.Header.Set("Accept-Ranges", "Bytes") }, ""},
		"identity":                {func(_ req, s res) { s.Header.Set("Content-Encoding", "Identity") }, ""},
		"a Range was ignored":     {func(q req, _ res) { q.Header.Set("Range", "bytes=5-9") }, ""},
		"the shortest":            {func(_ req, s res) { s.ContentLength = MinLength; s.Header.Set("Content-Length", "65536") }, ""},
		"no field for the length": {func(_ req, s res) { s.Header.Del("Content-Length") }, ""},
		"no-transform":            {func(_ req, s res) { s.Header.Set("Cache-Control", "no-transform") }, ""},
		"no body by name":         {func(q req, _ res) { q.Body = http.NoBody }, ""},

		"HEAD":                     {func(q req, _ res) { q.Method = "HEAD" }, ReasonMethod},
		"POST":                     {func(q req, _ res) { q.Method = "POST" }, ReasonMethod},
		"get":                      {func(q req, _ res) { q.Method = "get" }, ReasonMethod},
		"content of known length":  {func(q req, _ res) { q.ContentLength = 1 }, ReasonRequestBody},
		"content of any length":    {func(q req, _ res) { q.Body = io.NopCloser(strings.NewReader("x")) }, ReasonRequestBody},
		"201":                      {func(_ req, s res) { s.StatusCode = 201 }, ReasonStatus},
		"203":                      {func(_ req, s res) { s.StatusCode = 203 }, ReasonStatus},
		"304":                      {func(_ req, s res) { s.StatusCode = 304 }, ReasonStatus},
		"404":                      {func(_ req, s res) { s.StatusCode = 404 }, ReasonStatus},
		"416":                      {func(_ req, s res) { s.StatusCode = 416 }, ReasonStatus},
		"no Accept-Ranges":         {func(_ req, s res) { s.Header.Del("Accept-Ranges") }, ReasonAcceptRanges},
		"none":                     {func(_ req, s res) { s.Header.Set("Accept-Ranges", "none") }, ReasonAcceptRanges},
		"a list":                   {func(_ req, s res) { s.Header.Set("Accept-Ranges", "bytes, none") }, ReasonAcceptRanges},
		"long s":                   {func(_ req, s res) { s.Header.Set("Accept-Ranges", "byteſ") }, ReasonAcceptRanges},
		"two Accept-Ranges":        {func(_ req, s res) { s.Header.Add("Accept-Ranges", "bytes") }, ReasonAcceptRanges},
		"Content-Range on a 200":   {func(_ req, s res) { s.Header.Set("Content-Range", "bytes 0-99999/100000") }, ReasonContentRange},
		"too short":                {func(_ req, s res) { s.ContentLength = MinLength - 1; s.Header.Set("Content-Length", "65535") }, ReasonSmall},
		"unknown length":           {func(_ req, s res) { s.ContentLength = -1; s.Header.Del("Content-Length") }, ReasonLength},
		"two lengths":              {func(_ req, s res) { s.ContentLength++ }, ReasonLength},
		"two length fields":        {func(_ req, s res) { s.Header.Add("Content-Length", sizeText) }, ReasonLength},
		"a length with a sign":     {func(_ req, s res) { s.Header.Set("Content-Length", "+"+sizeText) }, ReasonLength},
		"an empty length":          {func(_ req, s res) { s.Header.Set("Content-Length", "") }, ReasonLength},
		"chunked":                  {func(_ req, s res) { s.TransferEncoding = []string{"chunked"}; s.ContentLength = -1 }, ReasonTransferEncoding},
		"chunked, by field":        {func(_ req, s res) { s.Header.Set("Transfer-Encoding", "chunked") }, ReasonTransferEncoding},
		"gzip":                     {func(_ req, s res) { s.Header.Set("Content-Encoding", "gzip") }, ReasonContentEncoding},
		"an empty coding":          {func(_ req, s res) { s.Header.Set("Content-Encoding", "") }, ReasonContentEncoding},
		"two codings":              {func(_ req, s res) { s.Header["Content-Encoding"] = []string{"identity", "gzip"} }, ReasonContentEncoding},
		"a list of codings":        {func(_ req, s res) { s.Header.Set("Content-Encoding", "identity, br") }, ReasonContentEncoding},
		"undone gzip":              {func(_ req, s res) { s.Uncompressed = true }, ReasonContentEncoding},
		"trailers":                 {func(_ req, s res) { s.Trailer = http.Header{"X-Sum": nil} }, ReasonTrailers},
		"trailers, by field":       {func(_ req, s res) { s.Header.Set("Trailer", "X-Sum") }, ReasonTrailers},
		"several ranges":           {func(_ req, s res) { s.Header.Set("Content-Type", "Multipart/ByteRanges; boundary=x") }, ReasonMultipart},
		"several ranges and space": {func(_ req, s res) { s.Header.Set("Content-Type", "multipart/byteranges ;boundary=x") }, ReasonMultipart},
		"no ETag":                  {func(_ req, s res) { s.Header.Del("Etag") }, ReasonETagMissing},
		"Last-Modified alone":      {func(_ req, s res) { modified(s, longSince) }, ReasonETagMissing},
		"a weak ETag":              {func(_ req, s res) { s.Header.Set("Etag", `W/"v1"`) }, ReasonETagWeak},
		"an ETag without quotes":   {func(_ req, s res) { s.Header.Set("Etag", "v1") }, ReasonETagInvalid},
		"two ETags":                {func(_ req, s res) { s.Header.Add("Etag", `"v1"`) }, ReasonETagInvalid},
	} {
		q, s := exchange()
		tt.change(q, s)
		plan, reason := Start(q, s, Rules{})
		if reason != tt.want {
			t.Errorf("%s: %q, want %q", name, reason, tt.want)
		}
		if want := (Plan{span: ContentRange{0, s.ContentLength - 1, s.ContentLength}, etag: `"v1"`}); reason == "" && plan != want {
			t.Errorf("%s: %+v", name, plan)
		}
		if !slices.Contains(Reasons(), reason) && reason != "" {
			t.Errorf("%q is not among Reasons", reason)
		}
	}
}

func TestWhichRangesAreEligible(t *testing.T) {
	for _, tt := range []struct {
		asked, sent string
		length      int64
		want        Reason
	}{
		{"bytes=1000-100999", "bytes 1000-100999/200000", size, ""},
		{"bytes=0-", "bytes 0-99999/100000", size, ""},
		{"bytes=-100000", "bytes 100000-199999/200000", size, ""},
		{"bytes=0-", "BYTES 0-99999/100000", size, ""},
		{"", "bytes 1000-100999/200000", size, ReasonRange},
		{"bytes=1000-100999", "bytes 1001-101000/200000", size, ReasonRange},
		{"bytes=1000-100999,5-6", "bytes 1000-100999/200000", size, ReasonRange},
		{"bytes=0-1", "bytes 0-1/200000", 2, ReasonSmall},
		{"bytes=1000-100999", "bytes 1000-100999/200000", size - 1, ReasonLength},
		{"bytes=1000-100999", "bytes 1000-100999/200000", size + 1, ReasonLength},
		{"bytes=1000-100999", "bytes 1000-100999/200000", -1, ReasonLength},
		{"bytes=1000-100999", "bytes 1000-100999/*", size, ReasonContentRange},
		{"bytes=1000-100999", "bytes */200000", size, ReasonContentRange},
		{"bytes=1000-100999", "bytes 1000-100999/100999", size, ReasonContentRange},
		{"bytes=1000-100999", "bytes  1000-100999/200000", size, ReasonContentRange},
		{"bytes=1000-100999", "items 1000-100999/200000", size, ReasonContentRange},
		{"bytes=1000-100999", "", size, ReasonContentRange},
	} {
		req, res := rangeExchange()
		req.Header.Set("Range", tt.asked)
		res.Header.Set("Content-Range", tt.sent)
		res.ContentLength = tt.length
		res.Header.Set("Content-Length", strconv.FormatInt(tt.length, 10))
		if tt.length < 0 {
			res.Header.Del("Content-Length")
		}
		if _, reason := Start(req, res, Rules{}); reason != tt.want {
			t.Errorf("asked %q, sent %q of %d: %q, want %q", tt.asked, tt.sent, tt.length, reason, tt.want)
		}
	}
	req, res := rangeExchange()
	res.Header.Add("Content-Range", "bytes 1000-100999/200000")
	if _, reason := Start(req, res, Rules{}); reason != ReasonContentRange {
		t.Errorf("two fields: %q", reason)
	}
	res.Header.Del("Content-Range")
	if _, reason := Start(req, res, Rules{}); reason != ReasonContentRange {
		t.Errorf("no field: %q", reason)
	}
	req, res = rangeExchange()
	res.Header.Del("Accept-Ranges") // a 206 has shown it
	if _, reason := Start(req, res, Rules{}); reason != "" {
		t.Errorf("a 206 without Accept-Ranges: %q", reason)
	}
}

// modified makes res one of Last-Modified alone, sent ten hours later.
func modified(res *http.Response, at string) {
	res.Header.Del("Etag")
	res.Header.Set("Last-Modified", at)
	res.Header.Set("Date", "Sat, 01 Nov 2025 20:00:00 GMT")
}

func TestLastModifiedCountsOnlyIfWantedAloneAndOldEnough(t *testing.T) {
	for at, want := range map[string]Reason{
		longSince:                           "",
		"Sat, 01 Nov 2025 19:59:00 GMT":     "",
		"Sat, 01 Nov 2025 19:59:01 GMT":     ReasonLastModified,
		"Sat, 01 Nov 2025 20:00:00 GMT":     ReasonLastModified,
		"Sun, 02 Nov 2025 20:00:00 GMT":     ReasonLastModified,
		"Saturday, 01-Nov-25 10:00:00 GMT":  ReasonLastModified,
		"Sat Nov  1 10:00:00 2025":          ReasonLastModified,
		"Sat, 1 Nov 2025 10:00:00 GMT":      ReasonLastModified,
		"Sat, 01 Nov 2025 10:00:00.000 GMT": ReasonLastModified,
		"Mon, 01 Nov 2025 10:00:00 GMT":     ReasonLastModified, // it was a Saturday
		"":                                  ReasonLastModified,
		"yesterday":                         ReasonLastModified,
	} {
		req, res := exchange()
		modified(res, at)
		if _, reason := Start(req, res, Rules{LastModified: true}); reason != want {
			t.Errorf("%q: %q, want %q", at, reason, want)
		}
	}
	for name, change := range map[string]func(http.Header){
		"no Date":   func(h http.Header) { h.Del("Date") },
		"bad Date":  func(h http.Header) { h.Set("Date", "now") },
		"two of it": func(h http.Header) { h.Add("Last-Modified", longSince) },
		"two Dates": func(h http.Header) { h.Add("Date", h.Get("Date")) },
	} {
		req, res := exchange()
		modified(res, longSince)
		change(res.Header)
		if _, reason := Start(req, res, Rules{LastModified: true}); reason != ReasonLastModified {
			t.Errorf("%s: %q", name, reason)
		}
	}
	req, res := exchange()
	modified(res, longSince)
	res.Header.Set("Etag", `W/"v1"`)
	if _, reason := Start(req, res, Rules{LastModified: true}); reason != ReasonETagWeak {
		t.Errorf("beside a weak ETag: %q", reason)
	}
}

func planOf(req *http.Request, res *http.Response) Plan {
	plan, reason := Start(req, res, Rules{LastModified: true})
	if reason != "" {
		panic(reason)
	}
	return plan
}
