package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
	"github.com/greenroom-proxy/greenroom/mediaedge/cors"
	"github.com/greenroom-proxy/greenroom/mediaedge/origin"
)

func init() { caddy.RegisterModule(Handler{}) }

// Handler takes requests for media off the application: it redirects them, or
// fetches the media from an origin. All that is not media goes on to the next
// handler; what is media to one reader and something else to another gets 400.
type Handler struct {
	// The name in metrics, in status and for purge. Default: the host of the
	// redirect or of the first endpoint, and the bucket.
	Name string `json:"name,omitempty"`

	// Which requests are for media.
	Match Rule `json:"match,omitzero"`

	// A path prefix, by whole segments, that the CDN or the origin does not
	// have.
	StripPrefix string `json:"strip_prefix,omitempty"`

	// Parameters of the query that the CDN or the origin is to see; they count
	// for what is kept, too. All others are dropped. A bucket sees none.
	// Default: _HLS_msn, _HLS_part and _HLS_skip (low-latency HLS).
	Query []string `json:"query,omitempty"`

	// Send viewers elsewhere. Either this or origin.
	Redirect *Redirect `json:"redirect,omitempty"`

	// Fetch the media. Either this or redirect.
	Origin *Origin `json:"origin,omitempty"`

	// How long what comes from the origin is kept.
	Cache *Keeping `json:"cache,omitempty"`

	// The fields by which players on other sites may read media. Default: none.
	CORS *CORS `json:"cors,omitempty"`

	// A path to which players post CMCD events (CTA-5004-B). Default: none.
	CMCDEvents string `json:"cmcd_events,omitempty"`

	app       *App
	matcher   *mediaedge.Matcher
	cors      *cors.CORS // nil: none
	eventCORS *cors.CORS // nil: none
	source    *source    // nil: redirects
	counts    *counts
	log       *slog.Logger
	access    *zap.Logger
}

// CORS is the preset for players: what they send and read is allowed.
type CORS struct {
	// Origins as https://player.example.com, or * for all. Required.
	Origins []string `json:"origins"`
	// Allow requests with cookies. Not with *. Default: false.
	Credentials bool `json:"credentials,omitempty"`
	// How long a browser may keep the answer to a preflight. Default: 24h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// CaddyModule implements caddy.Module.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.media_edge", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	value, err := ctx.App("greenroom_media")
	if err != nil {
		return err
	}
	h.app, h.log, h.access = value.(*App), ctx.Slogger(), accessLogger(ctx)
	if err := h.provision(); err != nil {
		return fmt.Errorf("media_edge %s: %w", h.Name, err)
	}
	h.counts = h.app.shared.metrics.of(h.Name)
	return h.app.add(h)
}

func (h *Handler) provision() (err error) {
	if (h.Redirect == nil) == (h.Origin == nil) {
		return errors.New("want either a redirect or an origin")
	}
	if err := h.name(); err != nil {
		return err
	}
	if h.matcher, err = h.Match.matcher(); err != nil {
		return err
	}
	for _, p := range []string{h.StripPrefix, h.CMCDEvents} {
		if p == "" {
			continue
		}
		if canonical, err := plainpath.Canonical(p); err != nil || canonical != p {
			return fmt.Errorf("%q: want a path in its plain form, as /media: %w", p, cmpError(err))
		}
	}
	h.StripPrefix = strings.TrimSuffix(h.StripPrefix, "/")
	if h.Query == nil {
		h.Query = []string{"_HLS_msn", "_HLS_part", "_HLS_skip"}
	}
	if h.Cache == nil {
		h.Cache = new(Keeping)
	}
	if err := h.Cache.provision(); err != nil {
		return err
	}
	if c := h.CORS; c != nil {
		policy := cors.Policy{Origins: c.Origins, Credentials: c.Credentials, MaxAge: time.Duration(c.MaxAge), Methods: h.methods()}
		if h.cors, err = cors.New(policy); err != nil {
			return fmt.Errorf("cors: %w", err)
		}
		policy.Methods, policy.Headers = []string{http.MethodPost}, []string{"Content-Type"}
		if h.eventCORS, err = cors.New(policy); err != nil {
			return fmt.Errorf("cors: %w", err)
		}
	}
	if h.Redirect != nil {
		return h.Redirect.provision()
	}
	if h.source, err = h.Origin.provision(h.Name, h.log); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	return nil
}

