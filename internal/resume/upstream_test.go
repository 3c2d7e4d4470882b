package resume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// ending is how an upstream ends a body.
type ending int

const (
	whole      ending = iota
	closes            // the connection
	resets            // the connection
	returns           // short of its Content-Length
	unchunked         // chunked, without the last chunk
	endings           // how many
	endsEarly         // chunked, and cleanly
	staysThere        // silent
)

// act is what the upstream does with one request. The zero value is honest.
type act struct {
	ending ending
	after  int                         // bytes of the body
	status int                         // 0: the right one
	head   func(h http.Header)         // what it lies; nil: nothing
	body   func(content []byte) []byte // what it sends for content; nil: that
}

// origin has an object, and dies as it is told.
type origin struct {
	server  *httptest.Server
	client  *http.Client
	content []byte

	mu       sync.Mutex
	acts     []act // guarded by mu; of the requests to come
	requests int   // guarded by mu
}

func newOrigin(t *testing.T, content []byte, h2 bool) *origin {
	o := &origin{content: content}
	o.server = httptest.NewUnstartedServer(o)
	o.server.Config.ErrorLog = nil
	if h2 {
		o.server.EnableHTTP2 = true
		o.server.StartTLS()
	} else {
		o.server.Start()
	}
	t.Cleanup(o.server.Close)
	o.client = o.server.Client()
	// A connection for each request, so that none is silently made again.
	o.client.Transport.(*http.Transport).DisableKeepAlives = !h2
	return o
}

func (o *origin) next() act {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests++
	if len(o.acts) == 0 {
		return act{}
	}
	a := o.acts[0]
	o.acts = o.acts[1:]
	return a
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := o.next()
	h := http.Header{"Accept-Ranges": {"bytes"}, "Etag": {`"v1"`}, "Content-Type": {"video/mp4"}}
	status, part := http.StatusOK, o.content
	var first, last int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n == 2 {
		status, part = http.StatusPartialContent, o.content[first:last+1]
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(o.content)))
	}
	if match := r.Header.Get("If-Match"); match != "" && match != h.Get("Etag") {
		status = http.StatusPreconditionFailed
	}
	h.Set("Content-Length", strconv.Itoa(len(part)))
	if a.body != nil {
		part = a.body(part)
	}
	if a.status != 0 {
		status = a.status
	}
	if a.head != nil {
		a.head(h)
	}
	if a.ending == closes || a.ending == resets {
		hijacked(w, status, h, part[:min(a.after, len(part))], a.ending == resets)
		return
	}
	if a.ending == unchunked || a.ending == endsEarly {
		h.Del("Content-Length")
	}
	for k, vv := range h {
		w.Header()[k] = vv
	}
	w.WriteHeader(status)
	if a.ending != whole {
		part = part[:min(a.after, len(part))]
	}
	_, _ = w.Write(part)
	_ = http.NewResponseController(w).Flush()
	switch a.ending {
	case unchunked:
		panic(http.ErrAbortHandler)
	case staysThere:
		<-r.Context().Done()
	}
}

// hijacked writes the response itself and ends the connection.
func hijacked(w http.ResponseWriter, status int, h http.Header, part []byte, reset bool) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 %d OK\r\n", status)
	_ = h.Write(c)
	_, _ = c.Write(append([]byte("\r\n"), part...))
	if reset {
		_ = c.(*net.TCPConn).SetLinger(0)
	}
}

// get asks for a range ("": all), as a proxy does, with what an act does first.
func (o *origin) get(ctx context.Context, asked string, options Options, acts ...act) (*Body, error) {
	o.mu.Lock()
	o.acts = acts
	o.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.server.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if asked != "" {
		req.Header.Set("Range", asked)
	}
	res, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	plan, reason := Start(req, res, Rules{})
	if reason != "" {
		res.Body.Close()
		return nil, fmt.Errorf("not eligible: %s", reason)
	}
	options.Next = func(ctx context.Context, at int64, _ error) (*http.Response, error) {
		again := req.Clone(ctx)
		plan.Request(again.Header, at)
		return o.client.Do(again)
	}
	return NewBody(ctx, res.Body, NewTransfer(plan, options)), nil
}

func TestFiveHundredDeathsLeaveEveryByteInPlace(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", h2), func(t *testing.T) {
			r := rand.New(rand.NewPCG(4, 4))
			deaths, bodies := 0, 0
			for _, length := range []int{MinLength, MinLength + 1, 100_003, 300_000, 1 << 20} {
				o := newOrigin(t, noise(length), h2)
				for range 80 {
					deaths += o.die(t, r, h2)
					bodies++
				}
			}
			t.Logf("%d bodies, %d deaths", bodies, deaths)
			if deaths < 500 {
				t.Errorf("only %d deaths", deaths)
			}
		})
	}
}

