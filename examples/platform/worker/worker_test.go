package worker_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/examples/platform/queue"
	"github.com/greenroom-proxy/greenroom/examples/platform/worker"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// asWorker is the environment of a test binary that is a worker to be killed.
const asWorker = "PLATFORM_TEST_WORKER"

type process struct {
	DSN    string
	Bucket bucket.Config
	FFmpeg string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(asWorker); text != "" {
		var p process
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			panic(err)
		}
		db, err := pgxpool.New(context.Background(), p.DSN)
		if err != nil {
			panic(err)
		}
		newWorker("killed", db, bucket.New(p.Bucket), p.FFmpeg).Run(context.Background())
	}
	fixture.Main(m)
}

func newWorker(name string, db *pgxpool.Pool, b *bucket.Bucket, ffmpeg string) worker.Worker {
	return worker.Worker{
		Name: name, Queue: queue.Queue{DB: db, Lease: 3 * time.Second}, Bucket: b, Bell: new(feed.Bell), FFmpeg: ffmpeg,
		Log: slog.New(slog.DiscardHandler),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upload puts a file into the bucket, and a job for it into the queue.
func upload(t *testing.T, db *pgxpool.Pool, b *bucket.Bucket, subject, file string) {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer func() { _ = f.Close() }()
	must(t, b.Put(t.Context(), "uploads/"+subject, f, "video/mp4", "no-store"))
	must(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Add(t.Context(), tx, subject, queue.Input{Key: "uploads/" + subject})
	}))
}

