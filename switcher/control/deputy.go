package control

import (
	"context"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Deputy gives commands for who does not come through the socket, as what
// Consul's KV holds. They are audited as the socket's are, under the name in
// their request's By.
type Deputy struct{ h *Handler }

// Deputy returns one that acts on h's Switcher and audit log.
func (h *Handler) Deputy() Deputy { return Deputy{h} }

// Cutover is the Switcher's. Where the audit log cannot be written it is
// refused. The end of ctx ends the wait for it.
func (d Deputy) Cutover(ctx context.Context, req switcher.CutoverRequest) (switcher.Receipt, error) {
	return deputize(ctx, d.h, "cutover", req)
}

// Rollback is the Switcher's. It goes through also where the audit log cannot
// be written.
func (d Deputy) Rollback(ctx context.Context, req switcher.RollbackRequest) (switcher.Receipt, error) {
	return deputize(ctx, d.h, "rollback", req)
}

// Refused notes a cutover in the audit log that never became a command, because
// what asked for it is malformed or cannot be read (CodeInvalid), or is too old or
// gone (CodeConflict). Without a service it is about all of them. The rate is
// bounded for each by, as with callers of the socket.
func (d Deputy) Refused(by, service, code, detail string) {
	d.h.noteRefusal(Identity{Name: by, Role: RoleFlip}, target{"cutover", service}, code, cut(detail, 1000))
}

func deputize[Q any](ctx context.Context, h *Handler, action string, req Q) (switcher.Receipt, error) {
	call := commands[action].prepare(h)
	*call.request.(*Q) = req
	id := Identity{Name: call.base.By, Role: commands[action].role}
	result, err := h.carryOut(withHardStop(ctx, ctx), id, action, call)
	receipt, _ := result.(switcher.Receipt)
	return receipt, err
}
