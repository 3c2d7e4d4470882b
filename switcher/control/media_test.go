package control

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// fakeMedia is a Media that remembers what was to be purged.
type fakeMedia struct {
	view   MediaView
	result PurgeResult
	err    error // of both

	mu     sync.Mutex
	purged []PurgeRequest // guarded by mu
}

func (m *fakeMedia) Purge(_ context.Context, q PurgeRequest) (PurgeResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.purged = append(m.purged, q)
	return m.result, m.err
}

func (m *fakeMedia) Media(context.Context) (MediaView, error) { return m.view, m.err }

func (m *fakeMedia) asked() []PurgeRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.purged
}

func startMedia(t *testing.T, settings Settings) (*started, *fakeMedia) {
	t.Helper()
	m := &fakeMedia{
		view: MediaView{
			Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Origins: []MediaOrigin{{
				Name: "s3", Requests: 9, Failures: 1, Failovers: 2, Resumes: 3,
				Endpoints: []MediaEndpoint{{Address: "10.0.0.1:9000", Healthy: true, Requests: 8}, {Address: "10.0.0.2:9000", Reason: "connection refused", Requests: 1, Failures: 1}},
			}},
			Cache: &MediaCache{Objects: 4, MemoryUsed: 5, MemoryLimit: 1 << 40, DiskUsed: 6, DiskLimit: 7, Hits: 8, Misses: 9, Coalesced: 10, Evictions: 11, DiskErrors: 16},
			Rules: []MediaRule{{Name: "1 /vod/", Mode: "proxy", Origin: "s3", Requests: 12, Bytes: 13, Sessions: 14, Starved: 15}},
		},
		result: PurgeResult{Dropped: 3, Origins: []PurgedOrigin{{"backup", 1}, {"s3", 2}}},
	}
	if settings.Socket == "" {
		settings.Socket = openDir(t) + "/s/control.sock"
	}
	audit := openAudit(t)
	h := NewHandler(newRecorder(), audit, nil)
	h.SetMedia(m)
	return startHandler(t, settings, h, audit), m
}

func TestMediaComesThroughTheSocketAsItIs(t *testing.T) {
	s, m := startMedia(t, Settings{})
	if got, err := s.Media(t.Context()); err != nil || !reflect.DeepEqual(got, m.view) {
		t.Errorf("%+v, %v, want %+v", got, err, m.view)
	}
	got, err := s.Purge(t.Context(), PurgeRequest{Path: "/vod/42/master.m3u8", Origin: "s3"})
	if err != nil || !reflect.DeepEqual(got, m.result) {
		t.Errorf("%+v, %v, want %+v", got, err, m.result)
	}
}