// die reads the object, or a part of it, through one to three deaths.
func (o *origin) die(t *testing.T, r *rand.Rand, h2 bool) (resumed int) {
	t.Helper()
	asked, want := "", o.content
	if r.IntN(2) == 0 {
		first := r.IntN(len(o.content) - MinLength + 1)
		last := first + MinLength - 1 + r.IntN(len(o.content)-first-MinLength+1)
		asked, want = fmt.Sprintf("bytes=%d-%d", first, last), o.content[first:last+1]
	}
	acts := make([]act, 1+r.IntN(3))
	for i := range acts {
		acts[i].ending = closes + ending(r.IntN(int(endings-closes)))
		if i == 0 && acts[i].ending == unchunked || h2 && acts[i].ending < returns {
			acts[i].ending = returns
		}
		acts[i].after = r.IntN(len(want))
		if r.IntN(8) == 0 {
			acts[i].after = []int{0, 1, len(want) - 1}[r.IntN(3)]
		}
	}
	count := &tally{}
	body, err := o.get(t.Context(), asked, Options{Attempts: 10, Observer: count}, acts...)
	if err != nil {
		return 0 // a reset overtook the head
	}
	defer body.Close()
	sum := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{body}, make([]byte, 1+r.IntN(64<<10)))
	if err != nil || [32]byte(sum.Sum(nil)) != sha256.Sum256(want) {
		t.Errorf("%q of %d by %+v: %d of %d bytes, another sum or %v", asked, len(o.content), acts, n, len(want), err)
	}
	return count.resumed + len(count.refused)
}

func TestALyingContinuationCutsTheBody(t *testing.T) {
	const died = 30_000
	set := func(key, value string) func(http.Header) { return func(h http.Header) { h.Set(key, value) } }
	lies := map[string]struct {
		act  act
		want Reason
	}{
		"the ETag changed":            {act{head: set("Etag", `"v2"`)}, ReasonETagChanged},
		"no ETag":                     {act{head: func(h http.Header) { h.Del("Etag") }}, ReasonETagMissing},
		"a weak ETag":                 {act{head: set("Etag", `W/"v1"`)}, ReasonETagWeak},
		"two ETags":                   {act{head: func(h http.Header) { h.Add("Etag", `"v1"`) }}, ReasonETagInvalid},
		"a range from the first byte": {act{head: set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))}, ReasonContentRange},
		"a range to another end":      {act{head: set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", died, size, size+1))}, ReasonContentRange},
		"a total that grew":           {act{head: set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", died, size-1, size+1))}, ReasonContentRange},
		"no Content-Range":            {act{head: func(h http.Header) { h.Del("Content-Range") }}, ReasonContentRange},
		"all of it, 200":              {act{status: 200}, ReasonStatus},
		"412":                         {act{status: 412}, ReasonStatus},
		"416":                         {act{status: 416}, ReasonStatus},
		"404":                         {act{status: 404}, ReasonStatus},
		"503":                         {act{status: 503}, ReasonStatus},
		"gzip":                        {act{head: set("Content-Encoding", "gzip")}, ReasonContentEncoding},
		"multipart":                   {act{head: set("Content-Type", "multipart/byteranges; boundary=x")}, ReasonMultipart},
		"trailers":                    {act{head: set("Trailer", "X-Sum"), ending: unchunked}, ReasonTrailers},
		"a shorter Content-Length": {act{
			head: set("Content-Length", strconv.Itoa(size-died-1)), body: func(b []byte) []byte { return b[1:] },
		}, ReasonLength},
		"a longer Content-Length": {act{
			head: set("Content-Length", strconv.Itoa(size-died+1)), body: func(b []byte) []byte { return append(bytes.Clone(b), 0) },
		}, ReasonLength},
	}
	o := newOrigin(t, content, false)
	for name, lie := range lies {
		count := &tally{}
		body, err := o.get(t.Context(), "", Options{Observer: count}, act{ending: closes, after: died}, lie.act, lie.act, lie.act)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		isCut(t, err, io.ErrUnexpectedEOF)
		if !bytes.Equal(got, content[:died]) {
			t.Errorf("%s: %d bytes, true ones: %v", name, len(got), bytes.HasPrefix(content, got))
		}
		count.equal(t, 0, 0, []Reason{lie.want, lie.want, lie.want}, []Reason{ReasonAttempts})
	}
}

func TestAContinuationOfAnotherLengthThanItsHeadSaysCutsTheBody(t *testing.T) {
	o := newOrigin(t, content, false)
	longer := act{ending: endsEarly, after: 1 << 30, body: func(b []byte) []byte { return append(bytes.Clone(b), "more"...) }}
	shorter := act{ending: endsEarly, after: 10_000}
	for name, tt := range map[string]struct {
		acts []act
		want Reason
	}{
		"longer":                {[]act{longer}, ReasonSurplus},
		"shorter":               {[]act{shorter, shorter, shorter}, ReasonAttempts},
		"shorter, then changed": {[]act{shorter, {head: func(h http.Header) { h.Set("Etag", `"v2"`) }}, {status: 404}}, ReasonAttempts},
	} {
		count := &tally{}
		body, err := o.get(t.Context(), "", Options{Observer: count}, append([]act{{ending: closes, after: 30_000}}, tt.acts...)...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		isCut(t, err, ErrCut)
		prefix(t, got)
		if !slices.Equal(count.cut, []Reason{tt.want}) {
			t.Errorf("%s: cut %q after %q", name, count.cut, count.refused)
		}
	}
}

func TestAClientThatCancelsMidwayEndsItsBodyOnly(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		o := newOrigin(t, content, h2)
		ctx, cancel := context.WithCancel(t.Context())
		count := &tally{}
		body, err := o.get(ctx, "", Options{Observer: count}, act{ending: staysThere, after: 30_000})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 30_000)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrCut) {
			t.Error(err)
		}
		body.Close()
		if o.requests != 1 {
			t.Errorf("%d requests", o.requests)
		}
		count.equal(t, 0, 0, nil, nil)
	}
}
