package resume

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestARequestForTheRestNamesItsEndAndVersion(t *testing.T) {
	h := http.Header{
		"Range": {"bytes=1000-"}, "If-Range": {`"v0"`}, "If-None-Match": {`"v0"`}, "If-Match": {`"v0"`}, "If-Modified-Since": {longSince},
		"If-Unmodified-Since": {longSince}, "Accept-Encoding": {"br", "gzip"}, "range": {"bytes=7-8"}, "ETAG": {"kept"}, "User-Agent": {"a player"},
	}
	req, res := rangeExchange()
	plan, _ := Start(req, res, Rules{})
	plan.Request(h, 5000)
	want := http.Header{"Range": {"bytes=5000-100999"}, "If-Match": {`"v1"`}, "Accept-Encoding": {"identity"}, "ETAG": {"kept"}, "User-Agent": {"a player"}}
	if !maps.EqualFunc(h, want, slices.Equal) {
		t.Errorf("%q, want %q", h, want)
	}
	req, res = exchange()
	modified(res, longSince)
	plan, _ = Start(req, res, Rules{LastModified: true})
	h = http.Header{"If-Match": {`"v0"`}}
	plan.Request(h, 1)
	want = http.Header{"Range": {"bytes=1-99999"}, "If-Unmodified-Since": {longSince}, "Accept-Encoding": {"identity"}}
	if !maps.EqualFunc(h, want, slices.Equal) {
		t.Errorf("%q, want %q", h, want)
	}
}

// continuation is what rangeExchange goes on with at byte 5000.
func continuation() *http.Response {
	return &http.Response{
		StatusCode: 206, ContentLength: 96000, Request: &http.Request{URL: &url.URL{Host: "10.0.0.2:80"}},
		Header: http.Header{"Content-Range": {"bytes 5000-100999/200000"}, "Content-Length": {"96000"}, "Etag": {`"v1"`}},
	}
}

func TestWhichContinuationsAreAccepted(t *testing.T) {
	type res = *http.Response
	set := func(key string, values ...string) func(res) { return func(s res) { s.Header[key] = values } }
	status := func(code int) func(res) { return func(s res) { s.StatusCode = code } }
	for name, tt := range map[string]struct {
		change func(res)
		want   Reason
	}{
		"as it is":             {func(res) {}, ""},
		"unit in capitals":     {set("Content-Range", "BYTES 5000-100999/200000"), ""},
		"another Content-Type": {set("Content-Type", "text/html"), ""},
		"identity":             {set("Content-Encoding", "identity"), ""},
		"no length":            {func(s res) { s.ContentLength = -1; s.Header.Del("Content-Length") }, ""},
		"chunked": {func(s res) {
			s.ContentLength, s.TransferEncoding = -1, []string{"chunked"}
			s.Header.Del("Content-Length")
		}, ""},
		"another Last-Modified": {set("Last-Modified", longSince), ""},

		"200": {status(200), ReasonStatus}, "204": {status(204), ReasonStatus}, "304": {status(304), ReasonStatus},
		"302": {status(302), ReasonStatus}, "404": {status(404), ReasonStatus}, "412": {status(412), ReasonStatus},
		"416": {status(416), ReasonStatus}, "500": {status(500), ReasonStatus}, "503": {status(503), ReasonStatus},

		"no ETag":             {set("Etag"), ReasonETagMissing},
		"the same, weak":      {set("Etag", `W/"v1"`), ReasonETagWeak},
		"another":             {set("Etag", `"v2"`), ReasonETagChanged},
		"another by case":     {set("Etag", `"V1"`), ReasonETagChanged},
		"longer":              {set("Etag", `"v1-gzip"`), ReasonETagChanged},
		"two":                 {set("Etag", `"v1"`, `"v1"`), ReasonETagInvalid},
		"a list":              {set("Etag", `"v1", "v2"`), ReasonETagInvalid},
		"without quotes":      {set("Etag", `v1`), ReasonETagInvalid},
		"no Content-Range":    {set("Content-Range"), ReasonContentRange},
		"earlier":             {set("Content-Range", "bytes 4999-100999/200000"), ReasonContentRange},
		"later":               {set("Content-Range", "bytes 5001-100999/200000"), ReasonContentRange},
		"ends earlier":        {set("Content-Range", "bytes 5000-100998/200000"), ReasonContentRange},
		"ends later":          {set("Content-Range", "bytes 5000-101000/200000"), ReasonContentRange},
		"grown":               {set("Content-Range", "bytes 5000-100999/200001"), ReasonContentRange},
		"shrunk":              {set("Content-Range", "bytes 5000-100999/199999"), ReasonContentRange},
		"no total":            {set("Content-Range", "bytes 5000-100999/*"), ReasonContentRange},
		"unsatisfied":         {set("Content-Range", "bytes */200000"), ReasonContentRange},
		"malformed":           {set("Content-Range", "bytes 5000-100999/200000 "), ReasonContentRange},
		"two Content-Ranges":  {set("Content-Range", "bytes 5000-100999/200000", "bytes 5000-100999/200000"), ReasonContentRange},
		"a shorter length":    {func(s res) { s.ContentLength--; s.Header.Set("Content-Length", "95999") }, ReasonLength},
		"a longer length":     {func(s res) { s.ContentLength++; s.Header.Set("Content-Length", "96001") }, ReasonLength},
		"length by transport": {func(s res) { s.ContentLength = 0; s.Header.Del("Content-Length") }, ReasonLength},
		"length by field":     {func(s res) { s.ContentLength = -1; s.Header.Set("Content-Length", "95999") }, ReasonLength},
		"two lengths":         {set("Content-Length", "96000", "96000"), ReasonLength},
		"gzip":                {set("Content-Encoding", "gzip"), ReasonContentEncoding},
		"undone gzip":         {func(s res) { s.Uncompressed = true }, ReasonContentEncoding},
		"multipart":           {set("Content-Type", "multipart/byteranges; boundary=x"), ReasonMultipart},
		"second Content-Type": {set("Content-Type", "video/mp4", "multipart/byteranges"), ReasonMultipart},
		"trailers":            {func(s res) { s.Trailer = http.Header{"X": nil} }, ReasonTrailers},
		"odd coding":          {func(s res) { s.TransferEncoding = []string{"gzip", "chunked"} }, ReasonTransferEncoding},
		"odd coding, one":     {func(s res) { s.TransferEncoding = []string{"gzip"} }, ReasonTransferEncoding},
		"coding by field":     {set("Transfer-Encoding", "chunked"), ReasonTransferEncoding},
	} {
		plan := planOf(rangeExchange())
		s := continuation()
		tt.change(s)
		err := plan.Accept(s, 5000)
		refusal, _ := errors.AsType[*RefusalError](err)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (refusal == nil || refusal.Reason != tt.want):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		case tt.want != "" && !slices.Contains(Reasons(), refusal.Reason):
			t.Errorf("%q is not among Reasons", refusal.Reason)
		}
	}
}

