package control

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestTheRoutesSpeakForTheSwitcher(t *testing.T) {
	testRoutes(t, func(*testing.T) Switcher { return newRecorder() })
}

// testRoutes asks a switcher through socket and client. It must have the
// services "app" and "web", on blue at generation 1, both with healthy pools,
// and stop when the test ends.
func testRoutes(t *testing.T, newSwitcher func(*testing.T) Switcher) {
	for name, check := range map[string]func(*testing.T, *Client){
		"status shows every service":             routesStatus,
		"a cutover moves its whole group":        routesGroup,
		"an unknown service is told":             routesUnknown,
		"another generation is a conflict":       routesConflict,
		"a lock names who and keeps moves off":   routesLock,
		"what the switcher finds wrong is 400":   routesInvalid,
		"a plan and a rollback have their forms": routesPlan,
		"events begin with hello":                routesEvents,
	} {
		t.Run(name, func(t *testing.T) { check(t, start(t, newSwitcher(t), Settings{}).Client) })
	}
}

func routesStatus(t *testing.T, c *Client) {
	views, err := c.Services(t.Context())
	if err != nil || len(views) != 2 || views[0].Name != "app" || views[1].Name != "web" {
		t.Fatal(views, err)
	}
	view, err := c.View(t.Context(), "app")
	if err != nil || view.Name != "app" || view.Active != switcher.Blue || view.Generation != 1 {
		t.Fatal(view, err)
	}
	if moves, err := c.History(t.Context(), "app"); err != nil || moves == nil {
		t.Fatal(moves, err)
	}
}

func routesGroup(t *testing.T, c *Client) {
	receipt, err := c.Cutover(t.Context(), switcher.CutoverRequest{
		Request: switcher.Request{Services: []string{"web", "app"}}, To: switcher.Green,
	})
	if err != nil || !receipt.Changed || receipt.ID == "" {
		t.Fatal(receipt, err)
	}
	var names []string
	for _, v := range receipt.Services {
		names = append(names, v.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"app", "web"}) {
		t.Fatal(names)
	}
}

func wantProblem(t *testing.T, err error, status int, code string, is error) {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) || p.Status != status || p.Code != code || is != nil && !errors.Is(err, is) {
		t.Errorf("got %v (%+v), want %d %s", err, p, status, code)
	}
}

func routesUnknown(t *testing.T, c *Client) {
	base := switcher.Request{Services: []string{"nope"}, Reason: "a lock needs one"}
	ask := func(_ any, err error) {
		t.Helper()
		wantProblem(t, err, http.StatusNotFound, CodeUnknownService, switcher.ErrUnknownService)
	}
	ctx := t.Context()
	ask(c.View(ctx, "nope"))
	ask(c.History(ctx, "nope"))
	ask(c.Plan(ctx, switcher.CutoverRequest{Request: base, To: switcher.Green}))
	ask(c.Cutover(ctx, switcher.CutoverRequest{Request: base, To: switcher.Green}))
	ask(c.Split(ctx, switcher.SplitRequest{Request: base, Color: switcher.Green, Weight: 5}))
	ask(c.Rollback(ctx, switcher.RollbackRequest{Request: base}))
	ask(c.Drain(ctx, switcher.DrainRequest{Request: base}))
	for _, command := range []func(context.Context, switcher.Request) (switcher.Receipt, error){
		c.Hold, c.Resume, c.Abort, c.Lock, c.Unlock,
	} {
		ask(command(ctx, base))
	}
	for _, err := range c.Events(ctx, "nope") {
		ask(nil, err)
	}
}

func routesConflict(t *testing.T, c *Client) {
	_, err := c.Cutover(t.Context(), switcher.CutoverRequest{
		Request: switcher.Request{Services: []string{"app"}, IfGeneration: new(uint64(99))}, To: switcher.Green,
	})
	wantProblem(t, err, http.StatusConflict, CodeConflict, switcher.ErrConflict)
}

func routesLock(t *testing.T, c *Client) {
	app := switcher.Request{Services: []string{"app"}, Reason: "migration"}
	if _, err := c.Lock(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	view, err := c.View(t.Context(), "app")
	if err != nil || view.Lock == nil || view.Lock.By != "uid 0 (root)" || view.Lock.Reason != "migration" {
		t.Fatal(view.Lock, err)
	}
	_, err = c.Cutover(t.Context(), switcher.CutoverRequest{Request: app, To: switcher.Green})
	wantProblem(t, err, http.StatusLocked, CodeLocked, switcher.ErrLocked)
	if _, err := c.Unlock(t.Context(), app); err != nil {
		t.Fatal(err)
	}
}

func routesInvalid(t *testing.T, c *Client) {
	_, err := c.Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}})
	wantProblem(t, err, http.StatusBadRequest, CodeInvalid, switcher.ErrInvalid)
	_, err = c.Hold(t.Context(), switcher.Request{})
	if !errors.Is(err, switcher.ErrInvalid) {
		t.Error(err)
	}
}

func routesPlan(t *testing.T, c *Client) {
	app := switcher.Request{Services: []string{"app"}}
	plan, err := c.Plan(t.Context(), switcher.CutoverRequest{Request: app, To: switcher.Green})
	if err != nil || plan.From != switcher.Blue || plan.To != switcher.Green {
		t.Fatal(plan, err)
	}
	if _, err := c.Cutover(t.Context(), switcher.CutoverRequest{Request: app, To: switcher.Green}); err != nil {
		t.Fatal(err)
	}
	if receipt, err := c.Rollback(t.Context(), switcher.RollbackRequest{Request: app}); err != nil || !receipt.Changed {
		t.Fatal(receipt, err)
	}
}

func routesEvents(t *testing.T, c *Client) {
	greeted := false
	for update, err := range c.Events(t.Context(), "app") {
		if err != nil {
			t.Fatal(err)
		}
		if update.Hello != nil {
			if greeted || len(update.Hello) != 1 || update.Hello[0].Name != "app" {
				t.Fatal(update.Hello)
			}
			greeted = true
			if _, err := c.Lock(t.Context(), switcher.Request{Services: []string{"web", "app"}, Reason: "why"}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !greeted || update.Event.Service != "app" {
			t.Fatal(update)
		}
		if update.Event.Type == switcher.EventLock {
			return
		}
	}
}
