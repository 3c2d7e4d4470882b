package control

import (
	"context"
	"fmt"
	"os/user"
	"strconv"
)

// Identity is who asks. The zero value may do nothing.
type Identity struct {
	// Name is what history and the audit log call the caller, as
	// "uid 1000 (alice)" or "admin API".
	Name string
	// Role is all that decides what the caller may do.
	Role Role
	// Local says that the kernel vouches for UID, GID and PID; otherwise
	// they mean nothing.
	Local    bool
	UID, GID uint32
	PID      int32 // 0 where the caller lives in another PID namespace
}

type identityKey struct{}

// WithIdentity returns a context whose requests are made by id. Whoever mounts
// the handler must have made sure who that is.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// IdentityFrom returns who makes the request: nobody, with RoleNone, where
// WithIdentity was not called.
func IdentityFrom(ctx context.Context) Identity {
	id, ok := ctx.Value(identityKey{}).(Identity)
	if !ok {
		return Identity{Name: "nobody"}
	}
	return id
}

// peer is the kernel's word on the process at the other end of a socket, as it
// was when that connected.
type peer struct {
	pid      int32
	uid, gid uint32
	groups   []uint32 // supplementary
}

// identity may ask a directory service for the name, and so may be slow.
func (p peer) identity() Identity {
	name := fmt.Sprintf("uid %d", p.uid)
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.uid), 10)); err == nil {
		name += " (" + u.Username + ")"
	}
	return Identity{Name: name, Local: true, UID: p.uid, GID: p.gid, PID: p.pid}
}
