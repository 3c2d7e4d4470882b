package media

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/internal/h3"
	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
	"github.com/greenroom-proxy/greenroom/mediaedge/origin"
)

// Bounds of a request's target, in bytes: a key of a bucket has at most 1 KiB,
// and CMCD, which is the most that players send, a few.
const (
	maxPath  = 4 << 10
	maxQuery = 16 << 10
)

// ServeHTTP implements caddyhttp.MiddlewareHandler. It answers errors by itself:
// Caddy would log the URL with them, and a token in it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.CMCDEvents != "" && r.URL.Path == h.CMCDEvents && r.URL.RawPath == "" && h.matcher.Host(r.Host) {
		return h.events(w, r)
	}
	found, ok, err := h.matcher.Match(r.Host, r.URL)
	if err == nil && !ok {
		return next.ServeHTTP(w, r)
	}
	w, log := h.quiet(w, r, h.Redirect != nil && h.Redirect.signer != nil)
	if log != nil {
		defer log()
	}
	kind := found.Type.Kind
	switch {
	case err != nil:
		return h.refuse(w, kind, http.StatusBadRequest, err.Error())
	case len(found.Path) > maxPath || len(r.URL.RawQuery) > maxQuery:
		return h.refuse(w, kind, http.StatusRequestURITooLong, "no media has a URL that long")
	case h.cors != nil && h.cors.Handle(w, r):
		return nil
	case !slices.Contains(h.methods(), r.Method):
		methods := strings.Join(h.methods(), ", ")
		w.Header().Set("Allow", methods)
		return h.refuse(w, kind, http.StatusMethodNotAllowed, "media takes "+methods+" only")
	}
	h.observe(r)
	at, query := h.strip(found.Path), h.query(r, kind)
	if h.Redirect != nil {
		return h.redirect(w, r, found, at, query)
	}
	return h.fetch(w, r, found.Type, at, query)
}

// strip is a path as the CDN or the origin has it.
func (h *Handler) strip(path string) string {
	rest, below := strings.CutPrefix(path, h.StripPrefix)
	switch {
	case below && strings.HasPrefix(rest, "/"):
		return rest
	case below && rest == "":
		return "/"
	}
	return path
}

func (h *Handler) redirect(w http.ResponseWriter, r *http.Request, found mediaedge.Match, at, query string) error {
	if h.Redirect.wide() && !h.Match.contains(found.Path) {
		// A token for its directory would open what is beside the prefix.
		return h.refuse(w, found.Type.Kind, http.StatusNotFound, "no such media")
	}
	if err := h.Redirect.serve(w, r, at, query); err != nil {
		h.log.Error("a redirect cannot be signed", "name", h.Name, "path", at, "error", err)
		return h.refuse(w, found.Type.Kind, http.StatusBadGateway, "the redirect cannot be signed")
	}
	h.counts.count(found.Type.Kind, redirected, 0)
	return nil
}

// fetch answers with what the cache or the origin has.
func (h *Handler) fetch(w http.ResponseWriter, r *http.Request, t mediaedge.Type, at, query string) error {
	leave, err := h.app.enter()
	if err != nil {
		return h.refuse(w, t.Kind, http.StatusServiceUnavailable, "the media edge is not running")
	}
	defer leave()
	if h.Origin.S3 != nil {
		query = ""
	}
	object := typed{Object: h.source.Object(at, query), media: t}
	if blocks(t.Kind, query) {
		object.Object, object.held = object.Held(), true
	}
	ask := h.forward
	if h.Cache.keeps(t.Kind) {
		ask = h.keep
	}
	result, bytes, err := ask(h3.Writer(w, r), r, at, query, object)
	switch {
	case err == nil:
		if bytes > 0 && w.Header().Get("Content-Length") == "" {
			_ = http.NewResponseController(w).Flush() // after a silence, Caddy leaves the end no time to be written in
		}
		h.counts.count(t.Kind, result, bytes)
		return nil
	case errors.Is(err, cache.ErrAborted), errors.Is(err, origin.ErrHeadSent), r.Context().Err() != nil:
		h.counts.count(t.Kind, result, bytes)
		// A short body must never look whole. A client that seems to have left may
		// have closed one direction only: an empty answer would look so too.
		panic(http.ErrAbortHandler)
	}
	return h.fail(w, t.Kind, at, err)
}

// keep sends what the cache has or gets.
func (h *Handler) keep(w http.ResponseWriter, r *http.Request, at, query string, object typed) (result, int64, error) {
	if ranges, ok := origin.Range(r.Header); ok {
		r.Header["Range"] = []string{ranges}
	} else {
		delete(r.Header, "Range") // net/http, which serves what is kept, has other rules
	}
	key := h.source.scope + " " + at
	if query != "" {
		key += "?" + query
	}
	outcome, err := h.app.cell.Serve(hasten(w, r), r, cache.Request{Key: key, Scope: h.source.scope, Path: at, Origin: object, Terms: h.Cache.terms[object.media.Kind], Held: object.held})
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
func (h *Handler) fail(w http.ResponseWriter, kind mediaedge.Kind, at string, err error) error {
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
		return h.refuse(w, kind, status, "no such media")
	}
	h.log.Error("media cannot be had", "name", h.Name, "path", at, "status", status, "error", err)
	return h.refuse(w, kind, status, "the media cannot be had from its origin")
}

func (h *Handler) refuse(w http.ResponseWriter, kind mediaedge.Kind, status int, why string) error {
	h.counts.count(kind, refused, 0)
	head := w.Header()
	for _, field := range []string{"Etag", "Last-Modified", "Content-Encoding", "Content-Range", "Content-Length", "Accept-Ranges"} {
		head.Del(field)
	}
	head.Set("Cache-Control", "no-store")
	http.Error(w, why, status)
	return nil
}

// observe counts what the player says of itself.
func (h *Handler) observe(r *http.Request) {
	report, ok, err := cmcd.ParseRequest(r)
	switch {
	case err != nil:
		h.meter.Invalid(cmcd.Scope{Name: h.Name}, 1)
	case ok:
		h.meter.Observe(cmcd.Scope{Name: h.Name}, report, time.Now())
	}
}

// events takes a body of CMCD events.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) error {
	w, log := h.quiet(w, r, false)
	if log != nil {
		defer log()
	}
	if h.eventCORS != nil && h.eventCORS.Handle(w, r) {
		return nil
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		return h.refuse(w, mediaedge.Other, http.StatusMethodNotAllowed, "events of players are posted here")
	}
	reports, invalid, err := cmcd.ParseEvents(r.Body)
	if err != nil {
		h.meter.Invalid(cmcd.Scope{Name: h.Name}, 1)
		why := "the body cannot be read" // err may tell of the edge's network
		if errors.Is(err, cmcd.ErrEvents) {
			why = err.Error()
		}
		return h.refuse(w, mediaedge.Other, http.StatusBadRequest, why)
	}
	h.meter.Invalid(cmcd.Scope{Name: h.Name}, invalid)
	now := time.Now()
	for _, report := range reports {
		h.meter.Observe(cmcd.Scope{Name: h.Name}, report, now)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