func TestARefusalSaysWhoSentWhatAndWhatWasWanted(t *testing.T) {
	s := continuation()
	s.Header.Set("Etag", `"v2"`)
	err := planOf(rangeExchange()).Accept(s, 5000)
	if got, want := err.Error(), `upstream 10.0.0.2:80: not the continuation at byte 5000: Etag is ["\"v2\""], want "\"v1\""`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestAContinuationByLastModifiedIsOfTheSame(t *testing.T) {
	req, res := exchange()
	modified(res, longSince)
	plan := planOf(req, res)
	for name, tt := range map[string]struct {
		change func(http.Header)
		want   Reason
	}{
		"the same": {func(http.Header) {}, ""},
		"later":    {func(h http.Header) { h.Set("Last-Modified", "Sat, 01 Nov 2025 10:00:01 GMT") }, ReasonLastModified},
		"none":     {func(h http.Header) { h.Del("Last-Modified") }, ReasonLastModified},
		"two":      {func(h http.Header) { h.Add("Last-Modified", longSince) }, ReasonLastModified},
		"an ETag":  {func(h http.Header) { h.Set("Etag", `"v1"`) }, ReasonETagChanged},
	} {
		s := &http.Response{StatusCode: 206, ContentLength: 99999, Header: http.Header{
			"Content-Range": {"bytes 1-99999/100000"}, "Last-Modified": {longSince},
		}}
		tt.change(s.Header)
		err := plan.Accept(s, 1)
		refusal, _ := errors.AsType[*RefusalError](err)
		if tt.want == "" && err != nil || tt.want != "" && (refusal == nil || refusal.Reason != tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// FuzzAccept compares with what may be accepted at all: the one answer.
func FuzzAccept(f *testing.F) {
	f.Add(206, int64(5000), "bytes 5000-100999/200000", `"v1"`, "96000", "", "", false)
	f.Add(206, int64(5000), "bytes 5000-100999/*", `W/"v1"`, "", "gzip", "multipart/byteranges", true)
	f.Add(200, int64(0), "Bytes 05000-100999/200000", `"v1`, "96001", "identity", "a/b;c", false)
	plan := planOf(rangeExchange())
	f.Fuzz(func(t *testing.T, status int, at int64, contentRange, etag, length, coding, contentType string, trailers bool) {
		const first, last = 1000, 100999
		at = first + (at%(last-first+1)+(last-first+1))%(last-first+1)
		h := http.Header{"Content-Range": {contentRange}, "Etag": {etag}}
		res := &http.Response{StatusCode: status, ContentLength: -1, Header: h}
		rest := strconv.FormatInt(last-at+1, 10)
		want := status == 206 && etag == `"v1"`
		want = want && contentRange[strings.IndexByte(contentRange, ' ')+1:] == strconv.FormatInt(at, 10)+"-100999/200000"
		want = want && len(contentRange) > 6 && strings.ToLower(contentRange[:6]) == "bytes "
		for key, value := range map[string]string{"Content-Length": length, "Content-Encoding": coding, "Content-Type": contentType} {
			if value != "" {
				h.Set(key, value)
			}
		}
		want = want && (length == "" || length == rest)
		want = want && (coding == "" || len(coding) == 8 && strings.ToLower(coding) == "identity")
		parts := strings.ToLower(strings.Trim(strings.SplitN(contentType, ";", 2)[0], " \t"))
		want = want && parts != "multipart/byteranges"
		if trailers {
			res.Trailer = http.Header{"X": nil}
			want = false
		}
		if err := plan.Accept(res, at); (err == nil) != want {
			t.Fatalf("at %d, %d %q: %v, want accepted: %v", at, status, h, err, want)
		}
	})
}
