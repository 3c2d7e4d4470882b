package proxy

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/switcher/control"
)

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
	app, handler := rt.inForce.Load(), rt.handler.Load()
	if app == nil || handler == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the greenroom app is starting")}
	}
	id := control.Identity{Name: "admin API (" + cmp.Or(peerIP(r.RemoteAddr), r.RemoteAddr) + ")", Role: app.Control.adminRole}
	r = r.WithContext(control.WithIdentity(r.Context(), id))
	http.StripPrefix("/greenroom", handler).ServeHTTP(w, r)
	return nil
}

var _ caddy.AdminRouter = AdminAPI{}
