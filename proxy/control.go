package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// Control is the config of the control socket.
type Control struct {
	// The path of the Unix socket. Default: /run/greenroom/control.sock for
	// root, else greenroom/control.sock in $XDG_RUNTIME_DIR, else in a
	// directory of the user's own under the system's temporary directory.
	Socket string `json:"socket,omitempty"`

	// The group, by name or number, whose members may connect to the
	// socket; what they may do, allow says. Default: the process's own.
	Group string `json:"group,omitempty"`

	// Who may do what, besides root and the user that the edge runs as, who
	// may do all.
	Allow []*Allow `json:"allow,omitempty"`

	// The audit log. Default: audit.jsonl in the state directory.
	Audit string `json:"audit,omitempty"`

	// What callers of /greenroom/ on Caddy's admin API may do: none, view,
	// drain, flip or force. Nobody is asked there who he is. Default: view.
	AdminAPI string `json:"admin_api,omitempty"`

	policy    control.Policy
	adminRole control.Role
}

// Allow gives a role to a user or to the members of a group.
type Allow struct {
	// A user, by name or number.
	User string `json:"user,omitempty"`
	// A group, by name or number.
	Group string `json:"group,omitempty"`
	// none, view, drain, flip or force; each includes those before it.
	Role string `json:"role"`
}

func (c *Control) provision(stateDir string) (err error) {
	if c.Socket == "" {
		c.Socket = control.DefaultSocket()
	}
	if c.Audit == "" {
		c.Audit = filepath.Join(stateDir, "audit.jsonl")
	}
	for _, path := range []*string{&c.Socket, &c.Audit} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	c.adminRole = control.RoleView
	if c.AdminAPI != "" {
		if c.adminRole, err = control.ParseRole(c.AdminAPI); err != nil {
			return fmt.Errorf("admin_api: %w", err)
		}
	}
	c.policy = control.Policy{}
	for _, a := range c.Allow {
		rule, err := a.rule()
		if err != nil {
			return fmt.Errorf("allow: %w", err)
		}
		c.policy.Rules = append(c.policy.Rules, rule)
	}
	return nil
}

func (a *Allow) rule() (control.Rule, error) {
	role, err := control.ParseRole(a.Role)
	switch {
	case err != nil:
		return control.Rule{}, err
	case (a.User == "") == (a.Group == ""):
		return control.Rule{}, errors.New("name either a user or a group")
	case a.User != "":
		return control.UserRule(a.User, role)
	}
	return control.GroupRule(a.Group, role)
}

// unmarshal reads the block of control:
//
//	control {
//		socket <path>
//		group <group>
//		allow user|group <who> <role>
//		audit <path>
//		admin_api <role>
//	}
func (c *Control) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return options{
		"socket":    text(&c.Socket),
		"group":     text(&c.Group),
		"audit":     text(&c.Audit),
		"admin_api": text(&c.AdminAPI),
		"allow": func(d *caddyfile.Dispenser) error {
			var kind, who, role string
			if !d.AllArgs(&kind, &who, &role) {
				return d.ArgErr()
			}
			a := &Allow{Role: role}
			switch kind {
			case "user":
				a.User = who
			case "group":
				a.Group = who
			default:
				return d.Errf("allow %q: want user or group", kind)
			}
			c.Allow = append(c.Allow, a)
			return nil
		},
	}.read(d, "allow")
}

// controlPlane is the control socket and its audit log, while they are open.
type controlPlane struct {
	config  Control // that they were opened with
	audit   *control.Audit
	handler atomic.Pointer[control.Handler]
	server  *control.Server
	stop    func() // of the server; waits
}

// openControl makes the control plane app's own. What app does not change
// stays open; on an error all stays. The caller holds mu.
func (rt *runtime) openControl(app *App) error {
	if rt.control == nil {
		rt.control = new(controlPlane)
	}
	p, c := rt.control, app.Control
	audit := p.audit
	if audit == nil || c.Audit != p.config.Audit {
		var err error
		if audit, err = control.OpenAudit(c.Audit); err != nil {
			return err
		}
	}
	if p.server == nil || c.Socket != p.config.Socket || c.Group != p.config.Group {
		if err := p.listen(rt, c); err != nil {
			if audit != p.audit {
				return errors.Join(err, audit.Close())
			}
			return err
		}
	}
	p.handler.Store(control.NewHandler(rt.switcher, audit, rt.log))
	if p.audit != nil && p.audit != audit {
		_ = p.audit.Close()
	}
	p.audit, p.config = audit, *c
	p.server.SetPolicy(c.policy)
	return nil
}

// listen opens a new socket, and only then closes the one before.
func (p *controlPlane) listen(rt *runtime, c *Control) error {
	settings := control.Settings{Socket: c.Socket, Group: c.Group, Policy: c.policy}
	if p.server != nil && c.Socket == p.config.Socket {
		p.close() // the same path for another group: no two can be open
	}
	server, err := control.Listen(settings, p, rt.log)
	if err != nil {
		return err
	}
	p.close()
	p.server = server
	p.stop = goUntilStopped(func(ctx context.Context) {
		if err := server.Run(ctx); err != nil {
			rt.log.Error("control socket", "error", err)
		}
	})
	return nil
}

// ServeHTTP hands on to the handler of the newest config.
func (p *controlPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.handler.Load().ServeHTTP(w, r)
}

func (p *controlPlane) close() {
	if p.stop != nil {
		p.stop()
		p.server, p.stop = nil, nil
	}
}

func (rt *runtime) closeControl() {
	if p := rt.control; p != nil {
		p.close()
		if p.audit != nil {
			_ = p.audit.Close()
		}
		rt.control = nil
	}
}

func init() { caddy.RegisterModule(AdminAPI{}) }

// AdminAPI serves the control socket's routes on Caddy's admin API too, under
// /greenroom/. Its callers are not known to the kernel as those of the socket
// are, and get the role that control.admin_api gives them.
type AdminAPI struct{}

// CaddyModule implements caddy.Module.
func (AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.greenroom", New: func() caddy.Module { return new(AdminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/greenroom/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	rt := active.Load()
	if rt == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the greenroom app is not running")}
	}
	app, handler := rt.newest.Load(), rt.handler()
	if app == nil || handler == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the greenroom app is starting")}
	}
	id := control.Identity{Name: "admin API (" + r.RemoteAddr + ")", Role: app.Control.adminRole}
	r = r.WithContext(control.WithIdentity(r.Context(), id))
	http.StripPrefix("/greenroom", handler).ServeHTTP(w, r)
	return nil
}

func (rt *runtime) handler() http.Handler {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.control == nil || rt.control.handler.Load() == nil {
		return nil
	}
	return rt.control
}

var _ caddy.AdminRouter = AdminAPI{}
