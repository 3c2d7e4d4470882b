package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// greenroom runs the test binary as greenroom itself, through Caddy's Main.
func (h *house) greenroom(t *testing.T, args ...string) ran {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "GREENROOM_TEST_MAIN=1", "GREENROOM_SOCKET="+h.socket)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is the exit code
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func TestTheBinaryExitsWithTheCodes(t *testing.T) {
	h := open(t, app)
	h.greenroom(t, "cutover", "app", "--to", "green").wants(t, exitDone, "app: green serves 100%")
	h.greenroom(t, "status", "nope").wants(t, exitUnknown, "", "greenroom: status nope")
	h.greenroom(t, "abort", "app").wants(t, exitConflict, "")
	h.greenroom(t, "cutover").wants(t, exitError, "", "Error: name at least one service")
	r := h.greenroom(t, "abort", "app")
	if strings.Contains(r.errs, "Error:") || strings.Contains(r.errs, "exiting with status") {
		t.Errorf("the error is said twice:\n%s", r.errs)
	}
}

func TestASignalEndsTheWaitOfTheBinary(t *testing.T) {
	h := open(t, app)
	defer h.busy(t, "app")()
	cmd := exec.Command(os.Args[0], "cutover", "app", "--to", "green")
	cmd.Env = append(os.Environ(), "GREENROOM_TEST_MAIN=1", "GREENROOM_SOCKET="+h.socket)
	out, errs := newOutput(), newOutput()
	cmd.Stdout, cmd.Stderr = out, errs
	must(t, cmd.Start())
	out.awaits("draining")
	must(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait() // its error is the exit code
	ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}.wants(t, exitInterrupted, "", "goes on")
}

func TestTheHelpDocumentsEachCommand(t *testing.T) {
	h := &house{}
	h.greenroom(t, "help").wants(t, exitDone, "Greenroom is a blue/green edge proxy")
	h.greenroom(t, "help", "exit-codes").wants(t, exitDone, "18  the edge cannot store its state")
	if r := h.greenroom(t, "--help"); !strings.Contains(r.out, "$ greenroom run --config Caddyfile\n  $ greenroom reload") || strings.Contains(r.out, "$ caddy") {
		t.Errorf("the examples are Caddy's:\n%s", r.out)
	}
	h.greenroom(t, "audit", "--help").wants(t, exitDone, "verify")
	h.greenroom(t, "audit", "verify", "--help").wants(t, exitDone, exitTable)
	for _, c := range commands() {
		r := h.run(t, c.name, "--help")
		r.wants(t, exitDone, exitTable)
		if !slices.Contains(strings.FieldsFunc(rootLong, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }), c.name) {
			t.Errorf("greenroom --help does not speak of %s", c.name)
		}
		for _, want := range []string{"greenroom " + c.name, "--json", "--timeout", "--reason", "--socket", "Examples:"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("%s --help does not speak of %s:\n%s", c.name, want, r.out)
			}
		}
	}
}

func TestThePackageCommentListsTheExitCodesOfTheHelp(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	must(t, err)
	for text := range strings.Lines(exitTable) {
		if !strings.Contains(string(doc), strings.TrimSpace(text)) && !strings.HasPrefix(text, "Exit codes") {
			t.Errorf("not in doc.go: %s", text)
		}
	}
}

func TestCompletionAsksTheEdge(t *testing.T) {
	h := open(t, map[string]switcher.Config{"app": {}, "api": {}, "evil\nname": {}})
	for args, want := range map[string]string{
		"drain|":             "api\napp\n:4\n",
		"cutover|":           "--to\napi\napp\n:4\n",
		"cutover|app|":       "--to\napi\n:4\n",
		"cutover|app|--to|":  "blue\ngreen\n:4\n",
		"split|app|":         "blue=\ngreen=\n:6\n",
		"split|app|green=1|": ":4\n",
		"history|app|":       ":4\n",
		"streams|app|":       ":4\n",
		"evict|app|--color|": "blue\ngreen\n:4\n",
		"evict|app|--kind|request,websocket,sse,download,":                                 "request,websocket,sse,download,upload\nrequest,websocket,sse,download,live\nrequest,websocket,sse,download,grpc\n:6\n",
		"drain|app|--drain-deadline|request=1m,websocket=1m,sse=1m,download=1m,upload=1m,": "request=1m,websocket=1m,sse=1m,download=1m,upload=1m,live=\nrequest=1m,websocket=1m,sse=1m,download=1m,upload=1m,grpc=\n:6\n",
		"status|--socket|no|": ":4\n",
	} {
		r := h.run(t, append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Split(args, "|")...)...)
		if r.out != want {
			t.Errorf("%s: %q, want %q", args, r.out, want)
		}
	}
	h.greenroom(t, "completion", "bash").wants(t, exitDone, "greenroom")
}

func TestWatchPrintsOneLineForEachEventWhenPiped(t *testing.T) {
	h := open(t, app)
	r, j := h.start(t, "watch", "app"), h.start(t, "watch", "--json")
	for _, watcher := range []*running{r, j} { // until both listen
		for !strings.Contains(watcher.out.String(), "lock") {
			h.run(t, "lock", "app", "--reason", "r")
			h.run(t, "unlock", "app")
		}
	}
	h.run(t, "cutover", "app", "--to", "green").wants(t, exitDone, "")
	r.out.awaits("app: cutover done in ")
	j.out.awaits(`"type":"end"`)
	r.interrupt()
	j.interrupt()
	r.wait().wants(t, exitDone, "app: ░░░░░░░░░░ traffic: blue 0%, green 100%")
	for text := range strings.Lines(j.wait().out) {
		var e switcher.Event
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Seq == 0 {
			t.Errorf("%v: %s", err, text)
		}
	}
	h.run(t, "watch", "--timeout", "1ms").wants(t, exitDone, "")
}
