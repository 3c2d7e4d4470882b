package control

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func request(name string) switcher.Request { return switcher.Request{Services: []string{name}} }

func TestWithoutAnAuditLogMovesAreRefusedButGoingBackIsNot(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Audit) *Audit{
		"full": func(a *Audit) *Audit {
			_ = a.file.Close()
			a.file, a.path = full, "/dev/full"
			return a
		},
		"closed": func(a *Audit) *Audit { _ = a.Close(); return a },
		"broken": func(a *Audit) *Audit { _ = a.file.Close(); return a },
		"none":   func(*Audit) *Audit { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			sw, log := newRecorder(), &logBuffer{}
			s := startHandler(t, Settings{Socket: filepath.Join(openDir(t), "c")},
				NewHandler(sw, spoil(openAudit(t)), log.logger()), nil)
			ctx := t.Context()
			for _, move := range moves(s.Client) {
				if move.name == "abort" || move.name == "rollback" {
					continue
				}
				wantProblem(t, move.do(ctx), 503, CodeAuditFailed, nil)
			}
			if calls := sw.asked(); len(calls) != 0 {
				t.Fatalf("carried out without audit: %v", calls)
			}
			if _, err := s.Rollback(ctx, switcher.RollbackRequest{Request: request("app"), Force: true}); err != nil {
				t.Error(err)
			}
			if _, err := s.Abort(ctx, request("app")); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "goes through although the audit log cannot be written"); n != 2 {
				t.Error(log.String())
			}
			if _, err := s.Services(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

type move struct {
	name string
	do   func(context.Context) error
}

// moves is every command that is audited.
func moves(c *Client) []move {
	app := request("app")
	first := func(_ switcher.Receipt, err error) error { return err }
	simple := func(f func(context.Context, switcher.Request) (switcher.Receipt, error)) func(context.Context) error {
		return func(ctx context.Context) error { return first(f(ctx, app)) }
	}
	return []move{
		{"cutover", func(ctx context.Context) error {
			return first(c.Cutover(ctx, switcher.CutoverRequest{Request: app, To: switcher.Green}))
		}},
		{"split", func(ctx context.Context) error {
			return first(c.Split(ctx, switcher.SplitRequest{Request: app, Color: switcher.Green, Weight: 5}))
		}},
		{"rollback", func(ctx context.Context) error {
			return first(c.Rollback(ctx, switcher.RollbackRequest{Request: app}))
		}},
		{"drain", func(ctx context.Context) error { return first(c.Drain(ctx, switcher.DrainRequest{Request: app})) }},
		{"hold", simple(c.Hold)},
		{"resume", simple(c.Resume)},
		{"abort", simple(c.Abort)},
		{"lock", simple(c.Lock)},
		{"unlock", simple(c.Unlock)},
	}
}

func TestACommandIsOnTheDiskBeforeItIsCarriedOut(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	file := &flaky{auditFile: s.audit.file, syncs: true}
	s.audit.file = file
	sw.before = func(_ context.Context, action string) error {
		lines := entries(t, s.audit)
		last := lines[len(lines)-1]
		if last.Action != action || last.Decision != allowed || last.Who.Name != "uid 0 (root)" || file.unsynced {
			t.Errorf("%s: the last line is %+v, unsynced %v", action, last, file.unsynced)
		}
		return nil
	}
	for _, move := range moves(s.Client) {
		if err := move.do(t.Context()); err != nil {
			t.Errorf("%s: %s", move.name, err)
		}
	}
	if n := verifyLog(t, s.audit); n != 2*len(moves(s.Client)) {
		t.Error(n)
	}
}

func TestAnAuditLineSaysWhatWasAskedAndWhatCameOfIt(t *testing.T) {
	sw := newRecorder()
	s := start(t, sw, Settings{})
	reason := "wéird\n\x1b[2J</script>"
	_, err := s.Cutover(t.Context(), switcher.CutoverRequest{
		Request: switcher.Request{Services: []string{"app", "web"}, Reason: reason, IfGeneration: new(uint64(1))},
		To:      switcher.Green, Ramp: &switcher.Ramp{{Weight: 10}}, Options: switcher.Options{GateTimeout: 5e9},
	})
	if err != nil {
		t.Fatal(err)
	}
	sw.before = func(context.Context, string) error {
		return &switcher.GateError{Verdicts: []switcher.Verdict{{Gate: "healthy", Reason: "0 of 2"}}}
	}
	_, err = s.Cutover(t.Context(), switcher.CutoverRequest{Request: request("app"), To: switcher.Green})
	wantProblem(t, err, 409, CodeRefusedByGate, switcher.ErrRefused)
	var p *Problem
	if errors.As(err, &p); len(p.Gates) != 1 || p.Gates[0].Gate != "healthy" {
		t.Errorf("%+v", p)
	}

	lines := entries(t, s.audit)
	first, done, failed := lines[0], lines[1], lines[3]
	if string(first.Request) != `{"if_generation":1,"to":"green","ramp":"10","gate_timeout":"5s"}` {
		t.Errorf("%s", first.Request)
	}
	if !slices.Equal(first.Services, []string{"app", "web"}) || first.Reason != reason || first.Ref != first.Seq {
		t.Errorf("%+v", first)
	}
	if done.Ref != first.Seq || done.Outcome != "done" || done.Move != "m0ve" || !*done.Changed {
		t.Errorf("%+v", done)
	}
	if failed.Outcome != "failed" || failed.Code != CodeRefusedByGate || failed.Ref != lines[2].Seq {
		t.Errorf("%+v", failed)
	}
	if bytes.ContainsAny(readLog(t, s.audit), "\x1b<") {
		t.Error("a control character came through")
	}
}

func TestConcurrentCommandsKeepTheChainWhole(t *testing.T) {
	s := start(t, newRecorder(), Settings{})
	const callers, rounds = 8, 5
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range rounds {
				for _, move := range moves(s.Client) {
					if err := move.do(t.Context()); err != nil && !errors.Is(err, switcher.ErrLocked) {
						t.Errorf("%s: %s", move.name, err)
					}
				}
			}
		})
	}
	all.Wait()
	if n := verifyLog(t, s.audit); n != 2*callers*rounds*len(moves(s.Client)) {
		t.Errorf("%d lines", n)
	}
	open := map[uint64]string{}
	for _, e := range entries(t, s.audit) {
		switch {
		case e.Decision == allowed:
			open[e.Seq] = e.Action
		case open[e.Ref] != e.Action:
			t.Errorf("an outcome of nothing: %+v", e)
		default:
			delete(open, e.Ref)
		}
	}
	if len(open) > 0 {
		t.Errorf("without an outcome: %v", open)
	}
}
