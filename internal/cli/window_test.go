package cli

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestTheRollbackWindowIsToldByTheExitCode(t *testing.T) {
	h := open(t, map[string]switcher.Config{"app": {}, "api": {}})
	h.run(t, "rollback-window", "app").wants(t, exitWindow, "app: rollback window open: no cutover has been completed here", "do not contract yet")
	h.run(t, "cutover", "app", "--to", "green", "--rollback-window", "1h").wants(t, exitDone, "")
	h.run(t, "rollback-window", "app").wants(t, exitWindow, "a rollback to blue is reckoned with until ")
	h.run(t, "status", "app").wants(t, exitDone, "goes to blue; window open: a rollback to blue")
	h.run(t, "cutover", "api", "--to", "green", "--rollback-window", "1ms").wants(t, exitDone, "")
	h.run(t, "rollback-window", "api", "--wait", "--timeout", "1m").wants(t, exitDone, "api: rollback window closed: blue is drained")
	h.run(t, "rollback-window", "api", "app").wants(t, exitWindow, "api: rollback window closed", "a rollback of app is still open")
	h.run(t, "rollback-window", "app", "--wait", "--timeout", "10ms").wants(t, exitTimeout, "", "a rollback of app is still open")
	h.run(t, "rollback", "app").wants(t, exitDone, "")
	h.run(t, "rollback-window", "app", "--wait").wants(t, exitUndone, "app: rollback window undone: the last cutover was undone: blue serves again")
	h.run(t, "rollback-window", "nope").wants(t, exitUnknown, "")
}

func TestTheRollbackWindowInJSON(t *testing.T) {
	h := open(t, app)
	h.run(t, "cutover", "app", "--to", "green").wants(t, exitDone, "")
	r := h.run(t, "rollback-window", "app", "--json")
	var doc struct {
		Closed   bool
		Services []struct {
			Service, State, To, Reason string
			Until                      time.Time
		}
		Error struct {
			Code string
			Exit int
		}
	}
	must(t, json.Unmarshal([]byte(r.out), &doc))
	s := doc.Services[0]
	if doc.Closed || s.Service != "app" || s.State != "open" || s.To != "blue" || s.Reason == "" || time.Until(s.Until) < 29*time.Minute || doc.Error.Code != "window_open" || doc.Error.Exit != exitWindow {
		t.Errorf("got %s", r.out)
	}
}

func TestAFailurePolicyIsAnOptionOfACutover(t *testing.T) {
	h := open(t, app)
	h.run(t, "plan", "app", "--to", "green", "--ramp", "10:1h", "--on-failure", "freeze").wants(t, exitDone, "if a gate closes on the way, or green fails or does worse: stay at the weight, until somebody resumes")
	h.run(t, "plan", "app", "--to", "green", "--ramp", "10:1h").wants(t, exitDone, "all traffic goes back at once (rollback)")
	h.run(t, "cutover", "app", "--to", "green", "--on-failure", "pray").wants(t, exitInvalid, "", `"pray"`, "forward_only")
	h.run(t, "cutover", "app", "--to", "green", "--rollback-window", "1000h").wants(t, exitInvalid, "", "720h")
	h.run(t, "cutover", "app", "--to", "green", "--ramp", "10:1h", "--on-failure", "forward_only", "--no-wait").wants(t, exitDone, "")
	h.run(t, "status", "app").wants(t, exitDone, "if a gate closes or it fails: stay at the weight, and go on when that is mended")
}
