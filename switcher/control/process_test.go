package control

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// fakeProcess is a Process that counts how often it was to be upgraded.
type fakeProcess struct {
	view     ProcessView
	err      error // of Upgrade
	upgrades atomic.Int64
}

func (p *fakeProcess) Process() ProcessView { return p.view }

func (p *fakeProcess) Upgrade(context.Context) error {
	p.upgrades.Add(1)
	return p.err
}

func startProcess(t *testing.T, settings Settings) (*started, *fakeProcess) {
	t.Helper()
	p := &fakeProcess{view: ProcessView{
		Pid: 7, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Successor: 8, Failed: "why",
		Elders: []ElderView{{Pid: 6, Inflight: 1 << 40}, {Pid: 5}},
	}}
	if settings.Socket == "" {
		settings.Socket = openDir(t) + "/s/control.sock"
	}
	audit := openAudit(t)
	h := NewHandler(newRecorder(), audit, nil)
	h.SetProcess(p)
	return startHandler(t, settings, h, audit), p
}

func TestAProcessComesThroughTheSocketAsItIs(t *testing.T) {
	s, p := startProcess(t, Settings{})
	got, err := s.Process(t.Context())
	if err != nil || !reflect.DeepEqual(got, p.view) {
		t.Errorf("%+v, %v, want %+v", got, err, p.view)
	}
	got, err = s.Upgrade(t.Context(), "")
	if err != nil || !reflect.DeepEqual(got, p.view) || p.upgrades.Load() != 1 {
		t.Errorf("%+v, %v after %d upgrades", got, err, p.upgrades.Load())
	}
}

func TestAnUpgradeIsAuditedWithItsReasonAndItsOutcome(t *testing.T) {
	s, p := startProcess(t, Settings{})
	if _, err := s.Upgrade(t.Context(), "version 1.5"); err != nil {
		t.Fatal(err)
	}
	p.err = fmt.Errorf("%w: process 6 still accepts", switcher.ErrConflict)
	_, err := s.Upgrade(t.Context(), "again")
	wantProblem(t, err, http.StatusConflict, CodeConflict, switcher.ErrConflict)
	lines := entries(t, s.audit)
	if len(lines) != 4 {
		t.Fatalf("%+v", lines)
	}
	asked, done, failed := lines[0], lines[1], lines[3]
	if asked.Action != "upgrade" || asked.Reason != "version 1.5" || asked.Decision != allowed || asked.Who.Name != "uid 0 (root)" || len(asked.Services) != 0 {
		t.Errorf("%+v", asked)
	}
	if done.Ref != asked.Seq || done.Action != "upgrade" || done.Outcome != "done" {
		t.Errorf("%+v", done)
	}
	if failed.Ref != lines[2].Seq || failed.Outcome != "failed" || failed.Code != CodeConflict {
		t.Errorf("%+v", failed)
	}
	verifyLog(t, s.audit)
}

func TestAnUpgradeThatIsRefusedIsAuditedAndNotBegun(t *testing.T) {
	s, p := startProcess(t, Settings{Policy: allow(0, RoleFlip)})
	_, err := s.Upgrade(t.Context(), "")
	wantProblem(t, err, http.StatusForbidden, CodeNotAllowed, nil)
	lines := entries(t, s.audit)
	if len(lines) != 1 || lines[0].Action != "upgrade" || lines[0].Decision != refused {
		t.Errorf("%+v", lines)
	}
	for _, body := range []string{`{"services":["app"]}`, `{"if_generation":1}`, `{`, `[]`, `{"reason":1}`, `{"pid":1}`} {
		raw(t, s.path(), sent{"POST", "/v1/upgrade", asJSON, body}.String())
	}
	s.SetPolicy(Policy{})
	for _, body := range []string{`{"services":["app"]}`, `{"if_generation":1}`, `{`, `[]`, `{"reason":1}`, `{"pid":1}`} {
		if resp, p := raw(t, s.path(), sent{"POST", "/v1/upgrade", asJSON, body}.String()); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %+v", body, resp.StatusCode, p)
		}
	}
	if n := p.upgrades.Load(); n != 0 {
		t.Errorf("%d upgrades were begun", n)
	}
}

func TestAnUpgradeThatCannotBeAuditedIsNotBegun(t *testing.T) {
	s, p := startProcess(t, Settings{})
	s.audit.file = &flaky{auditFile: s.audit.file, full: true, cuts: true}
	_, err := s.Upgrade(t.Context(), "")
	wantProblem(t, err, http.StatusServiceUnavailable, CodeAuditFailed, nil)
	if n := p.upgrades.Load(); n != 0 {
		t.Errorf("%d upgrades were begun", n)
	}
}

func TestAnEdgeWithoutAProcessSaysThatItCannotBeUpgraded(t *testing.T) {
	s := start(t, newRecorder(), Settings{})
	_, err := s.Upgrade(t.Context(), "")
	wantProblem(t, err, http.StatusInternalServerError, CodeInternal, nil)
	_, err = s.Process(t.Context())
	wantProblem(t, err, http.StatusInternalServerError, CodeInternal, nil)
}
