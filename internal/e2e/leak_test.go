package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// mediaApp is an application that still serves media. Its live stream has a
// piece for each value of beat.
func mediaApp(beat <-chan int) http.Handler {
	answer := func(contentType string, size int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, strings.Repeat("x", size))
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/vod/1.ts", answer("video/mp2t", 188000))
	mux.HandleFunc("/play", answer("application/vnd.apple.mpegurl", 321))
	mux.HandleFunc("/vod/whole.mp4", answer("application/octet-stream", 70000))
	mux.HandleFunc("/api", answer("application/json", 5000))
	mux.HandleFunc("/logo.png", answer("image/png", 5000))
	mux.HandleFunc("/backup.zip", answer("application/octet-stream", 5000))
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "video/mp2t")
		for range beat {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	})
	return mux
}

func TestMediaThatGoesThroughTheAppIsSeen(t *testing.T) {
	beat := make(chan int)
	app := newBackend(t, mediaApp(beat))
	services := func(balance string) string {
		return fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n balance %s\n}", app.address, app.address, balance)
	}
	e := newEdge(t, services("round_robin"))
	e.start()
	e.healthy()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // a reload closes idle connections
	askAll := func() {
		t.Helper()
		for _, path := range []string{"/vod/1.ts", "/play", "/vod/whole.mp4", "/api", "/logo.png", "/backup.zip"} {
			res, err := client.Get("http://" + e.http + path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
				t.Fatal(path, res.Status, err)
			}
			res.Body.Close()
		}
	}
	wants := func(want ...switcher.KindLeak) {
		t.Helper()
		l := e.view().MediaLeak
		if l == nil || fmt.Sprint(l.Kinds) != fmt.Sprint(want) {
			t.Errorf("counted %+v, want %v", l, want)
		}
	}
	askAll()
	wants(switcher.KindLeak{Kind: "segment", Responses: 1, Bytes: 188000}, switcher.KindLeak{Kind: "progressive", Responses: 1, Bytes: 70000}, switcher.KindLeak{Kind: "playlist", Responses: 1, Bytes: 321})

	endless := make(chan error, 1)
	go func() {
		res, err := client.Get("http://" + e.http + "/endless")
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		endless <- err
	}()
	beats := func(sum int) {
		t.Helper()
		beat <- sum
		e.until("the bytes of a stream that runs are counted", func() bool {
			return e.view().MediaLeak.Kinds[0] == switcher.KindLeak{Kind: "segment", Responses: 2, Bytes: int64(188000 + sum*len(piece))}
		})
	}
	beats(1)
	e.write(services("least_inflight"), siteBlueGreen)
	e.reload()
	beats(2)
	flip(e, 1, func(int) {})
	beats(3)
	close(beat)
	if err := <-endless; err != nil {
		t.Error(err)
	}
	askAll()
	segments := switcher.KindLeak{Kind: "segment", Responses: 3, Bytes: int64(2*188000 + 3*len(piece))}
	wants(segments, switcher.KindLeak{Kind: "progressive", Responses: 2, Bytes: 140000}, switcher.KindLeak{Kind: "playlist", Responses: 2, Bytes: 642})

	if out := e.cli("status", "app"); !strings.Contains(out.stdout, " in 7 responses went through the app (largest kind: segment), the last ") ||
		!strings.Contains(out.stdout, "as /vod/whole.mp4\n") {
		t.Error(out)
	}
	res, err := client.Get("http://" + e.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	metrics, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`greenroom_media_leak_bytes_total{kind="segment",service="app"} %d`, segments.Bytes); !strings.Contains(string(metrics), want) {
		t.Errorf("%s is not among the metrics", want)
	}
	e.stop()
	e.start()
	if l := e.view().MediaLeak; l != nil {
		t.Errorf("a restart has forgotten nothing: %+v", l)
	}
	e.stop()
}

func TestWithoutAMediaEdgePurgeAndMediaSaySo(t *testing.T) {
	app := newBackend(t, saying("app"))
	e := newEdge(t, fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", app.address, app.address))
	e.start()
	for _, args := range [][]string{{"media"}, {"purge", "/vod/1.ts"}, {"purge", "--all"}} {
		if out := e.cli(args...); out.code != 1 || !strings.Contains(out.stderr, "no media_edge") {
			t.Errorf("%v: %s", args, out)
		}
	}
	e.stop()
}