// video makes a file of three seconds with sound, or without.
func video(t *testing.T, sound bool) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "source.mp4")
	args := []string{"-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"}
	if sound {
		args = append(args, "-f", "lavfi", "-i", "sine", "-c:a", "aac")
	}
	out, err := exec.Command("ffmpeg", append(args, "-t", "3", "-c:v", "libx264", "-preset", "ultrafast", file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// start runs a worker until the test ends.
func start(t *testing.T, w worker.Worker) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// result waits for the next.
func result(t *testing.T, db *pgxpool.Pool) queue.Result {
	t.Helper()
	var got queue.Result
	must(t, realserver.Until("a result", func() error {
		found, err := queue.Tell(t.Context(), db, func(_ pgx.Tx, r queue.Result) error { got = r; return nil })
		if err == nil && !found {
			err = pgx.ErrNoRows
		}
		return err
	}))
	return got
}

func text(t *testing.T, b *bucket.Bucket, key string) string {
	t.Helper()
	body, err := b.Get(t.Context(), key)
	must(t, err)
	defer func() { _ = body.Close() }()
	all, err := io.ReadAll(body)
	must(t, err)
	return string(all)
}

// check reads a stream of two variants in the bucket as a player would, and
// returns how many segments there are.
func check(t *testing.T, b *bucket.Bucket, index string) int {
	t.Helper()
	segments, variants := 0, 0
	under := func(playlist string, each func(string)) {
		for line := range strings.Lines(text(t, b, playlist)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				each(playlist[:strings.LastIndex(playlist, "/")+1] + line)
			}
		}
		o, err := b.Head(t.Context(), playlist)
		must(t, err)
		if o.ContentType != "application/vnd.apple.mpegurl" || o.CacheControl == "" {
			t.Errorf("%s: %+v", playlist, o)
		}
	}
	under(index, func(variant string) {
		variants++
		under(variant, func(segment string) {
			segments++
			o, err := b.Head(t.Context(), segment)
			if err != nil || o.Size == 0 || o.ContentType != "video/mp2t" || !strings.Contains(o.CacheControl, "immutable") {
				t.Errorf("%s: %+v, %v", segment, o, err)
			}
		})
	})
	if variants != 2 {
		t.Errorf("%s has %d variants", index, variants)
	}
	return segments
}

func TestAnUploadBecomesHLSInTheBucketThoughItsFirstWorkerIsKilled(t *testing.T) {
	db := fixture.Pool(t, fixture.Database(t, 1))
	config := fixture.BucketConfig(t)
	b := bucket.New(config)
	must(t, b.Make(t.Context()))

	// The first worker has an ffmpeg that never ends.
	stuck := filepath.Join(t.TempDir(), "ffmpeg")
	must(t, os.WriteFile(stuck, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755))
	env, err := json.Marshal(process{DSN: db.Config().ConnString(), Bucket: config, FFmpeg: stuck})
	must(t, err)
	first, err := realserver.Start(os.Args[0], nil, []string{asWorker + "=" + string(env), "TMPDIR=" + t.TempDir()}, filepath.Join(t.TempDir(), "log"))
	must(t, err)
	upload(t, db, b, "a", video(t, true))
	must(t, realserver.Until("the first worker's lease to have been extended", func() error {
		var extended bool
		err := db.QueryRow(t.Context(), "SELECT worker = 'killed' AND lease_until > now() + interval '2 seconds' FROM jobs").Scan(&extended)
		if err == nil && !extended {
			err = pgx.ErrNoRows
		}
		return err
	}))
	start(t, newWorker("second", db, b, ""))
	first.End(9)

	got := result(t, db)
	if got.Subject != "a" || got.Output == nil || got.Output.Path != "titles/a/2/main.m3u8" {
		t.Fatalf("got %+v", got)
	}
	if ms := got.Output.DurationMS; ms < 2900 || ms > 3200 {
		t.Errorf("%d ms of 3 s", ms)
	}
	if n := check(t, b, got.Output.Path); n != 4 {
		t.Errorf("%d segments of two variants of 3 s", n)
	}
	if list := text(t, b, "titles/a/2/hi/index.m3u8"); !strings.Contains(list, "#EXT-X-ENDLIST") {
		t.Errorf("a title without an end: %s", list)
	}
}

func TestAVideoWithoutSoundIsEncodedAndOtherFormatsFail(t *testing.T) {
	db := fixture.Pool(t, fixture.Database(t, 1))
	b := fixture.Bucket(t)
	w := newWorker("w", db, b, "")
	w.Queue.Lease = time.Minute // nobody is to lose one here
	start(t, w)
	upload(t, db, b, "silent", video(t, false))
	if got := result(t, db); got.Output == nil || check(t, b, got.Output.Path) != 4 {
		t.Errorf("got %+v", got)
	}
	// ffmpeg knows what this is, but it is to open nothing but files of a few formats.
	other := filepath.Join(t.TempDir(), "other.y4m")
	out, err := exec.Command("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5", "-t", "1", other).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err = db.Exec(t.Context(), "ALTER TABLE jobs ALTER attempt SET DEFAULT 4") // the last attempt is the next
	must(t, err)
	upload(t, db, b, "other", other)
	if got := result(t, db); got.Output != nil || !strings.Contains(got.Error, "no video that can be encoded") {
		t.Errorf("got %+v", got)
	}
}

func TestALiveStreamMovesOnAndWhatItNamesIsThere(t *testing.T) {
	b := fixture.Bucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Live{Bucket: b, Log: slog.New(slog.DiscardHandler)}.Run(ctx) }()
	var seen []string
	must(t, realserver.Until("three versions of a live playlist", func() error {
		if _, err := b.Head(t.Context(), "live/main.m3u8"); err != nil {
			return err
		}
		list := text(t, b, "live/hi/index.m3u8")
		if len(seen) == 0 || seen[len(seen)-1] != list {
			seen = append(seen, list)
			check(t, b, "live/main.m3u8")
		}
		if len(seen) < 3 {
			return pgx.ErrNoRows
		}
		return nil
	}))
	for _, list := range seen {
		if strings.Contains(list, "#EXT-X-ENDLIST") || !strings.Contains(list, "#EXT-X-PROGRAM-DATE-TIME") {
			t.Errorf("a live playlist: %s", list)
		}
	}
	cancel()
	must(t, <-ended)
}
