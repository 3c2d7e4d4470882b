package proxy

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/handover"
	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestAnUpgradeIsRefusedAtOnceWhereItCannotBe(t *testing.T) {
	for name, prepare := range map[string]func(*runtime){
		"a process that ends":              func(rt *runtime) { rt.leaving.Store(new(leaving)) },
		"one that is being replaced":       func(rt *runtime) { rt.upgrade.successor.Store(7) },
		"one without a config":             func(*runtime) {},
		"one with two":                     func(rt *runtime) { rt.apps = make([]*App, 2); rt.stop = func() {} },
		"one that has not taken over yet":  func(rt *runtime) { rt.apps = make([]*App, 1); rt.stop = func() {}; rt.disk = understudy{} },
		"one that is doing something else": func(rt *runtime) { rt.mu.Lock() }, // and may wait for this command to end
	} {
		rt := &runtime{log: slog.New(slog.DiscardHandler)}
		prepare(rt)
		was := rt.upgrade.successor.Load()
		if err := rt.Upgrade(t.Context()); !errors.Is(err, switcher.ErrConflict) {
			t.Errorf("%s: got %v", name, err)
		}
		equal(t, name+": successor", rt.upgrade.successor.Load(), was)
	}
}

func TestASuccessorThatCannotServeAsThisProcessDoesDoesNotFit(t *testing.T) {
	sw, s := stage(t)
	rt := &runtime{switcher: sw, stateDir: "/state", apps: make([]*App, 1), supervisors: map[string]*supervisor{"app": nil, "new": nil}}
	healthy := func(blue, green int) map[string]switcher.PerColor[int] {
		return map[string]switcher.PerColor[int]{"app": {Blue: blue, Green: green}}
	}
	is := func(r ready, want string) {
		t.Helper()
		switch err := rt.fit(&r); {
		case want == "" && err != nil:
			t.Errorf("%+v: %v", r, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%+v: got %v, want %q", r, err, want)
		}
	}
	is(ready{StateDir: "/state", Healthy: healthy(1, 0)}, "") // green has no traffic
	is(ready{StateDir: "/state"}, "")                         // it was taken out of the config
	is(ready{StateDir: "/state", Healthy: healthy(0, 1)}, "no healthy upstream of app's blue")
	is(ready{StateDir: "/other", Healthy: healthy(1, 1)}, "state_dir")
	is(ready{StateDir: "/state", Healthy: healthy(1, 1), Error: "no memory"}, "no memory")
	for _, e := range s.Table().Pools.Blue.Endpoints() {
		sw.SetHealth(e, switcher.Health{Known: true})
	}
	is(ready{StateDir: "/state", Healthy: healthy(0, 0)}, "") // no worse than here
	rt.leaving.Store(new(leaving))
	is(ready{StateDir: "/state", Healthy: healthy(1, 1)}, "asked to end")
	rt.leaving.Store(nil)
	rt.apps = make([]*App, 2)
	is(ready{StateDir: "/state", Healthy: healthy(1, 1)}, "a config is being loaded")
}

func TestAFileWithThePidNamesThisProcessAgainAfterAnUpgradeThatFailed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	for _, args := range [][]string{
		{"greenroom", "run", "--pidfile", path}, {"greenroom", "run", "--pidfile=" + path, "--watch"},
	} {
		must(t, os.WriteFile(path, []byte("999999999\n"), 0o600))
		must(t, restorePidFile(args))
		text := fileText(path)
		equal(t, "pid", strings.TrimSpace(text), strconv.Itoa(os.Getpid()))
	}
	must(t, os.Remove(path))
	for _, args := range [][]string{{"greenroom", "run"}, {"greenroom", "run", "--pidfile"}, {"greenroom", "run", "--pidfile="}, nil} {
		must(t, restorePidFile(args))
	}
}

// Caddy starts apps in any order: when this one has started there may be no
// listener yet, and there may never be.
func TestANewProcessWhoseListenersFailIsNeverReadyToTakeOver(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	for range 8 {
		h := newHouse(t)
		h.http = taken.Addr().String()
		ours, theirs := net.Pipe()
		rt, err := loadRuntime()
		must(t, err)
		rt.predecessor = &handover.Predecessor{Conn: handover.NewConn(theirs)}
		if err := h.try(h.caddyfile(h.services(""), "respond hello")); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Fatalf("got %v", err)
		}
		var said json.RawMessage
		if err := handover.NewConn(ours).Receive(&said, 20*time.Millisecond); err == nil {
			t.Fatalf("it was ready with %s", said)
		}
		_, err = runtimes.Delete(runtimeKey)
		must(t, err)
	}
}
