package viewers_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the platform, with v1 on air, on blue, until the test ends.
func start(t *testing.T) *stage.Stage {
	t.Helper()
	ports, err := realserver.Ports(1)
	must(t, err)
	s, err := stage.Start(t.Context(), stage.Config{
		Dir: t.TempDir(), Example: "..", Edge: fmt.Sprintf("localhost:%d", ports[0]),
		Platform: fixture.Program(t, "platform", ".."), Greenroom: fixture.Program(t, "greenroom", "../../.."),
	})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, s.Deploy(t.Context(), "blue", "v1"))
	must(t, realserver.Until("v1 to answer", func() error {
		said, code, err := s.Greenroom(t.Context(), "status", "--json")
		if err != nil || code != 0 {
			return errors.Join(err, errors.New(said))
		}
		if v := view(t, said); len(v.Services) == 0 || v.Services[0].Blue.Healthy < 2 {
			return errors.New(said)
		}
		return nil
	}))
	return s
}

// video has ffmpeg make one, with a name that says of which format.
func video(t *testing.T, name string, args ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-nostdin", "-loglevel", "error"}, args...), file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return file
}

// film is 4 minutes of a test picture without sound, quickly encoded.
func film(t *testing.T) (file string) {
	t.Helper()
	return video(t, "film.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=4", "-t", "240", "-c:v", "libx264", "-preset", "ultrafast")
}

// holiday is somebody's video of more than 200 MB: 12 seconds, uncompressed.
func holiday(t *testing.T) (file string) {
	t.Helper()
	file = video(t, "holiday.mov", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=10", "-t", "12", "-c:v", "rawvideo", "-pix_fmt", "uyvy422")
	if info, err := os.Stat(file); err != nil || info.Size() < 200e6 {
		t.Fatalf("%s: %+v, %v", file, info, err)
	}
	return file
}

// ready waits until a title can be played.
func ready(t *testing.T, s *stage.Stage, title string) {
	t.Helper()
	db := fixture.Pool(t, s.DSN)
	must(t, realserver.Until(title+" to be ready", func() error {
		var state, why string
		err := db.QueryRow(t.Context(), "SELECT t.state, j.error FROM titles t JOIN jobs j ON j.subject = t.upload WHERE t.name = $1", title).Scan(&state, &why)
		switch {
		case err != nil || state == "ready":
			return err
		case state == "failed":
			return fmt.Errorf("%w: %s: %s", realserver.ErrEnded, title, why)
		}
		return errors.New(state + " " + why)
	}))
}

// whole fails unless the upload that a title was made of is in the bucket, byte
// for byte.
func whole(t *testing.T, s *stage.Stage, title, file string) {
	t.Helper()
	config := bucket.Config{Endpoint: s.S3URL, Name: "platform"}
	must(t, config.Keys(filepath.Join(s.Dir, "run", "s3.keys")))
	var key string
	must(t, fixture.Pool(t, s.DSN).QueryRow(t.Context(), "SELECT key FROM uploads WHERE name = $1", title).Scan(&key))
	body, err := bucket.New(config).Get(t.Context(), key)
	must(t, err)
	defer func() { _ = body.Close() }()
	f, err := os.Open(file)
	must(t, err)
	defer func() { _ = f.Close() }()
	if got, want := sum(t, body), sum(t, f); got != want {
		t.Errorf("%s is in the bucket with %s, and was %s", title, got, want)
	}
}

func sum(t *testing.T, from io.Reader) string {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, from)
	must(t, err)
	return fmt.Sprintf("%d bytes of SHA-256 %s", n, hex.EncodeToString(h.Sum(nil)))
}
