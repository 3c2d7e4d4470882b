package proxy

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// leak counts the media of one service that goes through its pools, where
// media_edge could take it off the application. It belongs to the runtime, so
// that a reload forgets nothing. A nil leak counts nothing.
//
// Bytes are added as they pass, so that a download of hours shows while it runs,
// and no sum ever falls.
type leak struct {
	responses [mediaedge.Subtitle + 1]leakCount // by kind
	uploads   leakCount
	last      atomic.Int64 // when the latest began, in Unix nanoseconds; 0: never
	example   example
}

type leakCount struct{ count, bytes atomic.Int64 }

// passed counts bytes of what has been counted already. A nil leakCount is
// that of no media.
func (c *leakCount) passed(n int) {
	if c != nil {
		c.bytes.Add(int64(n))
	}
}

// response counts an answer that is about to be relayed, and returns what
// counts its bytes, if it has a body that is media. Images count as none: an
// application has icons of its own.
func (l *leak) response(r *http.Request, res *http.Response) *leakCount {
	if l == nil || res.StatusCode/100 != 2 || res.Body == http.NoBody || r.Method == http.MethodHead {
		return nil
	}
	kind, media := mediaedge.KindOf(res.Header.Get("Content-Type"), r.URL.Path)
	if !media || kind == mediaedge.Image || int(kind) >= len(l.responses) {
		return nil
	}
	c := &l.responses[kind]
	l.begins(c, r)
	return c
}

func (l *leak) begins(c *leakCount, r *http.Request) {
	c.count.Add(1)
	l.last.Store(time.Now().UnixNano())
	l.example.set(r.URL.Path)
}

// upload has the body of r counted as it is read from the client, once for all
// attempts, if its Content-Type is one of media.
func (l *leak) upload(r *http.Request) {
	if l == nil || r.Method == http.MethodConnect || !hasBody(r) {
		return
	}
	if kind, media := mediaedge.KindOf(r.Header.Get("Content-Type"), ""); media && kind != mediaedge.Image {
		r.Body = &leakingBody{ReadCloser: r.Body, leak: l, r: r}
	}
}

// leakingBody counts an upload from its first byte on: one that no upstream
// asks for is none.
type leakingBody struct {
	io.ReadCloser
	leak  *leak
	r     *http.Request
	begun bool // Reads come one after the other
}

func (b *leakingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && !b.begun {
		b.begun = true
		b.leak.begins(&b.leak.uploads, b.r)
	}
	b.leak.uploads.passed(n)
	return n, err
}

// example is the latest path, cut to its size. Whoever sets it waits for nobody
// and allocates nothing.
type example struct {
	mu   sync.Mutex
	text [120]byte // guarded by mu
	n    int       // guarded by mu
}

func (e *example) set(path string) {
	if e.mu.TryLock() {
		e.n = copy(e.text[:], path)
		e.mu.Unlock()
	}
}

func (e *example) get() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.ToValidUTF8(string(e.text[:e.n]), "")
}

// view is what has been counted; nil: nothing.
func (l *leak) view() *switcher.MediaLeak {
	last := l.last.Load()
	if last == 0 {
		return nil
	}
	v := &switcher.MediaLeak{
		Uploads: l.uploads.count.Load(), UploadBytes: l.uploads.bytes.Load(),
		Last: time.Unix(0, last), Example: l.example.get(),
	}
	for kind := range l.responses {
		c := &l.responses[kind]
		of := switcher.KindLeak{Kind: mediaedge.Kind(kind).String(), Responses: c.count.Load(), Bytes: c.bytes.Load()}
		if of.Responses > 0 {
			v.Responses += of.Responses
			v.Bytes += of.Bytes
			v.Kinds = append(v.Kinds, of)
		}
	}
	slices.SortStableFunc(v.Kinds, func(a, b switcher.KindLeak) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return v
}

// leak returns the counts of a service.
func (rt *runtime) leak(service string) *leak {
	l, _ := rt.leaks.LoadOrStore(service, new(leak))
	return l.(*leak)
}

// mediaLeak implements switcher.Hooks.MediaLeak. It takes no lock that a reload
// holds.
func (rt *runtime) mediaLeak(service string) *switcher.MediaLeak {
	if l, known := rt.leaks.Load(service); known {
		return l.(*leak).view()
	}
	return nil
}

// leaks collects the counts of all services when Prometheus asks. What has
// counted nothing costs no series.
type leaks struct{ rt *runtime }

// uploaded stands beside the kinds of media.
const uploaded = "upload"

var (
	countLeaked = gauge("media_leak_bytes_total", "Bytes of media that went through the pools of the service; upload: from clients.", "service", "kind")
	countLeaks  = gauge("media_leak_requests_total", "Responses with media that came from the pools of the service; upload: requests with media.", "service", "kind")
)

// Describe implements prometheus.Collector.
func (leaks) Describe(ch chan<- *prometheus.Desc) { ch <- countLeaked; ch <- countLeaks }

// Collect implements prometheus.Collector.
func (c leaks) Collect(ch chan<- prometheus.Metric) {
	c.rt.leaks.Range(func(service, l any) bool {
		v := l.(*leak).view()
		if v == nil {
			return true
		}
		kinds := v.Kinds
		if v.Uploads > 0 {
			kinds = append(kinds, switcher.KindLeak{Kind: uploaded, Responses: v.Uploads, Bytes: v.UploadBytes})
		}
		for _, k := range kinds {
			ch <- prometheus.MustNewConstMetric(countLeaked, prometheus.CounterValue, float64(k.Bytes), service.(string), k.Kind)
			ch <- prometheus.MustNewConstMetric(countLeaks, prometheus.CounterValue, float64(k.Responses), service.(string), k.Kind)
		}
		return true
	})
}
