package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

func TestOneUserMayMoveTrafficAndTheOtherIsRefusedAndAudited(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test acts as two users, for which it must run as root")
	}
	const deploy, stranger, operators = 1, 65534, 2
	blue, green := newBackend(t, saying("blue")), newBackend(t, saying("green"))
	e := newEdge(t, "")
	e.options = fmt.Sprintf("group %d\nallow user %d flip\nallow group %d view", operators, deploy, operators+1)
	e.write(fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", blue.address, green.address), siteBlueGreen)
	openPath(t, e.dir)
	e.start()
	e.healthy()

	allowed := &syscall.Credential{Uid: deploy, Gid: operators}
	if out := e.cliAs(allowed, "cutover", "app", "--to", "green"); out.code != 0 {
		t.Errorf("the user who may: %s", out)
	}
	if out := e.cliAs(allowed, "rollback", "app", "--force"); out.code != 14 {
		t.Errorf("the user who may flip, with force: want exit code 14: %s", out)
	}
	connects := &syscall.Credential{Uid: stranger, Gid: operators}
	if out := e.cliAs(connects, "rollback", "app"); out.code != 14 || !strings.Contains(out.stderr, "uid 65534") {
		t.Errorf("the user who may not: want exit code 14 and his name: %s", out)
	}
	outside := &syscall.Credential{Uid: stranger, Gid: stranger}
	if out := e.cliAs(outside, "status"); out.code != 13 || !strings.Contains(out.stderr, "permission denied") {
		t.Errorf("the user who cannot even connect: want exit code 13: %s", out)
	}
	watches := &syscall.Credential{Uid: stranger, Gid: operators, Groups: []uint32{operators + 1}}
	if out := e.cliAs(watches, "status"); out.code != 0 {
		t.Errorf("the user who may look, by a supplementary group: %s", out)
	}
	if v := e.view(); v.Active != switcher.Green || v.Generation != 2 {
		t.Errorf("%s is active, generation %d", v.Active, v.Generation)
	}
	if h, err := e.client().History(t.Context(), "app"); err != nil || len(h) != 1 || !strings.Contains(h[0].By, "uid 1") {
		t.Errorf("history: %+v, %v", h, err)
	}
	e.stop()
	audited(t, filepath.Join(e.dir, "state", "audit.jsonl"))
}

// audited wants the log to hold the move and both refusals, in a whole chain.
func audited(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := control.VerifyAudit(strings.NewReader(string(content))); err != nil || n < 4 {
		t.Errorf("%d lines, %v", n, err)
	}
	var refused, accepted int
	for line := range strings.Lines(string(content)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
		if strings.Contains(line, "not_allowed") {
			refused++
		}
		if strings.Contains(line, `"uid":1,`) && strings.Contains(line, "cutover") {
			accepted++
		}
	}
	if refused < 2 || accepted < 1 {
		t.Errorf("%d refusals, %d moves in:\n%s", refused, accepted, content)
	}
}

// openPath lets other users reach what is in dir, as far as its own mode goes.
func openPath(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
