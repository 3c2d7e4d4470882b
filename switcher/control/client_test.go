package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

var _ interface {
	Services(ctx context.Context) ([]switcher.ServiceView, error)
	Cutover(ctx context.Context, req switcher.CutoverRequest) (switcher.Receipt, error)
} = (*Client)(nil)

func TestTheSwitchersErrorsSurviveTheSocket(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	for code, k := range kinds {
		if k.err == nil {
			continue
		}
		sw.before = func(context.Context, string) error { return fmt.Errorf("because: %w", k.err) }
		_, err := s.Hold(t.Context(), request("app"))
		wantProblem(t, err, k.status, code, k.err)
		if want := "because: " + k.err.Error(); err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	sw.before = func(context.Context, string) error { return errors.New("odd") }
	_, err := s.Hold(t.Context(), request("app"))
	wantProblem(t, err, http.StatusInternalServerError, CodeInternal, nil)
	sw.views = func() ([]switcher.ServiceView, error) { return nil, switcher.ErrClosed }
	_, err = s.Services(t.Context())
	wantProblem(t, err, http.StatusServiceUnavailable, CodeClosed, switcher.ErrClosed)
}

func TestTheMostTellingErrorGivesTheCode(t *testing.T) {
	both := fmt.Errorf("%w: %w", switcher.ErrClosed, switcher.ErrInvalid)
	if code := codeOf(both); code != CodeInvalid {
		t.Error(code)
	}
}

func TestAnUnreachableServerComesWithAHint(t *testing.T) {
	dir := openDir(t)
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for socket, want := range map[string]string{
		filepath.Join(dir, "none"):         "is greenroom running? looked at " + dir + "/none; set --socket or GREENROOM_SOCKET",
		filepath.Join(stale, "below"):      "is greenroom running? looked at ",
		stale:                              "is left from a process that ended",
		"/tmp/" + strings.Repeat("a", 200): "set --socket or GREENROOM_SOCKET",
	} {
		_, err := NewClient(socket).Services(t.Context())
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "http://") {
			t.Errorf("%s: %v", socket, err)
		}
		for _, err := range NewClient(socket).Events(t.Context()) {
			if !errors.Is(err, ErrUnreachable) {
				t.Error(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient(stale).Services(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

func TestSomethingElseOnTheSocketIsToldApart(t *testing.T) {
	path := filepath.Join(openDir(t), "c")
	startHandler(t, Settings{Socket: path}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "moved"):
			http.Redirect(w, r, "http://elsewhere/", http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "html"):
			_, _ = w.Write([]byte("<html>"))
		default:
			http.Error(w, "teapot", http.StatusTeapot)
		}
	}), nil)
	c := NewClient(path)
	for name, want := range map[string]string{
		"moved": "unexpected answer 302 Found", "html": "answer: invalid character", "x": "unexpected answer 418 I'm a teapot: teapot",
	} {
		if _, err := c.View(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesOfAllKindsReachTheSwitcherWhole(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	for _, name := range []string{"a/b", "a b", "a?b#c", "ä", "a%2Fb", "a;b", "a+b&c=d", "services"} {
		_, err := s.View(t.Context(), name)
		wantProblem(t, err, http.StatusNotFound, CodeUnknownService, switcher.ErrUnknownService)
		calls := sw.asked()
		if got := calls[len(calls)-1].request; got != name {
			t.Errorf("%q arrived as %q", name, got)
		}
	}
}

func TestTheSocketIsFoundWhereItShouldBe(t *testing.T) {
	if got := DefaultSocket(); got != systemSocket {
		t.Error(got)
	}
	t.Setenv("GREENROOM_SOCKET", "/from/env")
	if got := FindSocket("/explicit"); got != "/explicit" {
		t.Error(got)
	}
	if got := FindSocket(""); got != "/from/env" {
		t.Error(got)
	}
	t.Setenv("GREENROOM_SOCKET", "")
	if got := FindSocket(""); got != systemSocket {
		t.Error(got)
	}
}

func TestTheSocketOfAnOrdinaryUserIsHisOwn(t *testing.T) {
	runtime, temp := openDir(t), openDir(t)
	if err := os.Chmod(temp, 0o1777); err != nil {
		t.Fatal(err)
	}
	ask := func(env ...string) (found, own string) {
		t.Helper()
		return asFind(t, account{uid: daemon, gid: daemon}, env...)
	}
	own := filepath.Join(runtime, "greenroom", "control.sock")
	if _, got := ask("XDG_RUNTIME_DIR=" + runtime); got != own {
		t.Error(got)
	}
	want := filepath.Join(temp, "greenroom-1", "control.sock")
	if found, got := ask("TMPDIR=" + temp); got != want || found != want {
		t.Error(found, got)
	}
	bound(t, own, new(uint32(daemon)))
	if found, _ := ask("XDG_RUNTIME_DIR=" + runtime); found != own {
		t.Error(found)
	}
}
