package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

var app = map[string]switcher.Config{"app": {}}

func TestCutoverWaitsUntilTheOldColorIsSafeToStop(t *testing.T) {
	h := open(t, app)
	release := h.busy(t, "app")
	r := h.start(t, "cutover", "app", "--to", "green")
	r.out.awaits("draining")
	release()
	done := r.wait()
	done.wants(t, exitDone, "app: green serves 100% (generation 2). blue is safe to stop: 0 in-flight, 0 cut, drained in ")
	if !strings.HasPrefix(done.out, "+0.") {
		t.Errorf("events are not timed:\n%s", done.out)
	}
}

func TestCutoverOfAGroupMovesAllAsOne(t *testing.T) {
	h := open(t, map[string]switcher.Config{"app": {}, "api": {}})
	r := h.run(t, "cutover", "app", "api", "--to", "green")
	r.wants(t, exitDone, "app: green serves 100%")
	r.wants(t, exitDone, "api: green serves 100%")
	h.run(t, "rollback", "api").wants(t, exitDone, "app: blue serves 100% (generation 3). green is safe to stop")
}

func TestCutoverToTheActiveColorHasNothingToDo(t *testing.T) {
	h := open(t, app)
	h.run(t, "cutover", "app", "--to", "blue").wants(t, exitDone, "app: blue is active already, nothing to do")
	h.run(t, "plan", "app", "--to", "blue").wants(t, exitDone, "app: blue is active already, nothing to do")
}

func TestARefusalTellsTheGateAndItsReason(t *testing.T) {
	h := open(t, map[string]switcher.Config{"app": {Gates: []switcher.Gate{switcher.HealthyShare{Min: 1}}}})
	h.pools(t, "app", switcher.Pools{Blue: []switcher.Upstream{{Address: "10.0.0.1:80"}}})
	h.run(t, "cutover", "app", "--to", "green").wants(t, exitRefused, "", `gate "healthy": the green pool is empty`, "what to do: ")
	h.run(t, "plan", "app", "--to", "green").wants(t, exitRefused, "It would not go through now:", "the green pool is empty")
}

func TestAGateThatGivesUpLaterRefusesTheWaitingCommand(t *testing.T) {
	h := open(t, map[string]switcher.Config{"app": {Gates: []switcher.Gate{closedGateOf("not yet")}}})
	r := h.run(t, "cutover", "app", "--to", "green", "--gate-timeout", "300ms")
	r.wants(t, exitRefused, "app: blue serves 100% (generation 1), as before.", "refused by a gate: ", "not yet")
	r.wants(t, exitRefused, "waits for app, gate \"test\": not yet")
}

func TestTheWaitTimesOutAndTheMoveGoesOn(t *testing.T) {
	h := open(t, app)
	defer h.busy(t, "app")()
	r := h.run(t, "cutover", "app", "--to", "green", "--timeout", "200ms")
	r.wants(t, exitTimeout, "draining", "timed out after 200ms; the move ", " goes on", "greenroom rollback app")
	h.run(t, "cutover", "app", "--to", "green", "--no-wait").wants(t, exitDone, "app: cutover taken: draining")
}

func TestCtrlCEndsTheWaitAndNotTheMove(t *testing.T) {
	h := open(t, app)
	defer h.busy(t, "app")()
	r := h.start(t, "cutover", "app", "--to", "green")
	r.out.awaits("draining")
	r.interrupt()
	r.wait().wants(t, exitInterrupted, "", "interrupted while waiting; the move ", "undo it with: greenroom rollback app")
	h.run(t, "status", "app").wants(t, exitDone, "draining")
}

func TestAnotherGenerationIsAConflict(t *testing.T) {
	h := open(t, app)
	h.run(t, "cutover", "app", "--to", "green", "--if-generation", "7").wants(t, exitConflict, "", "generation 1, not 7")
	h.run(t, "cutover", "app", "--to", "green", "--if-generation", "1").wants(t, exitDone, "green serves 100%")
}

