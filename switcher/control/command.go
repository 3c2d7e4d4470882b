package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// command is one verb that can be posted.
type command struct {
	role Role
	// silent commands change nothing and are not audited.
	silent bool
	// always goes through, even where the audit log cannot be written.
	always bool
	// prepare makes one call of the command.
	prepare func(*Handler) *call
}

var commands = map[string]command{
	"plan":     {role: RoleView, silent: true, prepare: calling(ofCutover, Switcher.Plan)},
	"drain":    {role: RoleDrain, prepare: calling(ofDrain, Switcher.Drain)},
	"hold":     {role: RoleDrain, prepare: calling(ofRequest, Switcher.Hold)},
	"resume":   {role: RoleFlip, prepare: calling(ofRequest, Switcher.Resume)},
	"cutover":  {role: RoleFlip, prepare: calling(ofCutover, Switcher.Cutover)},
	"evict":    {role: RoleFlip, prepare: prepareEvict},
	purge:      {role: RoleFlip, prepare: preparePurge},
	upgrade:    {role: RoleForce, prepare: prepareUpgrade},
	"split":    {role: RoleFlip, prepare: calling(ofSplit, Switcher.Split)},
	"lock":     {role: RoleFlip, prepare: calling(ofRequest, Switcher.Lock)},
	"unlock":   {role: RoleFlip, prepare: calling(ofRequest, Switcher.Unlock)},
	"abort":    {role: RoleFlip, always: true, prepare: calling(ofRequest, Switcher.Abort)},
	"rollback": {role: RoleFlip, always: true, prepare: calling(ofRollback, Switcher.Rollback)},
}

func ofRequest(r *switcher.Request) *switcher.Request          { return r }
func ofCutover(r *switcher.CutoverRequest) *switcher.Request   { return &r.Request }
func ofSplit(r *switcher.SplitRequest) *switcher.Request       { return &r.Request }
func ofDrain(r *switcher.DrainRequest) *switcher.Request       { return &r.Request }
func ofRollback(r *switcher.RollbackRequest) *switcher.Request { return &r.Request }

// call is one command with its request.
type call struct {
	request any               // a pointer to what the body is read into
	base    *switcher.Request // the part of request that all commands have
	check   func() error      // of what the request says by itself, before it is audited; nil: its command looks
	do      func(context.Context) (any, error)
}

// calling fits a method of the Switcher into the table of commands.
func calling[Q, A any](base func(*Q) *switcher.Request, do func(Switcher, context.Context, Q) (A, error)) func(*Handler) *call {
	return func(h *Handler) *call {
		request := new(Q)
		return &call{
			request: request, base: base(request),
			do: func(ctx context.Context) (any, error) { return do(h.sw, ctx, *request) },
		}
	}
}

func prepareEvict(h *Handler) *call {
	request := new(switcher.EvictRequest)
	return &call{request: request, base: &request.Request, do: func(ctx context.Context) (any, error) {
		if h.streams == nil {
			return nil, errNoStreams
		}
		return h.streams.Evict(ctx, *request)
	}}
}

// forced reports a request that overrides a gate.
func (c *call) forced() bool {
	rollback, ok := c.request.(*switcher.RollbackRequest)
	return ok && rollback.Force
}

// essentials is the request without what an audit line has fields for.
func (c *call) essentials() json.RawMessage {
	whole := *c.base
	*c.base = switcher.Request{IfGeneration: whole.IfGeneration}
	defer func() { *c.base = whole }()
	data, err := json.Marshal(c.request)
	if err != nil || string(data) == "{}" {
		return nil
	}
	return data
}

func (h *Handler) command(w http.ResponseWriter, r *http.Request, id Identity, to target) {
	c := commands[to.action]
	call := c.prepare(h)
	if err := readRequest(w, r, call, to.name); err != nil {
		h.answer(w, nil, err)
		return
	}
	if call.check != nil {
		if err := call.check(); err != nil {
			h.answer(w, nil, err)
			return
		}
	}
	call.base.By = id.Name
	if call.forced() && id.Role < RoleForce {
		h.refuse(w, id, target{to.action + " by force", to.name}, RoleForce)
		return
	}
	if c.silent {
		result, err := call.do(r.Context())
		h.answer(w, result, err)
		return
	}
	result, err := h.carryOut(r.Context(), id, to.action, call)
	h.answer(w, result, err)
}

