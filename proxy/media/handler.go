package media

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
	"github.com/greenroom-proxy/greenroom/mediaedge/cors"
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

	// Parameters of the query that the CDN or the origin is to see, at most 32;
	// they count for what is kept, too. All others are dropped. A bucket sees
	// none. Default: of playlists _HLS_msn, _HLS_part and _HLS_skip (low-latency
	// HLS) with values that mean something, of all else none.
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
	source    *source    // nil: redirects; written by App.run
	counts    *counts
	meter     *cmcd.Meter
	secrets   secrets
	access    *zap.Logger
	log       *slog.Logger
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
		return h.named(err)
	}
	h.counts, h.meter = h.app.shared.metrics.of(h.Name), h.app.shared.meter
	return h.app.add(h)
}

func (h *Handler) named(err error) error {
	if h.Name == "" {
		return fmt.Errorf("media_edge: %w", err)
	}
	return fmt.Errorf("media_edge %s: %w", h.Name, err)
}

func (h *Handler) provision() (err error) {
	if err := h.check(); err != nil {
		return err
	}
	if h.Redirect != nil {
		if s := h.Redirect.Sign; s != nil && s.Parameter != "" {
			h.secrets = secrets{s.Parameter}
		}
		return h.Redirect.open(h.Query)
	}
	h.source, err = h.Origin.open(h.Name, afterward(h.log))
	return err
}

// check sets defaults and finds what is wrong with the config itself: it reads
// no file.
func (h *Handler) check() (err error) {
	if (h.Redirect == nil) == (h.Origin == nil) {
		return errors.New("want either a redirect or an origin")
	}
	if h.Redirect != nil {
		err = h.Redirect.check()
	} else if len(h.Origin.Endpoints) == 0 {
		err = errors.New("origin: no endpoints: want URLs as https://origin.example.com")
	}
	if err != nil {
		return err
	}
	if err := h.name(); err != nil {
		return err
	}
	if h.matcher, err = h.Match.matcher(); err != nil {
		return err
	}
	for name, p := range map[string]string{"strip_prefix": h.StripPrefix, "cmcd_events": h.CMCDEvents} {
		if canonical, err := plainpath.Canonical(p); p != "" && (err != nil || canonical != p) {
			return fmt.Errorf("%s %q: want a path in its plain form, as /media: %w", name, p, cmpError(err))
		}
	}
	h.StripPrefix = strings.TrimSuffix(h.StripPrefix, "/")
	if err := checkQuery(h.Query); err != nil {
		return err
	}
	if h.Redirect != nil && h.Cache != nil {
		return errors.New("cache: nothing is kept of what is redirected: leave it out")
	}
	if h.Cache == nil {
		h.Cache = new(Keeping)
	}
	if err := h.Cache.provision(); err != nil {
		return err
	}
	if err := h.checkCORS(); err != nil {
		return err
	}
	if h.Origin != nil {
		return h.Origin.check(h.Name)
	}
	return nil
}

func (h *Handler) checkCORS() (err error) {
	c := h.CORS
	if c == nil {
		return nil
	}
	policy := cors.Policy{Origins: c.Origins, Credentials: c.Credentials, MaxAge: time.Duration(c.MaxAge), Methods: h.methods()}
	if h.cors, err = cors.New(policy); err != nil {
		return err
	}
	policy.Methods, policy.Headers = []string{http.MethodPost}, []string{"Content-Type"}
	h.eventCORS, err = cors.New(policy)
	return err
}

func cmpError(err error) error {
	if err == nil {
		return errors.New("it is written in another way")
	}
	return err
}

// maxName is that of a name, in bytes: a host and a bucket have room.
const maxName = 128

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
	if h.Name == "" && h.Origin != nil {
		return errors.New("origin: endpoint 1: want a URL as https://origin.example.com")
	}
	if h.Name == "" || len(h.Name) > maxName || strings.ContainsFunc(h.Name, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return fmt.Errorf("name %q: want 1 to %d letters, digits and punctuation", h.Name, maxName)
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

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