func TestALockStopsMovesUntilUnlock(t *testing.T) {
	h := open(t, app)
	h.run(t, "lock", "app", "--reason", "the match").wants(t, exitDone, "app: locked at blue 100%, green 0%. Only abort and rollback move it")
	h.run(t, "cutover", "app", "--to", "green").wants(t, exitConflict, "", "the match", "greenroom unlock")
	h.run(t, "status").wants(t, exitDone, "the match")
	h.run(t, "unlock", "app").wants(t, exitDone, "app: unlocked")
	h.run(t, "unlock", "app").wants(t, exitDone, "app: it is not locked, nothing to do")
}

func TestALockWithoutAReasonIsWrongUsage(t *testing.T) {
	h := open(t, app)
	h.run(t, "lock", "app").wants(t, exitError, "", `required flag(s) "reason" not set`)
	h.run(t, "lock", "app", "--reason", "").wants(t, exitInvalid, "", "a lock needs a reason")
}

func TestASocketThatIsNotThereIsUnreachable(t *testing.T) {
	h := &house{socket: t.TempDir() + "/none.sock"}
	for _, args := range [][]string{{"status"}, {"watch"}, {"history", "app"}, {"cutover", "app", "--to", "green"}, {"abort", "app", "--no-wait"}} {
		h.run(t, args...).wants(t, exitUnreachable, "", "none.sock", "GREENROOM_SOCKET")
	}
}

func TestSomebodyWithoutTheRoleIsNotAllowed(t *testing.T) {
	h := open(t, app)
	self := uint32(os.Geteuid())
	h.server.SetPolicy(control.Policy{Rules: []control.Rule{{UID: &self, Role: control.RoleView}}})
	h.run(t, "status").wants(t, exitDone, "app")
	h.run(t, "cutover", "app", "--to", "green").wants(t, exitNotAllowed, "", h.socket, "policy")
}

func TestAMoveThatIsUndoneWhileWaitedForFails(t *testing.T) {
	for _, undo := range []string{"abort", "rollback"} {
		t.Run(undo, func(t *testing.T) {
			h := open(t, app)
			r := h.start(t, "cutover", "app", "--to", "green", "--ramp", "10:hold")
			r.out.awaits("green 10%")
			h.run(t, undo, "app", "--reason", "too slow").wants(t, exitDone, "app: blue serves 100% (generation 3). green is safe to stop")
			r.wait().wants(t, exitUndone, "app: blue serves 100% (generation 3)", "too slow", "greenroom history app")
		})
	}
}

func TestAMoveThatIsSupersededFails(t *testing.T) {
	h := open(t, app)
	release := h.busy(t, "app")
	r := h.start(t, "cutover", "app", "--to", "green")
	r.out.awaits("draining")
	h.run(t, "cutover", "app", "--to", "blue", "--no-wait").wants(t, exitDone, "cutover taken")
	r.wait().wants(t, exitUndone, "", "superseded by another move: ")
	release()
}

func TestAnUnknownServiceHasItsOwnCode(t *testing.T) {
	h := open(t, app)
	for _, args := range [][]string{
		{"status", "nope"}, {"watch", "nope"}, {"history", "nope"}, {"plan", "nope", "--to", "green"}, {"cutover", "nope", "--to", "green"},
		{"split", "nope", "green=10"}, {"rollback", "nope"}, {"abort", "nope"}, {"drain", "nope"}, {"streams", "nope"}, {"evict", "nope"},
		{"hold", "nope"}, {"resume", "nope"}, {"lock", "nope", "--reason", "r"}, {"unlock", "nope"},
	} {
		h.run(t, args...).wants(t, exitUnknown, "", "nope", "greenroom status lists")
	}
}

func TestAValueThatCannotBeUsedIsInvalid(t *testing.T) {
	h := open(t, app)
	for _, args := range [][]string{
		{"cutover", "app", "--to", "red"}, {"cutover", "app", "--to", "green", "--ramp", "50,10"},
		{"plan", "app", "--to", "green", "--gate-timeout", "999h"}, {"split", "app", "red=10"}, {"split", "app", "green=101"},
		{"split", "app", "green=x"}, {"status", "--timeout", "-1s"}, {"hold", "app", "--reason", strings.Repeat("x", 501)},
		{"streams", "app", "--color", "red"}, {"streams", "app", "--kind", "sse,tcp"}, {"streams", "app", "--limit", "0"},
		{"streams", "app", "--limit", "1001"}, {"evict", "app", "--color", "red"}, {"evict", "app", "--kind", "tcp"}, {"evict", "app", "--id", "a,,b"},
	} {
		h.run(t, args...).wants(t, exitInvalid, "", "--help")
	}
}

