package media

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// application is an app without Caddy. It is started and taken down with the test.
func application(t *testing.T) *App {
	t.Helper()
	app := &App{Cache: new(Cache), names: make(map[string]string), log: slog.New(slog.DiscardHandler)}
	var err error
	if err = app.Cache.provision(); err == nil {
		app.shared, err = loadShared()
	}
	if err != nil {
		t.Fatal(err)
	}
	app.life.start()
	t.Cleanup(func() {
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return app
}

// with adds a handler as Provision does.
func (app *App) with(h *Handler) error {
	h.app, h.log, h.access = app, app.log, zap.NewNop()
	if err := h.provision(); err != nil {
		return err
	}
	h.counts, h.meter = app.shared.metrics.of(h.Name), app.shared.meter
	return app.add(h)
}

// handler is one of an app of its own.
func handler(t *testing.T, h *Handler) *Handler {
	t.Helper()
	if err := application(t).with(h); err != nil {
		t.Fatal(err)
	}
	return h
}

// serve answers a request; one that is not for media gets 418.
func serve(t *testing.T, h *Handler, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return w.Result()
}
