package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// film is what all upstreams of a library have.
func film(size int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{7})
	_, _ = rng.Read(b)
	return b
}

// mortal is an upstream that serves a film, and dies in the middle of it when
// it is the first to be asked. Who continues it asks with If-Match.
type mortal struct {
	film   []byte
	etag   string
	deaths *atomic.Int64
	// next answers a continuation; nil: as it should be.
	next http.HandlerFunc
}

func (m *mortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("If-Match") != "" && m.next != nil {
		m.next(w, r)
		return
	}
	if m.etag != "" {
		w.Header().Set("ETag", m.etag)
	}
	if r.Header.Get("If-Match") == "" {
		w = &dying{ResponseWriter: w, left: rand.IntN(len(m.film)), deaths: m.deaths}
	}
	http.ServeContent(w, r, "film.mp4", time.Time{}, bytes.NewReader(m.film))
}

// dying cuts the connection after so many bytes of body.
type dying struct {
	http.ResponseWriter
	left   int
	deaths *atomic.Int64
}

func (d *dying) Write(p []byte) (int, error) {
	if len(p) < d.left {
		d.left -= len(p)
		return d.ResponseWriter.Write(p)
	}
	_, _ = d.ResponseWriter.Write(p[:d.left])
	_ = http.NewResponseController(d.ResponseWriter).Flush()
	d.deaths.Add(1)
	panic(http.ErrAbortHandler)
}

// library is an edge with three mortal upstreams in blue, and two in green.
func library(t *testing.T, options string, m *mortal) *edge {
	var blue, green []string
	for range 3 {
		blue = append(blue, newBackend(t, m).address)
	}
	for range 2 {
		green = append(green, newBackend(t, m).address)
	}
	e := newEdge(t, checkedApp(strings.Join(blue, " "), strings.Join(green, " "), options))
	e.start()
	e.healthy()
	return e
}

// download returns what came, and how it ended.
func download(ctx context.Context, client *http.Client, url, span string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	if span != "" {
		r.Header.Set("Range", span)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func TestFiveHundredDownloadsWhoseUpstreamsDieAreByteIdentical(t *testing.T) {
	m := &mortal{film: film(1 << 20), etag: `"v1"`, deaths: new(atomic.Int64)}
	e := library(t, "", m)
	clients := []*http.Client{{}, h2Client(t)}
	urls := []string{"http://" + e.http + "/film.mp4", "https://localhost:" + port(e.https) + "/film.mp4"}
	var group sync.WaitGroup
	next := make(chan int)
	for range 8 {
		group.Go(func() {
			for n := range next {
				want, span := m.film, ""
				if n%3 == 0 {
					from, to := rand.IntN(len(m.film)/4), len(m.film)/2+rand.IntN(len(m.film)/2)
					want, span = m.film[from:to+1], fmt.Sprintf("bytes=%d-%d", from, to)
				}
				resp, body, err := download(t.Context(), clients[n%2], urls[n%2], span)
				if err != nil || !bytes.Equal(body, want) || resp.ContentLength != int64(len(want)) {
					t.Errorf("download %d %s: %d of %d bytes: %v", n, span, len(body), len(want), err)
				}
			}
		})
	}
	for n := range 500 {
		next <- n
	}
	close(next)
	group.Wait()
	metrics := fetch(t, "http://"+e.admin+"/metrics")
	resumed := metric(t, metrics, `greenroom_resumes_total{service="app"}`)
	if resumed < 250 || int64(resumed) > m.deaths.Load() {
		t.Errorf("%v resumes after %d deaths", resumed, m.deaths.Load())
	}
	t.Logf("500 downloads, %d deaths, %v resumes, %v bytes carried", m.deaths.Load(), resumed,
		metric(t, metrics, `greenroom_resumed_bytes_total{service="app"}`))
	if t.Failed() {
		e.explain()
	}
}

// metric is the value of a line of the text format.
func metric(t *testing.T, text, name string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

func TestABodyThatCannotBeContinuedIsCutAndNeverWrong(t *testing.T) {
	content := film(1 << 20)
	other := film(1 << 20)
	other[len(other)-1]++
	whole := func(etag string, content []byte, change func(http.Header)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", etag)
			if change != nil {
				change(w.Header())
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(content[:1000])
				return
			}
			http.ServeContent(w, r, "film.mp4", time.Time{}, bytes.NewReader(content))
		}
	}
	for name, c := range map[string]struct {
		etag   string
		next   http.HandlerFunc
		reason string
	}{
		"the ETag changed":      {`"v1"`, whole(`"v2"`, other, nil), "status"}, // 412, as If-Match says
		"the 206 is of another": {`"v1"`, whole(`"v2"`, other, func(h http.Header) { h.Set("Content-Range", "bytes 0-999/1048576") }), "etag_changed"},
		"the 206 lies":          {`"v1"`, whole(`"v1"`, other, func(h http.Header) { h.Set("Content-Range", "bytes 0-999/1048576") }), "content_range"},
		"a 200 instead":         {`"v1"`, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(other) }, "status"},
		"there is no validator": {"", nil, ""},
		"the validator is weak": {`W/"v1"`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mortal{film: content, etag: c.etag, deaths: new(atomic.Int64), next: c.next}
			e := library(t, "", m)
			cut := 0
			for range 30 {
				_, body, err := download(t.Context(), http.DefaultClient, "http://"+e.http+"/film.mp4", "")
				if !bytes.HasPrefix(content, body) {
					t.Fatalf("%d wrong bytes", len(body))
				}
				if err == nil && len(body) != len(content) {
					t.Fatalf("%d bytes look like a whole body", len(body))
				}
				if err != nil {
					cut++
				}
			}
			metrics := fetch(t, "http://"+e.admin+"/metrics")
			if cut == 0 {
				t.Error("no download was cut")
			}
			if c.reason != "" && metric(t, metrics, `greenroom_resume_refusals_total{reason="`+c.reason+`",service="app"}`) == 0 {
				t.Errorf("no refusal because of %s", c.reason)
			}
			if metric(t, metrics, `greenroom_resumed_bytes_total{service="app"}`) != 0 {
				t.Error("bytes were carried")
			}
		})
	}
}

// h2Client speaks HTTP/2 to the edge's TLS site.
func h2Client(t *testing.T) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
