package control

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func deputized(name string) switcher.Request {
	return switcher.Request{Services: []string{name}, By: "consul kv (index 7)", Reason: "release 41"}
}

func TestADeputysCommandsAreAuditedInItsName(t *testing.T) {
	sw, audit := newRecorder(), openAudit(t)
	d := NewHandler(sw, audit, nil).Deputy()
	if _, err := d.Cutover(t.Context(), switcher.CutoverRequest{Request: deputized("app"), To: switcher.Green}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Rollback(t.Context(), switcher.RollbackRequest{Request: deputized("web")}); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, call := range sw.asked() {
		asked = append(asked, call.action)
	}
	if !slices.Equal(asked, []string{"cutover", "rollback"}) {
		t.Error(asked)
	}
	lines := entries(t, audit)
	if len(lines) != 4 {
		t.Fatalf("%d lines: %+v", len(lines), lines)
	}
	first, goesBack := lines[0], lines[2]
	if first.Who.Name != "consul kv (index 7)" || first.Who.UID != nil || first.Action != "cutover" || first.Reason != "release 41" ||
		string(first.Request) != `{"to":"green"}` || first.Decision != allowed || lines[1].Outcome != "done" {
		t.Errorf("%+v", lines[:2])
	}
	if goesBack.Action != "rollback" || goesBack.Services[0] != "web" || lines[3].Ref != goesBack.Seq {
		t.Errorf("%+v", lines[2:])
	}
}

func TestADeputyWithoutAnAuditLogOnlyGoesBack(t *testing.T) {
	sw := newRecorder()
	d := NewHandler(sw, nil, nil).Deputy()
	_, err := d.Cutover(t.Context(), switcher.CutoverRequest{Request: deputized("app"), To: switcher.Green})
	var p *Problem
	if !errors.As(err, &p) || p.Code != CodeAuditFailed || len(sw.asked()) != 0 {
		t.Errorf("%v, %v", err, sw.asked())
	}
	if _, err := d.Rollback(t.Context(), switcher.RollbackRequest{Request: deputized("app")}); err != nil {
		t.Error(err)
	}
}

func TestWhatADeputyCannotReadIsAuditedAtABoundedRate(t *testing.T) {
	audit := openAudit(t)
	d := NewHandler(newRecorder(), audit, nil).Deputy()
	for range 1000 {
		d.Refused("consul kv", "app", CodeInvalid, "no color")
	}
	lines := entries(t, audit)
	if len(lines) != 10 || lines[0].Decision != refused || lines[0].Code != CodeInvalid || lines[0].Who.Name != "consul kv" ||
		lines[0].Services[0] != "app" || lines[0].Detail != "no color" {
		t.Errorf("%d lines: %+v", len(lines), lines[:min(len(lines), 1)])
	}
}

func TestTheFleetIsReportedToWhoMayView(t *testing.T) {
	h := NewHandler(newRecorder(), openAudit(t), nil)
	s := startHandler(t, Settings{Socket: openDir(t) + "/c"}, h, nil)
	_, err := s.Fleet(t.Context())
	wantProblem(t, err, 404, CodeNotFound, nil)
	if !strings.Contains(err.Error(), "in no fleet") {
		t.Error(err)
	}
}

func TestTheFleetsReportIsHandedOnAsItIs(t *testing.T) {
	h := NewHandler(newRecorder(), openAudit(t), nil)
	h.SetFleet(func(context.Context) (any, error) { return map[string]string{"edge": "one"}, nil })
	s := startHandler(t, Settings{Socket: openDir(t) + "/c"}, h, nil)
	report, err := s.Fleet(t.Context())
	if err != nil || string(report) != `{"edge":"one"}` {
		t.Errorf("%s, %v", report, err)
	}
}
