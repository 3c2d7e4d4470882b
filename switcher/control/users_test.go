package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

const (
	childEnv = "GREENROOM_CONTROL_TEST_CHILD" // "<command> <socket>"
	daemon   = 1                              // uid and gid
	nobody   = 65534
)

// childResult is what a process of another user came to.
type childResult struct {
	OK          bool
	Status      int
	Code        string
	Error       string
	Unreachable bool
}

func childMain(spec string) int {
	command, socket, _ := strings.Cut(spec, " ")
	if command == "find" {
		fmt.Println(FindSocket("") + " " + DefaultSocket())
		return 0
	}
	c, ctx := NewClient(socket), context.Background()
	app := switcher.Request{Services: []string{"app"}, Reason: "from a child"}
	var err error
	switch command {
	case "status":
		_, err = c.Services(ctx)
	case "drain":
		_, err = c.Drain(ctx, switcher.DrainRequest{Request: app})
	case "cutover":
		_, err = c.Cutover(ctx, switcher.CutoverRequest{Request: app, To: switcher.Green})
	case "force":
		_, err = c.Rollback(ctx, switcher.RollbackRequest{Request: app, Force: true})
	default:
		err = fmt.Errorf("command %q", command)
	}
	result := childResult{OK: err == nil, Unreachable: errors.Is(err, ErrUnreachable)}
	if err != nil {
		result.Error = err.Error()
	}
	var p *Problem
	if errors.As(err, &p) {
		result.Status, result.Code = p.Status, p.Code
	}
	if json.NewEncoder(os.Stdout).Encode(result) != nil {
		return 1
	}
	return 0
}

// account is who a child process runs as.
type account struct {
	uid, gid uint32
	groups   []uint32
}

// as runs a command of the client in a process of another user.
func as(t *testing.T, who account, command, socket string) (result childResult) {
	t.Helper()
	out := runAs(t, who, childEnv+"="+command+" "+socket)
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("child: %q: %s", out, err)
	}
	return result
}

func runAs(t *testing.T, who account, env ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), readableBinary(t))
	cmd.Env, cmd.Dir = env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %s: %s", err, out)
	}
	return out
}

// asFind returns what FindSocket and DefaultSocket say to another user.
func asFind(t *testing.T, who account, env ...string) (found, own string) {
	t.Helper()
	found, own, _ = strings.Cut(strings.TrimSpace(string(runAs(t, who, append(env, childEnv+"=find")...))), " ")
	return found, own
}

// readableBinary is a copy of this program where other users can run it: go
// test builds it in a directory of its own user.
func readableBinary(t *testing.T) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(openDir(t), "control.test")
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAUserWithARuleMayDoWhatItSays(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{Group: "daemon", Policy: allow(daemon, RoleFlip)})
	who := account{uid: daemon, gid: daemon}
	if r := as(t, who, "cutover", s.path()); !r.OK {
		t.Fatalf("%+v", r)
	}
	if r := as(t, who, "force", s.path()); r.Status != http.StatusForbidden || r.Code != CodeNotAllowed {
		t.Errorf("force: %+v", r)
	}
	calls := sw.asked()
	if len(calls) != 1 || calls[0].request.(switcher.CutoverRequest).By != "uid 1 (daemon)" {
		t.Fatalf("%+v", calls)
	}
	lines := entries(t, s.audit)
	if len(lines) != 3 || lines[0].Decision != allowed || lines[1].Outcome != "done" || lines[2].Decision != refused {
		t.Fatalf("%+v", lines)
	}
	if w := lines[0].Who; *w.UID != daemon || *w.GID != daemon || *w.PID == 0 || w.Role != RoleFlip || lines[0].Reason != "from a child" {
		t.Errorf("%+v", lines[0])
	}
}

func TestAStrangerIsStoppedByTheFileSystem(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{Group: "daemon", Policy: allow(nobody, RoleForce)}) // even with a rule
	r := as(t, account{uid: nobody, gid: nobody}, "status", s.path())
	if r.OK || !r.Unreachable || !strings.Contains(r.Error, "permission denied") {
		t.Fatalf("%+v", r)
	}
	if want := "root, the user root and the group daemon (of " + filepath.Dir(s.path()); !strings.Contains(r.Error, want) {
		t.Errorf("%s\ndoes not say %q", r.Error, want)
	}
	if len(entries(t, s.audit)) != 0 || len(sw.asked()) != 0 {
		t.Error("a stranger came through")
	}
}

func TestAStrangerInTheGroupIsRefusedAndAudited(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{Group: "daemon", Policy: allow(daemon, RoleForce)})
	who := account{uid: nobody, gid: nobody, groups: []uint32{daemon}}
	for _, command := range []string{"status", "cutover"} {
		if r := as(t, who, command, s.path()); r.Status != http.StatusForbidden || r.Code != CodeNotAllowed {
			t.Errorf("%s: %+v", command, r)
		}
	}
	lines := entries(t, s.audit)
	if len(lines) != 2 || lines[0].Action != "services" || lines[1].Action != "cutover" || lines[1].Services[0] != "app" {
		t.Fatalf("%+v", lines)
	}
	for _, line := range lines {
		if line.Decision != refused || line.Code != CodeNotAllowed || *line.Who.UID != nobody || line.Who.Name != "uid 65534 (nobody)" {
			t.Errorf("%+v", line)
		}
	}
	if len(sw.asked()) != 0 {
		t.Error("a stranger reached the switcher")
	}
}

func TestASupplementaryGroupCountsAsTheKernelSays(t *testing.T) {
	sw := newRecorder()
	rules := []Rule{{GID: new(uint32(daemon)), Role: RoleDrain}}
	s := start(t, sw, Settings{Group: "daemon", Policy: Policy{rules}})
	// The user database does not know of this membership.
	who := account{uid: nobody, gid: nobody, groups: []uint32{20, daemon}}
	if r := as(t, who, "drain", s.path()); !r.OK {
		t.Errorf("drain: %+v", r)
	}
	if r := as(t, who, "cutover", s.path()); r.Code != CodeNotAllowed {
		t.Errorf("cutover: %+v", r)
	}
}