func cmpError(err error) error {
	if err == nil {
		return errors.New("it is written in another way")
	}
	return err
}

// name finds the default, and bounds what is given.
func (h *Handler) name() error {
	if h.Name == "" {
		at := ""
		if h.Redirect != nil {
			at = h.Redirect.To
		} else if len(h.Origin.Endpoints) > 0 {
			at = h.Origin.Endpoints[0]
		}
		if u, err := url.Parse(at); err == nil {
			h.Name = u.Host
		}
		if h.Origin != nil && h.Origin.S3 != nil {
			h.Name = path.Join(h.Name, h.Origin.S3.Bucket)
		}
	}
	if h.Name == "" || len(h.Name) > 128 || strings.ContainsFunc(h.Name, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return fmt.Errorf("name %q: want 1 to 128 letters, digits and punctuation", h.Name)
	}
	return nil
}

func (h *Handler) methods() []string {
	methods := []string{http.MethodGet, http.MethodHead}
	if h.Redirect != nil {
		methods = append(methods, h.Redirect.Methods...)
	}
	return methods
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It answers errors by itself:
// Caddy would log the URL with them, and a token in it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.CMCDEvents != "" && r.URL.Path == h.CMCDEvents && r.URL.RawPath == "" {
		return h.events(w, r)
	}
	found, ok, err := h.matcher.Match(r.Host, r.URL)
	if err == nil && !ok {
		return next.ServeHTTP(w, r)
	}
	if log := quiet(h.access, w, r); log != nil {
		defer log()
	}
	if err != nil {
		h.refuse(w, http.StatusBadRequest, err.Error())
		return nil
	}
	if h.cors != nil && h.cors.Handle(w, r) {
		return nil
	}
	if !slices.Contains(h.methods(), r.Method) {
		w.Header().Set("Allow", strings.Join(h.methods(), ", "))
		h.refuse(w, http.StatusMethodNotAllowed, "media takes "+strings.Join(h.methods(), ", ")+" only")
		return nil
	}
	h.observe(r)
	at := h.strip(found.Path)
	query := pick(cmcd.Strip(r.URL.RawQuery), h.Query)
	if h.Redirect != nil {
		return h.redirect(w, r, found.Type.Kind, at, query)
	}
	return h.fetch(w, r, found.Type, at, query)
}

// strip is a path as the CDN or the origin has it.
func (h *Handler) strip(path string) string {
	if rest, below := strings.CutPrefix(path, h.StripPrefix); below && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

func (h *Handler) redirect(w http.ResponseWriter, r *http.Request, kind mediaedge.Kind, at, query string) error {
	if err := h.Redirect.serve(w, r, at, query); err != nil {
		h.log.Error("a redirect cannot be signed", "name", h.Name, "path", at, "error", err)
		h.refuse(w, http.StatusBadGateway, "the redirect cannot be signed")
		return nil
	}
	h.counts.count(kind, redirected, 0)
	return nil
}

// fetch sends what the cache has or gets.
func (h *Handler) fetch(w http.ResponseWriter, r *http.Request, t mediaedge.Type, at, query string) error {
	if err := h.app.begin(); err != nil {
		h.refuse(w, http.StatusServiceUnavailable, "the media edge is not running")
		return nil
	}
	if h.source.keys != nil || h.Origin.S3 != nil {
		query = ""
	}
	object := typed{h.source.Object(at, query), t}
	ask := h.forward
	if h.Cache.keeps(t.Kind) && h.app.cell.take() {
		defer h.app.cell.give()
		ask = h.keep
	}
	result, bytes, err := ask(w, plainRange(r), at, query, object)
	h.counts.count(t.Kind, result, bytes)
	switch {
	case err == nil:
	case errors.Is(err, cache.ErrAborted), errors.Is(err, origin.ErrHeadSent):
		panic(http.ErrAbortHandler) // so that a short body never looks whole
	case r.Context().Err() != nil:
	default:
		h.fail(w, at, err)
	}
	return nil
}

func (h *Handler) keep(w http.ResponseWriter, r *http.Request, at, query string, object typed) (result, int64, error) {
	key := h.source.scope + " " + at
	if query != "" {
		key += "?" + query
	}
	outcome, err := h.app.cell.Serve(w, r, cache.Request{Key: key, Scope: h.source.scope, Path: at, Origin: object, Terms: h.Cache.terms[object.media.Kind]})
	return result(outcome.Result), outcome.Served, err
}

// forward sends what the origin has, past the cache.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, _, _ string, object typed) (result, int64, error) {
	sent := &counter{ResponseWriter: w}
	err := object.Forward(sent, r, object.settle)
	return passed, sent.n, err
}

