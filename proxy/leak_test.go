package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// shelf is an upstream that answers by the path's query: type, status and size.
func shelf(t *testing.T) string {
	return upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		q := r.URL.Query()
		w.Header()["Content-Type"] = nil // net/http guesses none
		if ct := q.Get("type"); ct != "" {
			w.Header().Set("Content-Type", ct)
		}
		size, status := 0, http.StatusOK
		_, _ = fmt.Sscan(q.Get("size"), &size)
		_, _ = fmt.Sscan(q.Get("status"), &status)
		if q.Has("length") {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	})
}

// kindsOf are the counts by kind, as "segment 2 2048".
func kindsOf(l *switcher.MediaLeak) (kinds []string) {
	for _, k := range l.Kinds {
		kinds = append(kinds, fmt.Sprint(k.Kind, " ", k.Responses, " ", k.Bytes))
	}
	return kinds
}

func TestExactlyTheMediaOfAnAppIsCountedAndStaysCounted(t *testing.T) {
	h := newHouse(t)
	up := shelf(t)
	h.load(pair("leaky", up, up), "blue_green leaky")
	h.healthy("leaky")
	if l := h.view("leaky").MediaLeak; l != nil {
		t.Fatalf("before any request: %+v", l)
	}
	for _, path := range []string{
		"/a?type=application/json&size=10", "/icon.png?size=10", "/b.mp4?type=text/html&size=10", "/c.mp4?type=video/mp4&size=10&status=404",
		"/d.mp4?status=204", "/e.mp4?size=0&length=1", "/events.ts?type=text/event-stream&size=10", "/f.zip?size=10", "/g?type=image/jpeg&size=10",
	} {
		h.get(path)
	}
	h.get("/h.mp4?size=10&length=1", func(r *http.Request) { r.Method = http.MethodHead })
	if l := h.view("leaky").MediaLeak; l != nil {
		t.Fatalf("of what is no media: %+v", l)
	}
	media := func() {
		h.get("/live/1.ts?type=video/mp2t&size=100000&length=1")
		h.get("/live/2.m4s?type=application/octet-stream&size=3000")
		h.get("/play?type=application/vnd.apple.mpegurl&size=200")
		h.get("/whole.mp4?size=500&status=206&length=1")
		h.get("/text.vtt?type=text/vtt&size=7")
	}
	media()
	want := []string{"segment 2 103000", "progressive 1 500", "playlist 1 200", "subtitle 1 7"}
	l := h.view("leaky").MediaLeak
	equal(t, "kinds", fmt.Sprint(kindsOf(l)), fmt.Sprint(want))
	if l.Responses != 5 || l.Bytes != 103707 || l.Uploads != 0 || l.Example != "/text.vtt" || l.Last.IsZero() {
		t.Errorf("%+v", l)
	}

	h.load(pair("leaky", up, up, "balance round_robin"), "blue_green leaky") // and nothing is forgotten
	media()
	want = []string{"segment 4 206000", "progressive 2 1000", "playlist 2 400", "subtitle 2 14"}
	equal(t, "kinds after a reload", fmt.Sprint(kindsOf(h.view("leaky").MediaLeak)), fmt.Sprint(want))
	_, metrics := h.scrape()
	equal(t, "requests", metrics[`greenroom_media_leak_requests_total{kind="segment",service="leaky"}`], "4")
	equal(t, "bytes", metrics[`greenroom_media_leak_bytes_total{kind="segment",service="leaky"}`], "206000")
	equal(t, "uploads", metrics[`greenroom_media_leak_bytes_total{kind="upload",service="leaky"}`], "")

	views, err := h.client().Services(t.Context())
	must(t, err)
	equal(t, "kinds of all services", fmt.Sprint(kindsOf(views[0].MediaLeak)), fmt.Sprint(want))
	receipt, err := h.client().Lock(t.Context(), switcher.Request{Services: []string{"leaky"}, Reason: "r"})
	must(t, err)
	if receipt.Services[0].MediaLeak != nil {
		t.Errorf("a receipt tells of paths: %+v", receipt.Services[0].MediaLeak)
	}
}

