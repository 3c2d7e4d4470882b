package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(Handler{}) }

// Handler proxies a request to the color of a service that serves its client.
// It ends the route: a service that cannot serve answers 503, and never falls
// through to another one.
//
// It provides these placeholders:
//
// Placeholder | Description
// ------------|-------------
// `{http.blue_green.service}` | The name of the service
// `{http.blue_green.color}` | The color that was chosen, blue or green
// `{http.blue_green.generation}` | The generation of the table it was chosen by
// `{http.blue_green.upstream}` | The address of the upstream
// `{http.blue_green.attempts}` | How many upstreams were tried
// `{http.blue_green.preview}` | true when the request asked for the idle color
type Handler struct {
	// The name of the service. Required.
	Service string `json:"service"`

	edge *edge
}

// CaddyModule implements caddy.Module.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.blue_green", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	value, err := ctx.App("greenroom")
	if err != nil {
		return err
	}
	app := value.(*App)
	if h.edge = app.edges[h.Service]; h.edge == nil {
		return fmt.Errorf("blue_green %q: no such service in the greenroom app, which has: %s", h.Service, app.names())
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if h.edge.runtime.leaving.Load() != nil {
		w.Header().Del("Alt-Svc") // nobody is to begin with HTTP/3 here
		if r.ProtoMajor < 3 {
			w.Header().Set("Connection", "close") // over HTTP/2 a GOAWAY
		}
	}
	t := newTrip(h.edge, r)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(t.placeholder)
	}
	err := checkTarget(r, h.edge.config.AllowAmbiguousPaths)
	switch {
	case err != nil:
		err = caddyhttp.Error(http.StatusBadRequest, err)
	case tooEarly(r):
		err = caddyhttp.Error(http.StatusTooEarly, fmt.Errorf("%s in early data, which anybody may have sent again: it is answered once the handshake is complete", r.Method))
	default:
		err = t.run(w, r)
	}
	if errors.Is(err, ErrAborted) {
		panic(http.ErrAbortHandler) // net/http cuts the connection
	}
	if refused, ok := errors.AsType[caddyhttp.HandlerError](err); ok && t.preview.bySecret {
		// Caddy would log the request, and the secret with it.
		http.Error(w, "preview: "+refused.Err.Error(), refused.StatusCode)
		return nil
	}
	return err
}

// tooEarly reports whether r came before the client has shown that it is there,
// in data that may be a copy, and is no method that is safe to repeat (RFC 8470
// §5.2). Only HTTP/3 takes such data.
func tooEarly(r *http.Request) bool {
	return r.TLS != nil && !r.TLS.HandshakeComplete && !slices.Contains(idempotent, r.Method)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
