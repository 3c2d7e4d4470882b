package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/examples/platform/queue"
	"github.com/greenroom-proxy/greenroom/examples/platform/worker"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

type catalog struct {
	Titles []struct {
		ID                         int64
		Name, State, Media, Length string
		DurationMS                 *int64 `json:"duration_ms"`
	}
}

func TestAnUploadIsWholeAndPlayableThoughTheVersionChangesOnItsWay(t *testing.T) {
	dsn, b := fixture.Database(t, 2), fixture.Bucket(t)
	v1, v2 := start(t, dsn, "v1", b), start(t, dsn, "v2", b)
	work(t, dsn, b)
	video, size := source(t)
	who := viewer(t)
	var ticket struct{ ID, Method, URL string }
	ask := func(at instance, method, path string, in, out any, want int) {
		t.Helper()
		if status, err := call(t.Context(), who, method, at.URL+path, in, out); status != want || err != nil {
			t.Fatalf("%s %s: %d, %v", method, path, status, err)
		}
	}
	ask(v1, "POST", "/api/uploads", map[string]any{"name": "Mine", "size": size}, &ticket, 200)
	done := fmt.Sprintf("/api/uploads/%s/done", ticket.ID)
	ask(v2, "POST", done, nil, nil, 409) // it is not there yet
	req, err := http.NewRequestWithContext(t.Context(), ticket.Method, ticket.URL, video)
	must(t, err)
	req.ContentLength = size
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the bucket answers %d", resp.StatusCode)
	}
	var first, second struct{ Title int64 }
	ask(v1, "POST", done, nil, &first, 200)
	ask(v2, "POST", done, nil, &second, 200) // the first answer was lost, say
	if first != second {
		t.Errorf("titles %d and %d of one upload", first.Title, second.Title)
	}
	if status, _ := call(t.Context(), viewer(t), "POST", v1.URL+done, nil, nil); status != 404 {
		t.Errorf("another viewer's upload: %d", status)
	}

	var found catalog
	must(t, realserver.Until("the title", func() error {
		ask(v1, "GET", "/api/catalog", nil, &found, 200)
		if len(found.Titles) != 1 || found.Titles[0].State != "ready" {
			return fmt.Errorf("the catalog has %+v", found)
		}
		return nil
	}))
	if got := found.Titles[0]; got.Name != "Mine" || got.Length != "0:00:02" {
		t.Errorf("got %+v", got)
	}
	if o, err := b.Head(t.Context(), found.Titles[0].Media); err != nil || o.ContentType != "application/vnd.apple.mpegurl" {
		t.Errorf("%+v, %v", o, err)
	}
	ask(v2, "GET", "/api/catalog", nil, &found, 200)
	if ms := found.Titles[0].DurationMS; ms == nil || *ms/1000 != 2 {
		t.Errorf("v2 says %+v", found.Titles[0])
	}
}

// source makes a video of two seconds, and says how large it is.
func source(t *testing.T) (*os.File, int64) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "source.mp4")
	out, err := exec.Command("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "2",
		"-c:v", "libx264", "-preset", "ultrafast", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	video, err := os.Open(file)
	must(t, err)
	t.Cleanup(func() { _ = video.Close() })
	info, err := video.Stat()
	must(t, err)
	return video, info.Size()
}

// work runs a worker until the test ends.
func work(t *testing.T, dsn string, b *bucket.Bucket) {
	t.Helper()
	w := worker.Worker{
		Name: "w", Queue: queue.Queue{DB: fixture.Pool(t, dsn), Lease: 30 * time.Second}, Bucket: b, Bell: new(feed.Bell),
		Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

func TestAnUploadThatIsNoVideoBecomesATitleThatHasFailed(t *testing.T) {
	dsn, b := fixture.Database(t, 2), fixture.Bucket(t)
	v2, db := start(t, dsn, "v2", b), fixture.Pool(t, dsn)
	fixture.Exec(t, dsn, "INSERT INTO titles (name, upload) VALUES ('Broken', 'u')")
	fixture.Exec(t, dsn, "INSERT INTO jobs (subject, input, attempt) VALUES ('u', '{}', $1)", queue.MaxAttempts-1)
	q := queue.Queue{DB: db, Lease: time.Minute}
	j, err := q.Take(t.Context(), "w")
	must(t, err)
	must(t, q.Fail(t.Context(), j, fmt.Errorf("no video")))
	must(t, realserver.Until("the title to have failed", func() error {
		var found catalog
		_, err := call(t.Context(), http.DefaultClient, "GET", v2.URL+"/api/catalog", nil, &found)
		if err == nil && found.Titles[0].State != "failed" {
			err = fmt.Errorf("the catalog has %+v", found)
		}
		return err
	}))
}