func TestAnUploadOfMediaIsCountedOnceHoweverOftenItIsSent(t *testing.T) {
	h := newHouse(t)
	h.load(pair("taking", dyingAfter(t, 1000)+" "+shelf(t), refused(t), "balance round_robin")+pair("down", refused(t), refused(t)),
		"blue_green /down down\nblue_green taking")
	until(t, "one has its verdict", func() bool { return h.view("taking").Blue.Unknown+h.view("down").Blue.Unknown == 0 })
	put := func(path, contentType string, size int) {
		t.Helper()
		h.get(path, func(r *http.Request) {
			r.Method, r.ContentLength = http.MethodPut, int64(size)
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", size)))
			r.Header.Set("Content-Type", contentType)
		})
	}
	put("/notes", "application/json", 5000)
	put("/picture", "image/png", 5000)
	put("/blob.mp4", "application/octet-stream", 5000)
	if l := h.view("taking").MediaLeak; l != nil {
		t.Fatalf("of what is no media: %+v", l)
	}
	for range 4 { // half of them are sent twice
		put("/up/cam.mp4", "video/mp4", 5000)
	}
	l := h.view("taking").MediaLeak
	if l == nil || l.Uploads != 4 || l.UploadBytes != 20000 || l.Responses != 0 || l.Example != "/up/cam.mp4" {
		t.Errorf("%+v", l)
	}
	_, metrics := h.scrape()
	equal(t, "requests", metrics[`greenroom_media_leak_requests_total{kind="upload",service="taking"}`], "4")
	equal(t, "bytes", metrics[`greenroom_media_leak_bytes_total{kind="upload",service="taking"}`], "20000")
	if metrics[`greenroom_replays_total{service="taking"}`] == "0" {
		t.Error("none was sent twice")
	}
	put("/down", "video/mp4", 5000)
	if l := h.view("down").MediaLeak; l != nil {
		t.Errorf("nobody asked for it: %+v", l)
	}
}

func TestADownloadShowsWhileItRuns(t *testing.T) {
	more := make(chan struct{})
	up := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "video/mp2t")
		for range more {
			_, _ = io.WriteString(w, strings.Repeat("x", 188))
			_ = http.NewResponseController(w).Flush()
		}
	})
	h := newHouse(t)
	h.load(pair("live", up, up), "blue_green live")
	h.healthy("live")
	for i := range 3 {
		var res *http.Response
		if i == 0 {
			go func() { more <- struct{}{} }()
			var err error
			res, err = http.Get("http://" + h.http + "/live")
			must(t, err)
			t.Cleanup(func() { res.Body.Close() })
		} else {
			more <- struct{}{}
		}
		until(t, "the bytes are counted", func() bool {
			l := h.view("live").MediaLeak
			return l != nil && l.Responses == 1 && l.Bytes == int64(i+1)*188
		})
	}
	close(more)
}

func TestCountingMediaAllocatesNothing(t *testing.T) {
	l := new(leak)
	r := httptest.NewRequest(http.MethodGet, "/vod/42/seg-0001.m4s", nil)
	res := &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x")), Header: http.Header{"Content-Type": {"video/mp4"}}}
	if n := testing.AllocsPerRun(100, func() { l.response(r, res).passed(1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnExampleIsShortAndWhole(t *testing.T) {
	var e example
	for path, want := range map[string]string{
		"": "", "/a": "/a", "/" + strings.Repeat("a", 200): "/" + strings.Repeat("a", 119), "/" + strings.Repeat("é", 100): "/" + strings.Repeat("é", 59), "/\xff": "/",
	} {
		e.set(path)
		equal(t, "example", e.get(), want)
	}
}
