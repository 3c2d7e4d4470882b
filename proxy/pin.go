package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Pin keeps a client's session on its color: after a flip it stays there while
// it lives, and only sessions that begin go to the new color. A flip that is
// acknowledged then means that no session begins on the old color any more;
// that nothing reaches it any more comes when its last session has ended, at
// the deadline, or by `greenroom drain <service> --pins drop`.
//
// A rollback or an abort takes the sessions along at once. A session whose
// color has no upstream that could serve it moves. An edge that restarts has
// forgotten all sessions.
type Pin struct {
	// Where a session is known from, in the order in which they are looked
	// for; the first that a request has counts. The same value is the same
	// session, wherever it comes from. At least one, at most 8.
	Keys []*PinKey `json:"keys,omitempty"`

	// How long a session may be without a request and without a stream
	// before it has ended, 1s to 24h. Default: 1m.
	Idle caddy.Duration `json:"idle,omitempty"`

	// How long after a flip sessions may stay on the color that lost its
	// traffic, up to 168h. What runs then still has the deadlines of a
	// drain. Default: 15m.
	Deadline caddy.Duration `json:"deadline,omitempty"`

	// How many sessions are remembered, 1 to 1000000, in about 50 bytes
	// each. One that finds no room is not pinned, and counted. Default:
	// 100000.
	Max int `json:"max,omitempty"`
}

// PinKey is one place where a session is known from. A value that is longer
// than 256 bytes is none.
type PinKey struct {
	// query, cookie, path, or cmcd: the session ID that a media player sends
	// in the query argument CMCD or the header CMCD-Session (CTA-5004).
	// Required.
	By string `json:"by,omitempty"`

	// The name of the query parameter or the cookie.
	Name string `json:"name,omitempty"`

	// Of a path: a prefix such as /live/, after which the next segment is
	// the session, or a regular expression with one group, which is it.
	Match string `json:"match,omitempty"`

	group *regexp.Regexp // nil: Match is a prefix
}

const (
	maxPinKeys     = 8
	defaultPinIdle = caddy.Duration(time.Minute)
	defaultPins    = 100_000
)

func (p *Pin) prepare() error {
	if p == nil {
		return nil
	}
	switch {
	case len(p.Keys) == 0:
		return errors.New("pin: nothing to know a session by: want query, cookie, path or cmcd")
	case len(p.Keys) > maxPinKeys:
		return fmt.Errorf("pin: %d keys, at most %d", len(p.Keys), maxPinKeys)
	}
	for _, k := range p.Keys {
		if err := k.prepare(); err != nil {
			return fmt.Errorf("pin: %w", err)
		}
	}
	if p.Idle == 0 {
		p.Idle = defaultPinIdle
	}
	if p.Deadline == 0 {
		p.Deadline = caddy.Duration(switcher.DefaultPinDeadline)
	}
	if p.Max == 0 {
		p.Max = defaultPins
	}
	return errors.Join(
		inRange("pin idle", time.Duration(p.Idle), time.Second, 24*time.Hour),
		inRange("pin deadline", time.Duration(p.Deadline), 0, 168*time.Hour),
		inRange("pin max", p.Max, 1, switcher.MaxPins),
	)
}

func (k *PinKey) prepare() error {
	if k == nil {
		return errors.New("a key that is null")
	}
	named, matched := k.By == "query" || k.By == "cookie", k.By == "path"
	switch {
	case !named && !matched && k.By != "cmcd":
		return fmt.Errorf("key %.40q: want query, cookie, path or cmcd", k.By)
	case named == (k.Name == ""):
		return fmt.Errorf("key %s with the name %.40q: query and cookie have one, the others none", k.By, k.Name)
	case matched == (k.Match == ""):
		return fmt.Errorf("key %s with the match %.40q: a path has one, the others none", k.By, k.Match)
	case k.By == "cookie":
		return fieldName("cookie", k.Name)
	case matched:
		return k.compile()
	}
	return nil
}

func (k *PinKey) compile() error {
	if strings.HasPrefix(k.Match, "/") && regexp.QuoteMeta(k.Match) == k.Match {
		if !strings.HasSuffix(k.Match, "/") {
			return fmt.Errorf("path %.80q: a prefix ends with a slash", k.Match)
		}
		return nil
	}
	group, err := regexp.Compile(k.Match)
	if err != nil {
		return fmt.Errorf("path %.80q: %w", k.Match, err)
	}
	if n := group.NumSubexp(); n != 1 {
		return fmt.Errorf("path %.80q: the regular expression has %d groups: want one, which is the session", k.Match, n)
	}
	k.group = group
	return nil
}

// config is what the switcher goes by.
func (p *Pin) config() switcher.PinConfig {
	if p == nil {
		return switcher.PinConfig{}
	}
	return switcher.PinConfig{Idle: time.Duration(p.Idle), Max: p.Max}
}

func (p *Pin) deadline() switcher.Duration {
	if p == nil {
		return 0
	}
	return switcher.Duration(p.Deadline)
}

// session says which one r belongs to, 0: none that is known.
func (p *Pin) session(r *http.Request) switcher.Session {
	if p == nil {
		return 0
	}
	for _, k := range p.Keys {
		if s := k.session(r); s != 0 {
			return s
		}
	}
	return 0
}
