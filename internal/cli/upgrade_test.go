package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// upgrading is an edge that is being upgraded.
type upgrading struct {
	edge
	refusal error // of Upgrade

	mu      sync.Mutex
	reasons []string             // guarded by mu
	answer  *control.ProcessView // guarded by mu; nil: nobody answers
}

func (u *upgrading) Upgrade(_ context.Context, reason string) (control.ProcessView, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reasons = append(u.reasons, reason)
	return control.ProcessView{Pid: 7, Successor: 8}, u.refusal
}

func (u *upgrading) Process(context.Context) (control.ProcessView, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.answer == nil {
		return control.ProcessView{}, control.ErrUnreachable
	}
	return *u.answer, nil
}

// answers is what is said from now on.
func (u *upgrading) answers(v *control.ProcessView) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = v
}

// upgradeOf runs the command to its end, in a bubble.
func upgradeOf(ctx context.Context, u *upgrading, asJSON bool) <-chan ran {
	done := make(chan ran, 1)
	go func() {
		out, errs := newOutput(), newOutput()
		s := &session{edge: u, socket: "/run/s", command: "upgrade", json: asJSON, timeout: time.Minute, out: out, errs: errs}
		result, err := upgrade(ctx, s, "1.5")
		code := s.finish(result, err)
		done <- ran{out.String(), errs.String(), code}
	}()
	return done
}

func TestAnUpgradeIsDoneWhenTheNewProcessAnswers(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := &upgrading{answer: &control.ProcessView{Pid: 7, Successor: 8, Failed: ""}}
			done := upgradeOf(t.Context(), u, asJSON)
			time.Sleep(5 * time.Second)
			u.answers(nil) // while the socket changes hands
			time.Sleep(5 * time.Second)
			synctest.Wait()
			select {
			case r := <-done:
				t.Fatalf("it ended before the new process answered: %+v", r)
			default:
			}
			u.answers(&control.ProcessView{Pid: 8, Started: at, Elders: []control.ElderView{{Pid: 7, Inflight: 3}, {Pid: 6, Inflight: 1}}})
			r := <-done
			if r.exit != exitDone || r.errs != "" || len(u.reasons) != 1 || u.reasons[0] != "1.5" {
				t.Errorf("%+v, %q", r, u.reasons)
			}
			if !asJSON {
				if want := "edge: process 8 has taken over from 7, which finishes 3 exchanges\n"; r.out != want {
					t.Errorf("got  %q\nwant %q", r.out, want)
				}
				return
			}
			var doc upgraded
			must(t, json.Unmarshal([]byte(r.out), &doc))
			if doc.From != 7 || doc.Pid != 8 || len(doc.Elders) != 2 || doc.Elders[1].Inflight != 1 {
				t.Errorf("%s", r.out)
			}
		})
	}
}

func TestAnUpgradeThatDoesNotHappenSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upgrading{answer: &control.ProcessView{Pid: 7, Successor: 8}}
		done := upgradeOf(t.Context(), u, false)
		time.Sleep(time.Second)
		u.answers(&control.ProcessView{Pid: 7, Failed: "process 8 did not take over: it has ended, exit status 1; the log says why"})
		r := <-done
		want := "greenroom: upgrade (at /run/s): process 8 did not take over: it has ended, exit status 1; the log says why\n" +
			"  what to do: process 7 goes on as before; see the edge's log\n"
		if r.exit != exitRefused || r.out != "" || r.errs != want {
			t.Errorf("exit %d\n%q\nwant\n%q", r.exit, r.errs, want)
		}
	})
}

func TestAnUpgradeThatTakesTooLongIsNotCalledFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, answer := range []*control.ProcessView{nil, {Pid: 7, Successor: 8}} {
			r := <-upgradeOf(t.Context(), &upgrading{answer: answer}, true)
			var doc struct{ Error failure }
			must(t, json.Unmarshal([]byte(r.out), &doc))
			if e := doc.Error; r.exit != exitTimeout || e.Code != "timeout" || e.Detail != "process 8 has not taken over yet" || e.Exit != exitTimeout {
				t.Errorf("%+v", r)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := upgradeOf(ctx, &upgrading{}, false)
		time.Sleep(time.Second)
		cancel()
		if r := <-done; r.exit != exitInterrupted || !strings.Contains(r.errs, "process 8 has not taken over yet") {
			t.Errorf("%+v", r)
		}
	})
}

func TestAnUpgradeThatIsRefusedHasItsExitCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for is, want := range map[error]int{
			switcher.ErrRefused: exitRefused, switcher.ErrConflict: exitConflict, control.ErrUnreachable: exitUnreachable,
			errors.New("odd"): exitError,
		} {
			r := <-upgradeOf(t.Context(), &upgrading{refusal: fmt.Errorf("because: %w", is)}, false)
			if r.exit != want || !strings.Contains(r.errs, "because: ") {
				t.Errorf("%v: %+v", is, r)
			}
		}
	})
}

func TestUpgradeIsOursAndNotCaddys(t *testing.T) {
	h := &house{}
	for _, args := range [][]string{{"help", "upgrade"}, {"upgrade", "--help"}} {
		r := h.greenroom(t, args...)
		r.wants(t, exitDone, "then takes over: new connections")
		r.wants(t, exitDone, exitTable)
		if strings.Contains(r.out, "--keep-backup") || strings.Contains(r.out, "caddyserver.com") {
			t.Errorf("%v: it is Caddy's:\n%s", args, r.out)
		}
	}
	h.greenroom(t, "upgrade", "now").wants(t, exitError, "", "unknown command \"now\"")
	if r := h.greenroom(t, "help"); strings.Count(r.out, "\n  upgrade ") != 1 {
		t.Errorf("upgrade is listed %d times:\n%s", strings.Count(r.out, "\n  upgrade "), r.out)
	}
	h.socket = "/nonexistent/greenroom.sock"
	h.greenroom(t, "upgrade").wants(t, exitUnreachable, "")
}
