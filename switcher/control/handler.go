package control

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Switcher is what the routes act on; *switcher.Switcher is one.
type Switcher interface {
	Services(ctx context.Context) ([]switcher.ServiceView, error)
	View(ctx context.Context, name string) (switcher.ServiceView, error)
	History(ctx context.Context, name string) ([]switcher.Move, error)
	Subscribe() (events <-chan switcher.Event, cancel func())

	Plan(ctx context.Context, req switcher.CutoverRequest) (switcher.Plan, error)
	Cutover(ctx context.Context, req switcher.CutoverRequest) (switcher.Receipt, error)
	Split(ctx context.Context, req switcher.SplitRequest) (switcher.Receipt, error)
	Rollback(ctx context.Context, req switcher.RollbackRequest) (switcher.Receipt, error)
	Drain(ctx context.Context, req switcher.DrainRequest) (switcher.Receipt, error)
	Hold(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Resume(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Abort(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Lock(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
	Unlock(ctx context.Context, req switcher.Request) (switcher.Receipt, error)
}

var _ Switcher = (*switcher.Switcher)(nil)

// Limits and times of a request.
const (
	maxBody      = 64 << 10
	maxName      = 200 // bytes of a service's name
	maxServices  = 100 // that one command names
	maxReason    = 500 // bytes, the switcher's own limit, so that audit lines are bounded too
	bodyTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second // of an answer, or of one event
	keepAlive    = 15 * time.Second // between comments in a silent event stream
)

// Handler serves the routes to whoever WithIdentity names in the request's
// context. It expects paths that begin with /v1/.
type Handler struct {
	sw           Switcher
	audit        *Audit
	fleet        func(context.Context) (any, error)
	streams      Streams
	process      Process
	media        Media
	log          *slog.Logger
	refusals     throttle
	origins      *http.CrossOriginProtection
	writeTimeout time.Duration
}

// NewHandler returns the routes over sw. With a nil audit, as with one that
// cannot be written, moves are refused, all but rollback and abort. A nil
// logger logs nothing.
func NewHandler(sw Switcher, audit *Audit, log *slog.Logger) *Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		sw: sw, audit: audit, log: log, writeTimeout: writeTimeout,
		origins: http.NewCrossOriginProtection(),
	}
}

// SetFleet sets what answers GET /v1/fleet: a document for JSON, or nil while the
// edge is in no fleet. It must be called before the first request.
func (h *Handler) SetFleet(fleet func(context.Context) (any, error)) { h.fleet = fleet }

// Streams are what the edge has under way.
type Streams interface {
	Streams(ctx context.Context, service string, q switcher.StreamQuery) (switcher.StreamPage, error)
	Evict(ctx context.Context, req switcher.EvictRequest) (switcher.Eviction, error)
}

// SetStreams sets what answers for streams. Without it there are none to be
// seen. It must be called before the first request.
func (h *Handler) SetStreams(s Streams) { h.streams = s }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := IdentityFrom(r.Context())
	to, found := parsePath(r.URL.EscapedPath())
	if !found {
		to.action = cut(r.Method+" "+r.URL.Path, maxName)
	}
	switch {
	case id.Role == RoleNone: // before anything that would tell a stranger what is here
		h.refuse(w, id, to, RoleView)
	case !found:
		h.fail(w, newProblem(CodeNotFound, "no path %q: want /v1/services, /v1/services/{name}, /v1/events, /v1/fleet, /v1/process, /v1/media or a command",
			cut(r.URL.Path, maxName)))
	case r.Method != to.method():
		w.Header().Set("Allow", to.method())
		h.fail(w, newProblem(CodeMethodNotAllowed, "%s wants %s, not %s", to.action, to.method(), cut(r.Method, 20)))
	case h.origins.Check(r) != nil: // on a TCP listener, another site's page could send it
		h.fail(w, newProblem(CodeNotAllowed, "a cross-origin request from a browser"))
	case id.Role < to.role():
		h.refuse(w, id, to, to.role())
	default:
		h.serve(w, r, id, to)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, id Identity, to target) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.fail(w, newProblem(CodeInvalid, "query: %s", err))
		return
	}
	for key := range query {
		if !slices.Contains(parameters[to.action], key) {
			h.fail(w, newProblem(CodeInvalid, "query parameter %q: %s takes none such", cut(key, maxName), to.action))
			return
		}
	}
	if problem := checkNames(append(slices.Clone(query["service"]), to.names()...)); problem != nil {
		h.fail(w, problem)
		return
	}
	switch {
	case to.isCommand():
		h.command(w, r, id, to)
	case to.action == "events":
		h.events(w, r, query["service"])
	default:
		ctx, cancel := untilHardStop(r.Context())
		defer cancel()
		body, err := h.read(ctx, to, query)
		h.answer(w, body, err)
	}
}

