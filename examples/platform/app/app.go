// Package app is the platform's control plane: catalog, sessions, tickets for
// uploads, chat and what is playing. No byte of media passes it: viewers have
// media from the edge, and uploads go to the bucket. Its versions use one
// database at the same time.
//
//	GET  /                         the page
//	GET  /healthz /version /schema for the edge, and for people
//	GET  /api/session              who one is; PUT {"name"} changes it
//	GET  /api/catalog?after=       titles
//	PUT  /api/titles/{id}          {"length":"h:mm:ss"} or {"duration_ms"}
//	POST /api/uploads              {"name","size"}: a ticket
//	POST /api/uploads/{id}/done    the upload is in the bucket: encode it
//	GET  /api/chat?after=          WebSocket; see chat.go
//	GET  /api/playing              SSE; POST {"id","title"} adds to it
package app

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/database"
	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
)

//go:embed web/index.html web/page.js web/page.css
var web embed.FS

// App is one instance.
type App struct {
	Version Version
	// Instance is its name in /version and in the log.
	Instance string
	DB       *pgxpool.Pool
	Bucket   *bucket.Bucket
	// Players is the directory that has hls.min.js. Empty: the page plays nothing.
	Players string
	Log     *slog.Logger

	titles titles
	feed   feed.Feed
	bell   feed.Bell
	// restarting ends when streams are to end, and sockets counts those that the
	// server does not.
	restarting context.Context
	sockets    sync.WaitGroup
}

// Open checks that the database suits this version, and returns what serves it
// until the context ends: then streams are closed, so that their clients go
// elsewhere. Work that nobody asked for is done by Run.
func (a *App) Open(ctx context.Context) (http.Handler, error) {
	version, err := database.Version(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	if version < a.Version.SchemaMin || version > a.Version.SchemaMax {
		return nil, fmt.Errorf("the schema's version is %d: app %s works with %d to %d", version, a.Version.Name,
			a.Version.SchemaMin, a.Version.SchemaMax)
	}
	a.titles, a.feed, a.restarting = a.Version.titles(), feed.Feed{DB: a.DB}, ctx
	return a.routes()
}

// Run does what goes on beside requests, until the context ends. It is called
// after Open.
func (a *App) Run(ctx context.Context) {
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		a.bell.Run(ctx, a.DB.Config().ConnString(), a.Log)
	}()
	a.tellResults(ctx)
	<-listening
}

func (a *App) routes() (http.Handler, error) {
	page, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	// Not the database: it is the same for both colors, and if it is away no cutover
	// and no other instance helps. What it means for a request, the request says.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /schema", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]int64{"schema_min": a.Version.SchemaMin, "schema_max": a.Version.SchemaMax})
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"version": a.Version.Name, "instance": a.Instance})
	})
	mux.Handle("GET /api/session", a.api(a.getSession))
	mux.Handle("PUT /api/session", a.api(a.putSession))
	mux.Handle("GET /api/catalog", a.api(a.catalog))
	mux.Handle("PUT /api/titles/{id}", a.api(a.putTitle))
	mux.Handle("POST /api/uploads", a.api(a.newUpload))
	mux.Handle("POST /api/uploads/{id}/done", a.api(a.uploaded))
	mux.HandleFunc("GET /api/chat", a.chat)
	mux.HandleFunc("GET /api/playing", a.playing)
	mux.Handle("POST /api/playing", a.api(a.play))
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if a.Players != "" {
		mux.Handle("GET /hls.min.js", http.FileServerFS(os.DirFS(a.Players)))
	}
	mux.Handle("GET /", http.FileServerFS(page))
	guard := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'self'; media-src 'self' blob:; worker-src blob:; connect-src 'self' http: https:; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		guard.Handler(mux).ServeHTTP(w, r)
	}), nil
}

// problem is an error that a client is told.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

// limits of a request to the API.
const (
	maxBody = 16 << 10
	within  = 10 * time.Second
)

// api serves what takes JSON and answers it.
func (a *App) api(do func(context.Context, *http.Request, string) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), within)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		out, err := do(ctx, r, session(w, r))
		if p, ok := errors.AsType[problem](err); ok {
			reply(w, p.status, map[string]string{"error": p.text})
			return
		}
		if err != nil {
			a.Log.Error("a request has failed", "path", r.URL.Path, "error", err)
			reply(w, http.StatusInternalServerError, map[string]string{"error": "internal error"})
			return
		}
		reply(w, http.StatusOK, out)
	})
}

// read reads a request's JSON.
func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return problem{http.StatusBadRequest, "the body is not the JSON that is asked for"}
	}
	return nil
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // else the client has gone
}

// Serve serves an app on a listener until the context ends: streams then end
// first, and other requests have 10 seconds.
func Serve(ctx context.Context, a *App, l net.Listener) error {
	handler, err := a.Open(ctx)
	if err != nil {
		return err
	}
	a.Log.Info("serving", "version", a.Version.Name, "at", l.Addr().String())
	ran := make(chan struct{})
	go func() { defer close(ran); a.Run(ctx) }()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err := server.Shutdown(grace)
		a.sockets.Wait() // each has a few seconds for its close
		stopped <- err
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	err = <-stopped
	<-ran
	return err
}
