package control

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func TestThePolicyGivesTheHighestRoleThatMatches(t *testing.T) {
	const self = 500
	id := func(n uint32) *uint32 { return &n }
	rules := Policy{[]Rule{
		{UID: id(1000), Role: RoleView},
		{GID: id(20), Role: RoleDrain},
		{UID: id(1000), GID: id(30), Role: RoleFlip},
		{UID: id(0), Role: RoleView},
		{Role: RoleForce},
		{UID: id(7), Role: Role(200)},
	}}
	for _, c := range []struct {
		name   string
		policy Policy
		who    peer
		want   Role
	}{
		{"root without a rule", Policy{}, peer{uid: 0}, RoleForce},
		{"the process's own user without a rule", Policy{}, peer{uid: self}, RoleForce},
		{"somebody without a rule", Policy{}, peer{uid: 1000}, RoleNone},
		{"group root is not root", Policy{}, peer{uid: 1000, groups: []uint32{0}}, RoleNone},
		{"a rule for the user", rules, peer{uid: 1000, gid: 1}, RoleView},
		{"the primary group", rules, peer{uid: 2, gid: 20}, RoleDrain},
		{"a supplementary group", rules, peer{uid: 2, gid: 1, groups: []uint32{5, 20}}, RoleDrain},
		{"the higher of two", rules, peer{uid: 1000, gid: 20}, RoleDrain},
		{"a user in a group", rules, peer{uid: 1000, gid: 30}, RoleFlip},
		{"another user in that group", rules, peer{uid: 1001, gid: 30}, RoleNone},
		{"root named by a rule", rules, peer{uid: 0}, RoleView},
		{"root named by a rule, in a group", rules, peer{uid: 0, gid: 20}, RoleDrain},
		{"own user not named", rules, peer{uid: self}, RoleForce},
		{"a rule that names nobody", rules, peer{uid: 3}, RoleNone},
		{"a role beyond the last", rules, peer{uid: 7}, RoleForce},
	} {
		if got := c.policy.roleOf(c.who, self); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRulesAreMadeFromNamesAndNumbers(t *testing.T) {
	for who, want := range map[string]uint32{"daemon": 1, "0": 0, "4294967294": math.MaxUint32 - 1} {
		u, err := UserRule(who, RoleFlip)
		if err != nil || *u.UID != want || u.GID != nil || u.Role != RoleFlip {
			t.Errorf("user %q: %+v, %v", who, u, err)
		}
		g, err := GroupRule(who, RoleView)
		if who != "0" && (err != nil || *g.GID != want || g.UID != nil) {
			t.Errorf("group %q: %+v, %v", who, g, err)
		}
	}
	for _, who := range []string{"", "no-such-user", "-1", "4294967295", "4294967296", "18446744073709551616", "1 "} {
		if u, err := UserRule(who, RoleFlip); err == nil {
			t.Errorf("user %q: %+v", who, u)
		}
		if g, err := GroupRule(who, RoleFlip); err == nil {
			t.Errorf("group %q: %+v", who, g)
		}
	}
	if r, err := ParseRole("admin"); err == nil {
		t.Error(r)
	}
}

// roleNeeded is what each request needs, by hand and not from the tables.
var roleNeeded = []struct {
	sent sent
	role Role
}{
	{sent{"GET", "/v1/services", "", ""}, RoleView},
	{sent{"GET", "/v1/services/app", "", ""}, RoleView},
	{sent{"GET", "/v1/services/app/history", "", ""}, RoleView},
	{sent{"POST", "/v1/services/app/plan", asJSON, `{"to":"green"}`}, RoleView},
	{sent{"GET", "/v1/process", "", ""}, RoleView},
	{sent{"POST", "/v1/services/app/drain", "", ""}, RoleDrain},
	{sent{"POST", "/v1/services/app/hold", "", ""}, RoleDrain},
	{sent{"POST", "/v1/services/app/cutover", asJSON, `{"to":"green"}`}, RoleFlip},
	{sent{"POST", "/v1/services/app/split", asJSON, `{"color":"green","weight":5}`}, RoleFlip},
	{sent{"POST", "/v1/services/app/resume", "", ""}, RoleFlip},
	{sent{"POST", "/v1/services/app/abort", "", ""}, RoleFlip},
	{sent{"POST", "/v1/services/app/lock", "", ""}, RoleFlip},
	{sent{"POST", "/v1/services/app/unlock", "", ""}, RoleFlip},
	{sent{"POST", "/v1/services/app/rollback", asJSON, `{"force":false}`}, RoleFlip},
	{sent{"POST", "/v1/services/app/rollback", asJSON, `{"force":true}`}, RoleForce},
	{sent{"POST", "/v1/upgrade", "", ""}, RoleForce},
	{sent{"POST", "/v1/upgrade", asJSON, `{"reason":"1.5"}`}, RoleForce},
}

func TestEachRoleMayDoItsPartAndNoMore(t *testing.T) {
	for role := RoleNone; role <= RoleForce; role++ {
		s, _ := startProcess(t, Settings{Policy: allow(0, role)})
		for _, c := range roleNeeded {
			want, code := http.StatusOK, ""
			if role < c.role {
				want, code = http.StatusForbidden, CodeNotAllowed
			}
			if resp, p := raw(t, s.path(), c.sent.String()); resp.StatusCode != want || p.Code != code {
				t.Errorf("%s: %s %s: %d %+v", role, c.sent.method, c.sent.path, resp.StatusCode, p)
			}
		}
	}
}

func TestWithoutARoleEveryPathLooksTheSame(t *testing.T) {
	s := start(t, newRecorder(), Settings{Policy: allow(0, RoleNone)})
	for _, c := range malformed {
		resp, p := raw(t, s.path(), c.sent.String())
		if resp.StatusCode != http.StatusForbidden || p.Code != CodeNotAllowed || !resp.Close {
			t.Errorf("%s: %d %+v", c.name, resp.StatusCode, p)
		}
	}
	if lines := entries(t, s.audit); len(lines) != refusalBurst {
		t.Errorf("%d lines for %d refusals", len(lines), len(malformed))
	}
}

func TestANewPolicyHoldsForTheNextRequest(t *testing.T) {
	s := start(t, newRecorder(), Settings{Policy: allow(0, RoleView)})
	lock := func() error {
		_, err := s.Lock(t.Context(), switcher.Request{Services: []string{"app"}})
		return err
	}
	wantProblem(t, lock(), http.StatusForbidden, CodeNotAllowed, nil)
	s.SetPolicy(Policy{})
	if err := lock(); err != nil {
		t.Error(err)
	}
}

func TestARefusedLoopWritesABoundedNumberOfLines(t *testing.T) {
	var all throttle
	now := time.Now()
	written, counted := 0, 0
	const loops, rounds = 1000, 30
	for range rounds {
		for range loops {
			if suppressed, ok := all.take("uid 9", now); ok {
				written++
				counted += 1 + suppressed
			}
		}
		now = now.Add(time.Minute)
	}
	if want := refusalBurst + rounds - 1; written != want {
		t.Errorf("%d lines, want %d", written, want)
	}
	if want := loops*(rounds-1) + 1; counted != want {
		t.Errorf("the lines speak of %d refusals, want %d", counted, want)
	}
	if _, ok := all.take("uid 10", now); !ok {
		t.Error("another caller has no lines left")
	}
}

func TestAQuietCallerGetsItsBurstBack(t *testing.T) {
	var all throttle
	now := time.Now()
	for range 2 {
		for i := range refusalBurst + 1 {
			if _, ok := all.take("uid 9", now); ok != (i < refusalBurst) {
				t.Errorf("line %d: %v", i, ok)
			}
		}
		now = now.Add(24 * time.Hour)
	}
}

func TestManyRefusedCallersShareWhatOneMayWrite(t *testing.T) {
	var all throttle
	written := 0
	for i := range 10 * refusalCaller {
		if _, ok := all.take(fmt.Sprintf("uid %d", i), time.Now()); ok {
			written++
		}
	}
	if written > refusalCaller+refusalBurst || len(all.callers) > refusalCaller+1 {
		t.Errorf("%d lines, %d callers", written, len(all.callers))
	}
}