// parameters of the query that a route knows.
var parameters = map[string][]string{
	"events":  {"service"},
	"streams": {"color", "kind", "after", "limit"},
}

type servicesBody struct {
	Services []switcher.ServiceView `json:"services"`
}

type historyBody struct {
	Moves []switcher.Move `json:"moves"`
}

func (h *Handler) read(ctx context.Context, to target, query url.Values) (any, error) {
	switch to.action {
	case "streams":
		return h.readStreams(ctx, to.name, query)
	case "fleet":
		return h.readFleet(ctx)
	case "process":
		return h.readProcess()
	case "media":
		return h.readMedia(ctx)
	case "services":
		views, err := h.sw.Services(ctx)
		return servicesBody{append([]switcher.ServiceView{}, views...)}, err
	case "history":
		moves, err := h.sw.History(ctx, to.name)
		return historyBody{append([]switcher.Move{}, moves...)}, err
	}
	return h.sw.View(ctx, to.name)
}

func (h *Handler) readFleet(ctx context.Context) (report any, err error) {
	if h.fleet != nil {
		report, err = h.fleet(ctx)
	}
	if report == nil && err == nil {
		err = newProblem(CodeNotFound, "this edge is in no fleet: the consul block of its config has no fleet")
	}
	return report, err
}

// refuse answers 403 and notes it in the audit log.
func (h *Handler) refuse(w http.ResponseWriter, id Identity, to target, need Role) {
	detail := "needs the role " + need.String() + "; " + id.Name + " has " + id.Role.String()
	to.name = cut(to.name, maxName) // not checked yet
	h.noteRefusal(id, to, CodeNotAllowed, detail)
	h.fail(w, newProblem(CodeNotAllowed, "%s %s", to.action, detail))
}

// noteRefusal writes to the audit log, at a bounded rate.
func (h *Handler) noteRefusal(id Identity, to target, code, detail string) {
	suppressed, ok := h.refusals.take(id.Name, time.Now())
	if !ok {
		return
	}
	err := h.audit.note(entry{
		Who: whoIs(id), Action: to.action, Services: to.names(),
		Decision: refused, Code: code, Detail: detail, Suppressed: suppressed,
	})
	if err != nil {
		h.log.Warn("a refusal is missing from the audit log", "error", err, "who", id.Name, "action", to.action)
	}
}

func (h *Handler) fail(w http.ResponseWriter, p *Problem) { h.answer(w, nil, p) }

// answer writes err as a problem, or else body.
func (h *Handler) answer(w http.ResponseWriter, body any, err error) {
	h.limitWrite(w)
	if err != nil {
		err = problemOf(err).write(w)
	} else {
		err = writeBody(w, http.StatusOK, "application/json", body)
	}
	if err != nil {
		h.log.Debug("the caller did not wait for its answer", "error", err)
	}
}

// limitWrite gives the next write its time. Not every ResponseWriter can; then
// its server's own limit holds.
func (h *Handler) limitWrite(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.writeTimeout))
}
