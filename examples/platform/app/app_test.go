package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/greenroom-proxy/greenroom/examples/platform/app"
	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/database"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// instance is an app that runs.
type instance struct {
	*httptest.Server
	// stop has it end its streams, as on SIGTERM; it still answers.
	stop func()
}

// start runs a version of the app until the test ends.
func start(t testing.TB, dsn, version string, b *bucket.Bucket) instance {
	t.Helper()
	v, err := app.Named(version)
	must(t, err)
	a := &app.App{Version: v, Instance: version, DB: fixture.Pool(t, dsn), Bucket: b, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	handler, err := a.Open(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	server := httptest.NewServer(handler)
	t.Cleanup(func() { cancel(); running.Wait(); server.Close() })
	return instance{server, cancel}
}

// viewer is a browser, as it were.
func viewer(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &http.Client{Jar: jar}
}

// call sends JSON, and reads it into out unless that is nil. It returns the
// status.
func call(ctx context.Context, c *http.Client, method, url string, in, out any) (int, error) {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return 0, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &body)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if out != nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, out)
	}
	return resp.StatusCode, err
}

func TestVersionsAndMigrationsAgreeAboutWhatWorksWithWhat(t *testing.T) {
	all, err := database.Migrations()
	must(t, err)
	for _, m := range all {
		for _, v := range app.Versions {
			says, is := slices.Contains(m.Apps, v.Name), v.SchemaMin <= m.Version && m.Version <= v.SchemaMax
			if says != is {
				t.Errorf("%s says of %s %v, which works with %d to %d", m.Name, v.Name, says, v.SchemaMin, v.SchemaMax)
			}
		}
	}
}

func TestAVersionRunsOnlyOnASchemaThatItWorksWithAndSaysWhichThoseAre(t *testing.T) {
	for schema := range int64(5) {
		if schema == 0 {
			continue
		}
		dsn := fixture.Database(t, schema-1)
		must(t, fixture.Migrate(t.Context(), dsn, schema, func(context.Context) error { return nil }))
		for _, v := range app.Versions {
			a := &app.App{Version: v, DB: fixture.Pool(t, dsn), Log: slog.New(slog.DiscardHandler)}
			handler, err := a.Open(t.Context())
			if good := v.SchemaMin <= schema && schema <= v.SchemaMax; good != (err == nil) {
				t.Errorf("%s on schema %d: %v", v.Name, schema, err)
			}
			if err != nil {
				continue
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest("GET", "/schema", nil))
			if want := fmt.Sprintf(`{"schema_max":%d,"schema_min":%d}`, v.SchemaMax, v.SchemaMin); strings.TrimSpace(answer.Body.String()) != want {
				t.Errorf("%s says %s", v.Name, answer.Body)
			}
		}
	}
}

func TestV3FailsForNewViewersOnly(t *testing.T) {
	dsn := fixture.Database(t, 2)
	good, bad := start(t, dsn, "v2", nil), start(t, dsn, "v3", nil)
	fan, novice := viewer(t), viewer(t)
	status, err := call(t.Context(), fan, "POST", good.URL+"/api/playing", map[string]any{"id": "1", "title": 0}, nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	for _, c := range []struct {
		who  *http.Client
		at   instance
		want int
	}{{fan, good, 200}, {novice, good, 200}, {fan, bad, 200}, {novice, bad, 500}} {
		if got, err := call(t.Context(), c.who, "GET", c.at.URL+"/api/catalog", nil, nil); got != c.want || err != nil {
			t.Errorf("%d instead of %d, %v", got, c.want, err)
		}
	}
	if got, err := call(t.Context(), novice, "GET", bad.URL+"/healthz", nil, nil); got != http.StatusOK || err != nil {
		t.Errorf("its health shows it: %d, %v", got, err)
	}
}

func TestWhatIsNotAskedForProperlyIsRefused(t *testing.T) {
	a := start(t, fixture.Database(t, 1), "v1", fixture.Bucket(t))
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/api/catalog?after=x", "", 400},
		{"GET", "/api/chat?after=-1", "", 400},
		{"GET", "/api/playing?after=x", "", 400},
		{"PUT", "/api/titles/1", `{"length":"0:00:01"}`, 404},
		{"PUT", "/api/titles/x", `{"length":"0:00:01"}`, 404},
		{"PUT", "/api/titles/1", `{"length":"1:60:00"}`, 400},
		{"PUT", "/api/titles/1", `{"duration_ms":9223372036854775807}`, 400},
		{"PUT", "/api/titles/1", `{"other":1}`, 400},
		{"PUT", "/api/session", `{"name":""}`, 400},
		{"PUT", "/api/session", `{"name":"a\nb"}`, 400},
		{"PUT", "/api/session", `{"name":"` + strings.Repeat("x", 20_000) + `"}`, 400},
		{"POST", "/api/uploads", `{"name":"a","size":0}`, 400},
		{"POST", "/api/uploads", `{"name":"a","size":99999999999}`, 400},
		{"POST", "/api/uploads/another/done", ``, 404},
		{"POST", "/api/playing", `{"id":"1","title":7}`, 404},
		{"POST", "/api/playing", `{"title":0}`, 400},
		{"GET", "/nothing", "", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, a.URL+c.path, strings.NewReader(c.body))
		must(t, err)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != c.want {
			t.Errorf("%s %s %.40s: %d", c.method, c.path, c.body, resp.StatusCode)
		}
	}
}

func TestOtherSitesPagesAreRefused(t *testing.T) {
	a := start(t, fixture.Database(t, 1), "v1", nil)
	req, err := http.NewRequestWithContext(t.Context(), "PUT", a.URL+"/api/session", strings.NewReader(`{"name":"x"}`))
	must(t, err)
	req.Header.Set("Origin", "http://elsewhere.example")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	_, refused, err := websocket.Dial(t.Context(), a.URL+"/api/chat", &websocket.DialOptions{HTTPHeader: req.Header})
	if resp.StatusCode != http.StatusForbidden || err == nil || refused.StatusCode != http.StatusForbidden {
		t.Errorf("%d, %v", resp.StatusCode, err)
	}
}

func TestThePageIsThere(t *testing.T) {
	a := start(t, fixture.Database(t, 1), "v1", nil)
	for path, has := range map[string]string{"/": "page.js", "/page.js": "WebSocket", "/page.css": "video"} {
		resp, err := http.Get(a.URL + path)
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if !strings.Contains(string(text), has) || resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}