func TestAnEdgeThatCannotStoreItsStateSaysSo(t *testing.T) {
	h := open(t, app)
	h.store.FailWith(errors.New("disk full"))
	h.run(t, "lock", "app", "--reason", "r").wants(t, exitStore, "", "disk full")
}

// A rollback goes through without a store, but the next start would not know
// of it.
func TestAMoveThatCouldNotBeStoredWarnsAndSucceeds(t *testing.T) {
	const warning = "\n  warning: the state on disk is older than what is served: "
	for _, args := range [][]string{{"rollback", "app"}, {"rollback", "app", "--no-wait"}, {"rollback", "app", "--json"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			h := open(t, app)
			r := h.run(t, "cutover", "app", "--to", "green")
			r.wants(t, exitDone, "green serves 100%")
			if strings.Contains(r.out, "warning") {
				t.Errorf("warned of nothing:\n%s", r.out)
			}
			h.store.FailWith(errors.New("disk full"))
			want := warning
			if args[len(args)-1] == "--json" {
				want = `"warnings":["the state on disk is older than what is served: `
			}
			h.run(t, args...).wants(t, exitDone, want)
		})
	}
}

func TestAWaitThatEndsEarlyWarnsToo(t *testing.T) {
	h := open(t, app)
	h.run(t, "cutover", "app", "--to", "green").wants(t, exitDone, "")
	release := h.busy(t, "app")
	defer release()
	h.store.FailWith(errors.New("disk full"))
	h.run(t, "rollback", "app", "--timeout", "1s").wants(t, exitTimeout, "  warning: the state on disk is older", "goes on")
}

func TestSplitWaitsUntilItServes(t *testing.T) {
	h := open(t, app)
	h.run(t, "split", "app", "green=25").wants(t, exitDone, "blue 75%, green 25% (generation 2), held there. greenroom resume app goes on")
	h.run(t, "split", "app", "green=50%").wants(t, exitDone, "blue 50%, green 50% (generation 3), held there")
	h.run(t, "split", "app", "green=10").wants(t, exitDone, "blue 90%, green 10% (generation 4), held there")
	h.run(t, "status").wants(t, exitDone, "ramping")
	h.run(t, "resume", "app").wants(t, exitDone, "app: green serves 100% (generation 5). blue is safe to stop")
	h.run(t, "split", "app", "green=100").wants(t, exitDone, "serves already, nothing to do")
	h.run(t, "history", "app").wants(t, exitDone, "split")
}

func TestASplitBackToNothingUndoesTheMove(t *testing.T) {
	h := open(t, app)
	h.run(t, "split", "app", "green=25").wants(t, exitDone, "held there")
	h.run(t, "split", "app", "green=0").wants(t, exitDone, "app: blue serves 100% (generation 3). green is safe to stop")
}

func TestHoldAndResumeSteerARamp(t *testing.T) {
	h := open(t, app)
	r := h.start(t, "cutover", "app", "--to", "green", "--ramp", "10:1h")
	r.out.awaits("green 10%")
	h.run(t, "hold", "app", "--reason", "wait").wants(t, exitDone, "app: █████████░ blue 90%, green 10% (generation 2), held there")
	r.out.awaits("held")
	h.run(t, "status", "app").wants(t, exitDone, "held")
	h.run(t, "resume", "app", "--no-wait").wants(t, exitDone, "app: resume taken: ramping")
	h.run(t, "abort", "app").wants(t, exitDone, "app: blue serves 100%")
	r.wait().wants(t, exitUndone, "resumed")
	h.run(t, "hold", "app").wants(t, exitConflict, "", "no ramp is under way")
}

func TestDrainSaysWhenTheIdleColorIsSafeToStop(t *testing.T) {
	h := open(t, app)
	lease, _ := h.sw.Service("app").AcquireIdle()
	r := h.start(t, "drain", "app")
	r.out.awaits("draining")
	lease.Release()
	r.wait().wants(t, exitDone, "app: blue serves 100% (generation 1). green is safe to stop: 0 in-flight, 0 cut")
}

