package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/greenroom-proxy/greenroom/proxy/block"
	"github.com/greenroom-proxy/greenroom/proxy/media"
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
	if c.Group != "" {
		if _, err := control.GroupRule(c.Group, control.RoleNone); err != nil {
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
	for i, a := range c.Allow {
		rule, err := a.rule()
		if err != nil {
			return fmt.Errorf("allow %d: %w", i+1, err)
		}
		c.policy.Rules = append(c.policy.Rules, rule)
	}
	return nil
}

func (a *Allow) rule() (control.Rule, error) {
	if a == nil {
		return control.Rule{}, errors.New("no settings")
	}
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
	return block.Options{
		"socket":    block.Text(&c.Socket),
		"group":     block.Text(&c.Group),
		"audit":     block.Text(&c.Audit),
		"admin_api": block.Text(&c.AdminAPI),
		"allow": func(d *caddyfile.Dispenser) error {
			var kind, who, role string
			if !d.AllArgs(&kind, &who, &role) {
				return d.Errf("allow: want user or group, who, and a role")
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
	}.Read(d, "allow")
}

// controlPlane is the control socket and the audit log of a config. Configs
// share what they have in common.
type controlPlane struct {
	config Control
	audit  *control.Audit
	server *control.Server // nil: gave way to another on the same path
	stop   func()          // of the server; waits
}

// openControl opens what c has that the plane in force has not. On an error
// all is as before. The caller holds mu.
func (rt *runtime) openControl(c *Control) (*controlPlane, error) {
	old := rt.control
	if old == nil {
		old = new(controlPlane)
	}
	p := &controlPlane{config: *c}
	if p.audit = old.audit; p.audit == nil || c.Audit != old.config.Audit {
		var err error
		if p.audit, err = control.OpenAudit(c.Audit); err != nil {
			return nil, err
		}
	} else if err := p.audit.Reopen(); err != nil { // no reason to keep the old config
		rt.log.Warn("the audit log cannot be written", "error", err)
	}
	if old.server != nil && c.Socket == old.config.Socket && c.Group == old.config.Group {
		p.server, p.stop = old.server, old.stop
	} else if err := rt.replaceSocket(old, p); err != nil {
		return nil, errors.Join(err, p.closeExcept(old))
	}
	return p, nil
}

// replaceSocket opens p's socket beside old's, unless both have one path, as
// when only the group changes: no two can be open there.
func (rt *runtime) replaceSocket(old, p *controlPlane) error {
	if old.server == nil || old.config.Socket != p.config.Socket {
		return p.listen(rt)
	}
	old.closeServer()
	err := p.listen(rt)
	if err != nil {
		err = errors.Join(err, old.listen(rt))
	}
	return err
}

func (p *controlPlane) listen(rt *runtime) error {
	settings := control.Settings{Socket: p.config.Socket, Group: p.config.Group, Policy: p.config.policy}
	server, err := control.Listen(settings, http.HandlerFunc(rt.serveControl), rt.log)
	if err != nil {
		return err
	}
	p.server = server
	p.stop = goUntilStopped(func(ctx context.Context) {
		if err := server.Run(ctx); err != nil {
			rt.log.Error("control socket", "error", err)
		}
	})
	return nil
}

// takingControl is how long a caller waits for the handler of a socket that has
// just been opened.
const takingControl = time.Second

// serveControl hands on to the handler in force.
func (rt *runtime) serveControl(w http.ResponseWriter, r *http.Request) {
	handler := rt.handler.Load()
	for until := time.Now().Add(takingControl); handler == nil && time.Now().Before(until); handler = rt.handler.Load() {
		time.Sleep(time.Millisecond)
	}
	if handler == nil {
		http.Error(w, "the greenroom app is starting", http.StatusServiceUnavailable)
		return
	}
	handler.ServeHTTP(w, r)
}

// takeControl brings p into force, and closes what only the one before had.
func (rt *runtime) takeControl(p *controlPlane) {
	old := rt.control
	rt.control = p
	if old == nil || old.audit != p.audit {
		handler := control.NewHandler(rt.switcher, p.audit, rt.log)
		handler.SetFleet(rt.reportFleet)
		handler.SetStreams(rt)
		handler.SetProcess(rt)
		handler.SetMedia(media.Face{})
		rt.handler.Store(handler)
	}
	p.server.SetPolicy(p.config.policy)
	if old != nil && old != p {
		_ = old.closeExcept(p) // of an audit log, whose lines are synced
	}
}

// dropControl closes what only p has, which did not come into force.
func (rt *runtime) dropControl(p *controlPlane) error {
	old := rt.control
	if old == nil {
		return p.closeExcept(new(controlPlane))
	}
	err := p.closeExcept(old)
	if old.server == nil { // it had given way to p's
		err = errors.Join(err, old.listen(rt))
	}
	return err
}

func (p *controlPlane) closeExcept(other *controlPlane) error {
	if p.server != other.server {
		p.closeServer()
	}
	if p.audit != other.audit {
		return p.audit.Close()
	}
	return nil
}

func (p *controlPlane) closeServer() {
	if p.server != nil {
		p.stop()
		p.server, p.stop = nil, nil
	}
}

func (rt *runtime) closeControl() {
	if rt.control != nil {
		_ = rt.control.closeExcept(new(controlPlane))
		rt.control = nil
		rt.handler.Store(nil)
	}
}