func TestAPurgeGetsTheCanonicalPath(t *testing.T) {
	s, m := startMedia(t, Settings{})
	for _, q := range []PurgeRequest{
		{Path: "/vod/%34%32/a%20b%2Bc.mp4"}, {Path: "/vod/42/a b+c.mp4"}, {Prefix: "/%E2%82%AC/", Origin: "a b"}, {Prefix: "/", All: true}, {Path: "/"}, {Path: "/vod/"},
	} {
		if _, err := s.Purge(t.Context(), q); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	var got []string
	for _, q := range m.asked() {
		got = append(got, fmt.Sprint(q.Path, "|", q.Prefix, "|", q.All, "|", q.Origin, "|", q.By))
	}
	by := "|uid 0 (root)"
	want := []string{"/vod/42/a b+c.mp4||false|" + by, "/vod/42/a b+c.mp4||false|" + by, "|/€/|false|a b" + by, "|/|true|" + by, "/||false|" + by, "/vod/||false|" + by}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAPurgeOfSomethingElseIsRefusedAndNeverBecomesACommand(t *testing.T) {
	s, m := startMedia(t, Settings{})
	long := "/" + strings.Repeat("a", maxPurgePath)
	for body, why := range map[string]string{
		``: "either", `{}`: "either", `{"all":true}`: "either", `{"origin":"s3"}`: "either", `{"path":""}`: "either",
		`{"path":"/a","prefix":"/b/"}`: "either", `{"path":"/a","all":true}`: "goes with the prefix", `{"prefix":"/a/","all":true}`: "goes with the prefix",
		`{"prefix":"/"}`: "all that is cached", `{"prefix":"/vod"}`: "slash at the end", `{"prefix":"/vod/4*"}`: "slash at the end",
		`{"path":"vod/a"}`: "begin with a slash", `{"path":"http://h/a"}`: "begin with a slash", `{"path":"/a?b"}`: "a query",
		`{"path":"/vod/../a"}`: "dot or empty segment", `{"path":"/vod/%2e%2e/a"}`: "dot or empty segment", `{"path":"/vod//a"}`: "empty segment",
		`{"prefix":"//"}`: "empty segment", `{"prefix":"/a%2fb/"}`: "encoded slash", `{"path":"/a%252e"}`: "percent sign", `{"path":"/a%zz"}`: "hexadecimal",
		`{"path":"/a\\b"}`: "backslash", `{"path":"/a\u0000"}`: "NUL", `{"path":"/a\n"}`: "control character", `{"path":"/%ff"}`: "UTF-8", `{"path":"/a;b"}`: "semicolon",
		`{"path":"` + long + `"}`: "at most 3072", `{"prefix":"` + long + `/"}`: "at most 3072",
		`{"path":"/a","origin":"a\nb"}`: "control characters", `{"path":"/a","origin":"` + long[:201] + `"}`: "200 bytes",
		`{"path":"/a","services":["app"]}`: "of no service", `{"path":"/a","if_generation":1}`: "of no service",
		`{"path":"/a","reason":"` + long[:501] + `"}`: "500", `{"path":"/a","force":true}`: "force", `{"path":"/a","path":"/b"}`: "path",
		`{"paths":["/a"]}`: "paths", `{"path":["/a"]}`: "path", `{"path":null}`: "path", `{"Path":"/a"}`: "Path", `{"path":"/a","by":"root"}`: "by", `[]`: "object",
	} {
		resp, p := raw(t, s.path(), sent{"POST", "/v1/purge", asJSON, body}.String())
		if resp.StatusCode != http.StatusBadRequest || p.Code != CodeInvalid || !strings.Contains(p.Detail, why) || len(p.Detail) > 1000 {
			t.Errorf("%.80s: %d %+v, want %q", body, resp.StatusCode, p, why)
		}
	}
	if purged, lines := m.asked(), entries(t, s.audit); len(purged)+len(lines) > 0 {
		t.Errorf("purged %+v, audited %+v", purged, lines)
	}
}

func TestAPurgeIsAuditedWithWhatItDropped(t *testing.T) {
	s, m := startMedia(t, Settings{})
	if _, err := s.Purge(t.Context(), PurgeRequest{Request: switcher.Request{Reason: "takedown 7"}, Prefix: "/vod/%34/", Origin: "s3"}); err != nil {
		t.Fatal(err)
	}
	m.err = fmt.Errorf("%w: no origin is called s4: there are backup and s3", switcher.ErrInvalid)
	_, err := s.Purge(t.Context(), PurgeRequest{Path: "/a", Origin: "s4"})
	wantProblem(t, err, http.StatusBadRequest, CodeInvalid, switcher.ErrInvalid)
	lines := entries(t, s.audit)
	if len(lines) != 4 {
		t.Fatalf("%+v", lines)
	}
	asked, done, failed := lines[0], lines[1], lines[3]
	if asked.Action != "purge" || asked.Decision != allowed || asked.Reason != "takedown 7" || string(asked.Request) != `{"prefix":"/vod/4/","origin":"s3"}` || len(asked.Services) > 0 {
		t.Errorf("%+v %s", asked, asked.Request)
	}
	if done.Ref != asked.Seq || done.Outcome != "done" || done.Detail != "3 objects dropped" {
		t.Errorf("%+v", done)
	}
	if failed.Outcome != "failed" || failed.Code != CodeInvalid || !strings.Contains(failed.Detail, "s4") {
		t.Errorf("%+v", failed)
	}
	verifyLog(t, s.audit)
}

func TestAPurgeThatCannotBeAuditedDropsNothing(t *testing.T) {
	s, m := startMedia(t, Settings{})
	s.audit.file = &flaky{auditFile: s.audit.file, full: true, cuts: true}
	_, err := s.Purge(t.Context(), PurgeRequest{Path: "/a"})
	wantProblem(t, err, http.StatusServiceUnavailable, CodeAuditFailed, nil)
	if purged := m.asked(); len(purged) > 0 {
		t.Errorf("%+v", purged)
	}
}

func TestAPurgeNeedsFlipAndMediaView(t *testing.T) {
	for role := RoleNone; role <= RoleForce; role++ {
		s, m := startMedia(t, Settings{Policy: allow(0, role)})
		for _, c := range []struct {
			sent sent
			need Role
		}{
			{sent{"GET", "/v1/media", "", ""}, RoleView}, {sent{"POST", "/v1/purge", asJSON, `{"path":"/a"}`}, RoleFlip},
		} {
			want, code := http.StatusOK, ""
			if role < c.need {
				want, code = http.StatusForbidden, CodeNotAllowed
			}
			if resp, p := raw(t, s.path(), c.sent.String()); resp.StatusCode != want || p.Code != code {
				t.Errorf("%s: %s: %d %+v", role, c.sent.path, resp.StatusCode, p)
			}
		}
		if purged := m.asked(); len(purged) > 0 != (role >= RoleFlip) {
			t.Errorf("%s: %+v", role, purged)
		}
	}
}

func TestWithoutAMediaEdgeBothSaySo(t *testing.T) {
	s, m := startMedia(t, Settings{})
	m.err = ErrNoMedia
	for _, c := range []*Client{s.Client, start(t, newRecorder(), Settings{}).Client} {
		_, err := c.Media(t.Context())
		wantProblem(t, err, http.StatusNotFound, CodeNotFound, nil)
		_, err = c.Purge(t.Context(), PurgeRequest{Path: "/a"})
		wantProblem(t, err, http.StatusNotFound, CodeNotFound, nil)
	}
}

func TestTheHitRatioIsOfWhatWasAskedFor(t *testing.T) {
	for _, c := range []struct {
		cache MediaCache
		want  float64
		known bool
	}{
		{MediaCache{}, 0, false}, {MediaCache{Hits: 3, Misses: 1}, 0.75, true}, {MediaCache{Misses: 1}, 0, true}, {MediaCache{Hits: 1 << 63, Misses: 1 << 63}, 0.5, true},
	} {
		if got, known := c.cache.HitRatio(); got != c.want || known != c.known {
			t.Errorf("%+v: %v, %v", c.cache, got, known)
		}
	}
}
