package e2e

import (
	"context"
	"io"
	"net/http"
	"testing"
)

// holder is an origin of a low-latency playlist: what is asked for before it is
// there waits for it (RFC 8216bis §6.2.5.2).
type holder struct {
	next        chan struct{} // closed when 7 is there
	begun, left chan string   // queries
}

func (p *holder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/media/hangs.m4s":
		<-r.Context().Done()
		return
	case "/media/live.m3u8":
		p.begun <- r.URL.RawQuery
		wanted := p.next
		if r.URL.Query().Get("_HLS_msn") != "7" {
			wanted = nil // it will never be
		}
		select {
		case <-wanted:
		case <-r.Context().Done():
			p.left <- r.URL.RawQuery
			return
		}
	}
	_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:6\n#EXTINF:2,\n6.m4s\n#EXTINF:2,\n7.m4s\n")
}

func TestAPlaylistThatThePackagerHoldsBackIsWaitedForAndHeldAgainstNobody(t *testing.T) {
	for name, cache := range map[string]string{"with a cache": "", "without": "cache off"} {
		p := &holder{next: make(chan struct{}), begun: make(chan string, 8), left: make(chan string, 8)}
		e := mediaEdge(t, "path /media/\norigin http://"+newBackend(t, p).address+" {\nhead_timeout 2s\nmax_conns 4\n}\n"+cache)
		expect := func(what, path string, status int) {
			t.Helper()
			res := e.ask(http.MethodGet, path)
			res.Body.Close()
			if res.StatusCode != status {
				t.Errorf("%s: %s: %s", name, what, res.Status)
			}
		}
		url := "http://" + e.http + "/media/live.m3u8?_HLS_msn="
		viewer := make(chan string)
		go func() {
			res, err := http.Get(url + "7")
			if err != nil {
				viewer <- err.Error()
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				viewer <- err.Error()
				return
			}
			viewer <- res.Status + " " + string(body[len(body)-6:])
		}()
		<-p.begun

		// One who asks for what will never be, and leaves, has the packager asked no further.
		ctx, leave := context.WithCancel(t.Context())
		made, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"9999", nil)
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan error)
		go func() { _, err := http.DefaultClient.Do(made); gone <- err }()
		<-p.begun

		// Two of four connections are held: no more are, and others are answered.
		expect("one too many", "/media/live.m3u8?_HLS_msn=10000", http.StatusServiceUnavailable)
		expect("a segment meanwhile", "/media/6.m4s", http.StatusOK)
		leave()
		if err := <-gone; err == nil {
			t.Errorf("%s: one who left has an answer", name)
		}
		if query := <-p.left; query != "_HLS_msn=9999" {
			t.Errorf("%s: the packager is no longer asked for %q", name, query)
		}

		// The head's time passes for something else, and not for what is held back.
		expect("what hangs", "/media/hangs.m4s", http.StatusGatewayTimeout)
		close(p.next)
		if got := <-viewer; got != "200 OK 7.m4s\n" {
			t.Errorf("%s: %q", name, got)
		}
		if t.Failed() {
			e.explain()
		}
	}
}
