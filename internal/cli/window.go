package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// windowEvery is how often a window that is waited for is looked at.
const windowEvery = 500 * time.Millisecond

// windowDoc is the document of rollback-window.
type windowDoc struct {
	// Closed says that it is for all services.
	Closed   bool          `json:"closed"`
	Services []windowEntry `json:"services"`
}

type windowEntry struct {
	Service string `json:"service"`
	switcher.RollbackWindow
}

func windowCommand() command {
	return command{
		name: "rollback-window", usage: "<service...> [--wait] [--json]",
		short: "Says whether a rollback is still reckoned with: until then, do not contract the schema",
		long: `
Says of each service whether the version before may still be needed. The window
is open from the beginning of a cutover, while the old color still has work, and
until the service's rollback_window (30m by default) has passed since the flip.

Exit code 0 says that it is closed for all services named: contracting the
database's schema, which the version before could not work with, is safe. 20 says
that it is open, also where no cutover has been completed or nobody knows; 15 that
the last cutover was undone, and so the version before serves again.

With --wait it returns once the window is closed, or the cutover was undone.

A rollback goes through at any time, closed or not: what it means for the schema
greenroom plan to the color before says, where there is a schema gate. Each edge
answers for itself.`,
		example: `  $ greenroom rollback-window app
  $ greenroom rollback-window app --wait --timeout 2h && ./contract.sh
  $ greenroom rollback-window app --json | jq -r .services[0].until`,
		args:      services,
		timeoutIs: "Longest wait for the window to close, as 90m; 0 waits without limit. Without --wait: for the edge's answer, 30s at most by default",
		setup: func(cmd *cobra.Command) action {
			wait := cmd.Flags().Bool("wait", false, "Wait until the window is closed for all services")
			return func(ctx context.Context, s *session, names []string) (report, error) {
				if *wait {
					return s.awaitWindow(ctx, names)
				}
				ctx, cancel := s.answer(ctx)
				defer cancel()
				return s.window(ctx, names)
			}
		},
	}
}

// window looks once.
func (s *session) window(ctx context.Context, names []string) (report, error) {
	views, err := s.named(ctx, names)
	if err != nil {
		return report{}, err
	}
	doc := windowDoc{Closed: true}
	var lines []line
	var why *failure
	for i := range views {
		w := views[i].RollbackWindow
		if w == nil {
			return report{}, fmt.Errorf("the edge does not tell: is it of an older version?")
		}
		doc.Services = append(doc.Services, windowEntry{views[i].Name, *w})
		lines = append(lines, windowLine(views[i].Name, w))
		switch {
		case w.State == switcher.WindowUndone:
			doc.Closed = false
			why = &failure{Code: "undone", Exit: exitUndone, Detail: views[i].Name + ": " + w.Reason, Hint: "do not contract: the version before needs the schema as it is"}
		case w.State != switcher.WindowClosed && why == nil:
			why = &failure{Code: "window_open", Exit: exitWindow, Detail: "a rollback of " + views[i].Name + " is still open: " + w.Reason, Hint: "do not contract yet; --wait waits for it"}
		}
		doc.Closed = doc.Closed && w.State == switcher.WindowClosed
	}
	r := report{lines, doc}
	if why != nil {
		return r, why
	}
	return r, nil
}

// awaitWindow looks until there is nothing to wait for.
func (s *session) awaitWindow(ctx context.Context, names []string) (report, error) {
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	tick := time.NewTicker(windowEvery)
	defer tick.Stop()
	for {
		look, cancel := context.WithTimeout(ctx, answerTimeout)
		r, err := s.window(look, names)
		cancel()
		f := failed(err)
		if f == nil || f.Exit != exitWindow {
			return r, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			late := failed(ctx.Err())
			late.Detail, late.Hint = f.Detail, "ask again later"
			return r, late
		}
	}
}

func windowLine(service string, w *switcher.RollbackWindow) line {
	inks := map[switcher.WindowState]style{switcher.WindowClosed: good, switcher.WindowOpen: warn, switcher.WindowUndone: bad}
	return line{{bold, service}}.add(plain, ": rollback window ").add(inks[w.State], "%s", w.State).add(plain, ": %s", w.Reason)
}
