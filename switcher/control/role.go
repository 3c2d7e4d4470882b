package control

import (
	"errors"
	"fmt"
	"math"
	"os/user"
	"slices"
	"strconv"
)

// Role is what a caller may do; each role includes the ones below it. The zero
// value may do nothing.
type Role uint8

// The roles.
const (
	RoleNone  Role = iota
	RoleView       // every GET, and plan
	RoleDrain      // drain, hold
	RoleFlip       // cutover, split, evict, purge, rollback, abort, resume, lock, unlock
	RoleForce      // upgrade, and what overrides a gate: a rollback with force
)

var roleNames = [...]string{"none", "view", "drain", "flip", "force"}

func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole reads "view", "drain", "flip", "force", or "none", which takes
// away what a user would have without a rule.
func ParseRole(s string) (Role, error) {
	if i := slices.Index(roleNames[:], s); i >= 0 {
		return Role(i), nil
	}
	return RoleNone, fmt.Errorf("role %q: want one of %q", s, roleNames)
}

// MarshalText writes the name of the role.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Role) UnmarshalText(text []byte) error {
	parsed, err := ParseRole(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}

// Rule gives a role to a user, or to the members of a group; where both are
// set, to that user in that group. A rule with neither matches nobody.
type Rule struct {
	UID  *uint32 `json:"uid,omitempty"`
	GID  *uint32 `json:"gid,omitempty"`
	Role Role    `json:"role"`
}

// UserRule gives role to a user, by name or number. A name is looked up now.
func UserRule(who string, role Role) (Rule, error) {
	id, err := lookupID(who, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return Rule{}, fmt.Errorf("user %q: %w", who, err)
	}
	return Rule{UID: &id, Role: role}, nil
}

// GroupRule gives role to a group, by name or number. A name is looked up now.
func GroupRule(who string, role Role) (Rule, error) {
	id, err := lookupGroup(who)
	if err != nil {
		return Rule{}, err
	}
	return Rule{GID: &id, Role: role}, nil
}

func lookupGroup(who string) (uint32, error) {
	id, err := lookupID(who, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", who, err)
	}
	return id, nil
}

// lookupID refuses the highest number: the kernel means "no change" with it.
func lookupID(who string, lookup func(string) (string, error)) (uint32, error) {
	if _, err := strconv.ParseUint(who, 10, 64); err != nil {
		number, err := lookup(who)
		if err != nil {
			return 0, err
		}
		who = number
	}
	id, err := strconv.ParseUint(who, 10, 32)
	if err != nil || id == math.MaxUint32 {
		return 0, errors.New("want a name, or a number from 0 to 4294967294")
	}
	return uint32(id), nil
}

// Policy says who may do what on the socket. The zero value lets only root and
// the user that Greenroom runs as do anything; these two have RoleForce until
// a rule names their uid.
type Policy struct {
	Rules []Rule `json:"rules,omitempty"`
}

// roleOf returns the highest role that a rule gives to p. Self is the uid that
// the server runs as.
func (p Policy) roleOf(who peer, self uint32) Role {
	role, named := RoleNone, false
	for _, rule := range p.Rules {
		named = named || rule.UID != nil && *rule.UID == who.uid
		if rule.matches(who) {
			role = max(role, rule.Role)
		}
	}
	if !named && (who.uid == 0 || who.uid == self) {
		return RoleForce
	}
	return min(role, RoleForce)
}

func (r Rule) matches(who peer) bool {
	if r.UID == nil && r.GID == nil {
		return false
	}
	return (r.UID == nil || *r.UID == who.uid) &&
		(r.GID == nil || *r.GID == who.gid || slices.Contains(who.groups, *r.GID))
}