func TestRollbackToADeadColorNeedsForce(t *testing.T) {
	h := open(t, app)
	h.run(t, "cutover", "app", "--to", "green").wants(t, exitDone, "")
	h.pools(t, "app", switcher.Pools{Green: []switcher.Upstream{{Address: "10.0.1.1:80"}}})
	h.run(t, "rollback", "app").wants(t, exitRefused, "", "the pool is empty")
	h.run(t, "rollback", "app", "--force").wants(t, exitDone, "app: blue serves 100%")
	h.run(t, "rollback", "app").wants(t, exitConflict, "", "nothing to roll back to")
}

func TestJSONIsOneDocumentThatHoldsTheErrorToo(t *testing.T) {
	h := open(t, app)
	one := func(want int, args ...string) (doc struct {
		Result   string
		Services json.RawMessage
		Moves    []switcher.Move
		Gates    []switcher.Verdict
		Error    *failure
	}) {
		t.Helper()
		r := h.run(t, append(args, "--json")...)
		if r.exit != want {
			t.Errorf("%v: exit %d, want %d: %s", args, r.exit, want, r.errs)
		}
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil || strings.Count(r.out, "\n") != 1 {
			t.Errorf("%v: %v in:\n%s", args, err, r.out)
		}
		if want != 0 && (doc.Error == nil || doc.Error.Exit != want || doc.Error.Detail == "" || doc.Error.Code == "") {
			t.Errorf("%v: the error is %+v", args, doc.Error)
		}
		return doc
	}
	if doc := one(0, "cutover", "app", "--to", "green"); doc.Result != "done" || !bytes.Contains(doc.Services, []byte(`"idle":"blue","inflight":0,"safe_to_stop":true`)) {
		t.Errorf("%s: %s", doc.Result, doc.Services)
	}
	one(0, "status")
	one(0, "plan", "app", "--to", "blue")
	if doc := one(0, "history", "app"); len(doc.Moves) != 1 {
		t.Errorf("%+v", doc)
	}
	one(exitUnknown, "status", "nope")
	one(exitInvalid, "cutover", "app", "--to", "red")
	one(exitConflict, "abort", "app")
	one(0, "lock", "app", "--reason", "r")
	one(exitRefused, "plan", "app", "--to", "blue")
	one(exitConflict, "drain", "app")
}

func TestEachErrorHasItsExitCode(t *testing.T) {
	for want, errs := range map[int][]error{
		exitError:       {errDown, &control.Problem{Code: control.CodeInternal}},
		exitRefused:     {&switcher.GateError{}, &control.Problem{Code: control.CodeRefusedByGate}},
		exitTimeout:     {context.DeadlineExceeded},
		exitConflict:    {&control.Problem{Code: control.CodeConflict}, &control.Problem{Code: control.CodeLocked}},
		exitUnreachable: {control.ErrUnreachable, control.ErrStreamEnded, &control.Problem{Code: control.CodeClosed}, &control.Problem{Code: control.CodeBusy}},
		exitNotAllowed:  {&control.Problem{Code: control.CodeNotAllowed}},
		exitUnknown:     {&control.Problem{Code: control.CodeUnknownService}},
		exitInvalid:     {&control.Problem{Code: control.CodeInvalid}, &control.Problem{Code: control.CodeTooLarge}},
		exitStore:       {&control.Problem{Code: control.CodeStoreFailed}, &control.Problem{Code: control.CodeAuditFailed}},
		exitInterrupted: {context.Canceled},
	} {
		for _, err := range errs {
			if f := failed(fmt.Errorf("wrapped: %w", err)); f.Exit != want || f.Code == "" || f.Detail == "" {
				t.Errorf("%v: %+v, want exit %d", err, f, want)
			}
		}
	}
	if f := failed(nil); f != nil {
		t.Errorf("no error: %+v", f)
	}
}

func TestASplitToNothingEndsAMoveThatStillPrepares(t *testing.T) {
	h := open(t, map[string]switcher.Config{"app": {Gates: []switcher.Gate{closedGateOf("not yet")}}})
	h.run(t, "split", "app", "green=25", "--no-wait").wants(t, exitDone, "app: split taken: preparing")
	h.run(t, "split", "app", "green=0").wants(t, exitDone, "app: blue serves 100% (generation 1), as before.")
}