// counter counts the bytes of a body.
type counter struct {
	http.ResponseWriter
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// fail answers for an origin that did not.
func (h *Handler) fail(w http.ResponseWriter, at string, err error) {
	status := http.StatusBadGateway
	failed, ok := errors.AsType[*origin.Error](err)
	switch {
	case errors.Is(err, cache.ErrBusy), errors.Is(err, cache.ErrClosed):
		w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case ok:
		status = failed.Status()
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	if status < http.StatusInternalServerError {
		h.refuse(w, status, "no such media")
		return
	}
	h.log.Error("media cannot be had", "name", h.Name, "path", at, "status", status, "error", err)
	h.refuse(w, status, "the media cannot be had from its origin")
}

func (h *Handler) refuse(w http.ResponseWriter, status int, why string) {
	h.counts.count(mediaedge.Other, refused, 0)
	head := w.Header()
	for _, field := range []string{"Etag", "Last-Modified", "Content-Encoding", "Content-Range", "Content-Length", "Accept-Ranges"} {
		head.Del(field)
	}
	head.Set("Cache-Control", "no-store")
	http.Error(w, why, status)
}

// observe counts what the player says of itself, and takes it out of what goes
// on.
func (h *Handler) observe(r *http.Request) {
	report, ok, err := cmcd.ParseRequest(r)
	switch {
	case err != nil:
		h.app.shared.meter.Invalid(cmcd.Scope{Name: h.Name}, 1)
	case ok:
		h.app.shared.meter.Observe(cmcd.Scope{Name: h.Name}, report, time.Now())
	}
}

// events takes a body of CMCD events.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) error {
	if h.eventCORS != nil && h.eventCORS.Handle(w, r) {
		return nil
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		h.refuse(w, http.StatusMethodNotAllowed, "events of players are posted here")
		return nil
	}
	reports, invalid, err := cmcd.ParseEvents(r.Body)
	if err != nil {
		h.app.shared.meter.Invalid(cmcd.Scope{Name: h.Name}, 1)
		h.refuse(w, http.StatusBadRequest, err.Error())
		return nil
	}
	h.app.shared.meter.Invalid(cmcd.Scope{Name: h.Name}, invalid)
	now := time.Now()
	for _, report := range reports {
		h.app.shared.meter.Observe(cmcd.Scope{Name: h.Name}, report, now)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pick returns the named parameters of a query, encoded in one way and sorted,
// so that no spelling is another object.
func pick(rawQuery string, names []string) string {
	if rawQuery == "" || len(names) == 0 {
		return ""
	}
	all, _ := url.ParseQuery(rawQuery) // what cannot be read is dropped
	picked := make(url.Values)
	for _, n := range names {
		if v := all[n]; len(v) > 0 {
			picked[n] = v[:1]
		}
	}
	return picked.Encode()
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
