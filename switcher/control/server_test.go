package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestShutdownWaitsForACommandUnderWay(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	begun, goOn := make(chan struct{}), make(chan struct{})
	sw.before = func(ctx context.Context, _ string) error {
		close(begun)
		<-goOn
		return ctx.Err()
	}
	answered, stopped := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Cutover(t.Context(), switcher.CutoverRequest{Request: request("app"), To: switcher.Green})
		answered <- err
	}()
	<-begun
	go func() { stopped <- s.stop() }()
	for isSocket(s.path()) { // until the server has stopped listening
	}
	close(goOn)
	if err := errors.Join(<-answered, <-stopped); err != nil {
		t.Error(err)
	}
}

func TestShutdownGivesUpOnACommandThatDoesNotEnd(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	s.Server.grace = 0
	begun := make(chan struct{})
	sw.before = func(ctx context.Context, _ string) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}
	answered := make(chan error, 1)
	go func() {
		_, err := s.Cutover(t.Context(), switcher.CutoverRequest{Request: request("app"), To: switcher.Green})
		answered <- err
	}()
	<-begun
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if err := <-answered; err == nil {
		t.Error("acknowledged")
	}
	lines := entries(t, s.audit)
	if last := lines[len(lines)-1]; last.Outcome != "failed" || last.Code != CodeClosed {
		t.Errorf("%+v", last)
	}
}

func TestACallerThatHangsUpDoesNotStopItsCommand(t *testing.T) {
	sw := newRecorder()
	sw.before = func(ctx context.Context, _ string) error { return ctx.Err() }
	ctx, cancel := context.WithCancel(WithIdentity(t.Context(), Identity{Name: "x", Role: RoleFlip}))
	cancel()
	w := httptest.NewRecorder()
	NewHandler(sw, openAudit(t), nil).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/services/app/hold", nil))
	if w.Code != http.StatusOK {
		t.Error(w.Code, w.Body)
	}
}

func TestNobodyIsLetInWithoutAnIdentity(t *testing.T) {
	sw, audit := newRecorder(), openAudit(t)
	for _, c := range roleNeeded {
		w := httptest.NewRecorder()
		NewHandler(sw, audit, nil).ServeHTTP(w, httptest.NewRequest(c.sent.method, c.sent.path, strings.NewReader(c.sent.body)))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"code":"not_allowed"`) {
			t.Errorf("%s: %d %s", c.sent.path, w.Code, w.Body)
		}
	}
	if len(sw.asked()) != 0 {
		t.Error(sw.asked())
	}
}

func TestTheHandlerCanBeMountedUnderAPrefix(t *testing.T) {
	sw, audit := newRecorder(), openAudit(t)
	h := http.StripPrefix("/greenroom", NewHandler(sw, audit, nil))
	ctx := WithIdentity(t.Context(), Identity{Name: "admin API", Role: RoleFlip})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/greenroom/v1/services/app%2Fb%20c/hold", nil))
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"code":"unknown_service"`) {
		t.Error(w.Code, w.Body)
	}
	got := sw.asked()[0].request.(switcher.Request)
	if got.By != "admin API" || got.Services[0] != "app/b c" {
		t.Errorf("%+v", got)
	}
	if line := entries(t, audit)[0]; line.Who.Name != "admin API" || line.Who.UID != nil {
		t.Errorf("%+v", line.Who)
	}
}

func TestAServiceIsNamedOnceAndFirst(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	resp, p := raw(t, s.path(), sent{"POST", "/v1/services/app/hold", asJSON, `{"services":["web","app"]}`}.String())
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, p)
	}
	if got := sw.asked()[0].request.(switcher.Request).Services; strings.Join(got, " ") != "app web" {
		t.Error(got)
	}
}

func TestManyRequestsShareAConnection(t *testing.T) {
	s := start(t, newRecorder(), Settings{})
	conn := dial(t, s.path())
	in := bufio.NewReader(conn)
	for range 3 {
		for _, c := range append(roleNeeded, roleNeeded...) {
			if _, err := io.WriteString(conn, c.sent.String()); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Close {
				t.Fatal(err, resp)
			}
		}
	}
}

func TestTheQuotaKeepsRoomForOperators(t *testing.T) {
	q := quota{max: 64}
	fill := func(uid uint32, role Role) (n int, releases []func()) {
		for {
			release, ok := q.take(uid, role)
			if !ok {
				return n, releases
			}
			n, releases = n+1, append(releases, release)
		}
	}
	var all []func()
	for _, c := range []struct {
		uid  uint32
		role Role
		want int
	}{
		{9, RoleNone, 4}, {10, RoleNone, 0}, // strangers share
		{1, RoleView, 16}, {2, RoleFlip, 16}, {3, RoleDrain, 12}, {4, RoleFlip, 0},
		{0, RoleForce, 16}, {500, RoleForce, 0},
	} {
		n, releases := fill(c.uid, c.role)
		if n != c.want {
			t.Errorf("uid %d (%s) got %d, want %d", c.uid, c.role, n, c.want)
		}
		all = append(all, releases...)
	}
	for _, release := range all {
		release()
		release() // once counts
	}
	if q.total != 0 || q.ordinary != 0 || q.strangers != 0 || len(q.users) != 0 {
		t.Errorf("%+v", &q)
	}
}

func TestAConnectionTooManyIsToldSo(t *testing.T) {
	s := start(t, newRecorder(), Settings{MaxConns: 16})
	for range 16 {
		dial(t, s.path()) // closed before the server stops
	}
	resp, p := raw(t, s.path(), sent{"GET", "/v1/services", "", ""}.String())
	if resp.StatusCode != http.StatusServiceUnavailable || p.Code != CodeBusy || !resp.Close {
		t.Errorf("%s %+v", resp.Status, p)
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	path := filepath.Join(openDir(t), "c")
	for _, settings := range []Settings{
		{Socket: path, MaxConns: 15}, {Socket: path, MaxConns: -1}, {Socket: path, MaxConns: 1 << 20},
		{Socket: path, Group: "no-such-group"}, {Socket: "relative"},
	} {
		if s, err := Listen(settings, nil, nil); err == nil {
			t.Errorf("%+v: %v", settings, s.Close())
		}
	}
	s, err := Listen(Settings{Socket: path}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || isSocket(path) {
		t.Error(err)
	}
}

func TestEveryCodeHasItsStatusInTheManual(t *testing.T) {
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for code, k := range kinds {
		found := false
		for line := range strings.Lines(string(manual)) {
			fields := strings.Fields(strings.TrimPrefix(line, "//"))
			found = found || len(fields) > 2 && fields[0] == code && fields[1] == strconv.Itoa(k.status)
		}
		if !found || k.title == "" {
			t.Errorf("%s %d is not in the manual", code, k.status)
		}
	}
}