// carryOut writes down what is about to happen, does it, and writes down what
// came of it. A caller that hangs up does not stop it half way.
func (h *Handler) carryOut(ctx context.Context, id Identity, action string, call *call) (any, error) {
	ctx, cancel := untilHardStop(ctx)
	defer cancel()
	log := h.log.With("action", action, "services", call.base.Services, "by", id.Name)
	ref, unaudited := h.audit.begin(entry{
		Who: whoIs(id), Action: action, Services: call.base.Services,
		Request: call.essentials(), Reason: call.base.Reason, Decision: allowed,
	})
	if unaudited != nil {
		if !commands[action].always {
			log.Error("refused, as the audit log cannot be written", "error", unaudited)
			return nil, newProblem(CodeAuditFailed, "%s is refused, as it could not be audited: %s", action, unaudited)
		}
		log.Warn("goes through although the audit log cannot be written", "error", unaudited)
	}
	result, err := call.do(ctx)
	end := ended(ref, action, result, err)
	log.Info("command", "outcome", end.Outcome, "code", end.Code, "move", end.Move)
	if unaudited == nil {
		if err := h.audit.note(end); err != nil {
			log.Warn("the outcome is missing from the audit log", "error", err)
		}
	}
	return result, err
}

// ended is the second audit line of a command.
func ended(ref uint64, action string, result any, err error) entry {
	e := entry{Ref: ref, Action: action, Outcome: "done"}
	if err != nil {
		p := problemOf(err)
		e.Outcome, e.Code, e.Detail = "failed", p.Code, cut(p.Detail, 1000)
		return e
	}
	switch r := result.(type) {
	case switcher.Receipt:
		e.Move, e.Changed = r.ID, &r.Changed
	case switcher.Eviction:
		e.Detail = fmt.Sprintf("%d streams of %s", r.Streams, r.Color)
	case PurgeResult:
		e.Detail = fmt.Sprintf("%d objects dropped", r.Dropped)
	}
	return e
}

type hardStopKey struct{}

// withHardStop makes hard the end of commands under way.
func withHardStop(ctx, hard context.Context) context.Context {
	return context.WithValue(ctx, hardStopKey{}, hard)
}

// untilHardStop returns a context that outlives ctx, until the server gives up
// waiting for its commands.
func untilHardStop(ctx context.Context) (context.Context, context.CancelFunc) {
	hard, ok := ctx.Value(hardStopKey{}).(context.Context)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if !ok {
		return ctx, cancel
	}
	release := context.AfterFunc(hard, cancel)
	return ctx, func() { release(); cancel() }
}

// readRequest fills call from the body, with name first among its services.
func readRequest(w http.ResponseWriter, r *http.Request, call *call, name string) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := checkMediaType(r.Header); err != nil {
			return err
		}
	}
	if err := decodeStrict(body, call.request); err != nil {
		return err
	}
	if n := len(call.base.Reason); n > maxReason {
		return newProblem(CodeInvalid, "\"reason\" has %d bytes: at most %d", n, maxReason)
	}
	if name == "" {
		if len(call.base.Services) > 0 {
			return newProblem(CodeInvalid, "\"services\": this command is of no service")
		}
		if call.base.IfGeneration != nil {
			return newProblem(CodeInvalid, "\"if_generation\": this command is of no service")
		}
		return nil
	}
	others := slices.DeleteFunc(call.base.Services, func(s string) bool { return s == name })
	call.base.Services = append([]string{name}, others...)
	if problem := checkNames(call.base.Services); problem != nil {
		return problem
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	// Errors mean that w has no deadlines: then its server's own limit holds.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	// A deadline left behind would look like the caller hanging up.
	_ = control.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, newProblem(CodeTooLarge, "the body has more than %d bytes", maxBody)
	}
	if err != nil {
		return nil, newProblem(CodeInvalid, "the body could not be read: %s", err)
	}
	return body, nil
}

func checkMediaType(header http.Header) error {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, given := params["charset"]
	switch {
	case err != nil || kind != "application/json" || len(header.Values("Content-Type")) > 1:
		return newProblem(CodeUnsupportedMediaType, "a body needs Content-Type: application/json, not %q",
			cut(strings.Join(header.Values("Content-Type"), ", "), maxName))
	case given && !strings.EqualFold(charset, "utf-8"):
		return newProblem(CodeUnsupportedMediaType, "charset %q: JSON is UTF-8", cut(charset, maxName))
	case header.Get("Content-Encoding") != "":
		return newProblem(CodeUnsupportedMediaType, "Content-Encoding %q: send the body as it is",
			cut(header.Get("Content-Encoding"), maxName))
	}
	return nil
}
