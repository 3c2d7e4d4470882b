package proxy

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Preview lets those who know a secret, or use a hostname of its own, reach
// the idle color before a cutover. It never falls back to the active color:
// an idle pool that cannot serve answers 503.
type Preview struct {
	// The request header that carries the secret. It is not forwarded, and
	// a request that carries the right one is left out of access logs
	// unless Caddy redacts that header by itself (Authorization,
	// Proxy-Authorization, Cookie).
	Header string `json:"header,omitempty"`

	// The cookie that carries the secret. It is not forwarded.
	Cookie string `json:"cookie,omitempty"`

	// The secret, at least 16 characters: a placeholder such as
	// {env.PREVIEW_SECRET} or {file./run/secrets/preview}, never the value
	// itself, since a config is shown by Caddy's admin API.
	Secret string `json:"secret,omitempty"`

	// Hostnames that always show the idle color. Route them to the same
	// blue_green handler.
	Hosts []string `json:"hosts,omitempty"`

	secret []byte
}

const minSecret = 16

func (p *Preview) provision(repl *caddy.Replacer) error {
	if p == nil {
		return nil
	}
	for i, host := range p.Hosts {
		if host == "" || strings.ContainsAny(host, "*/: ") {
			return fmt.Errorf("preview host %q: want a hostname without a port", host)
		}
		p.Hosts[i] = strings.ToLower(host)
	}
	if p.Header == "" && p.Cookie == "" {
		switch {
		case p.Secret != "":
			return errors.New("preview: a secret, but neither a header nor a cookie to carry it")
		case len(p.Hosts) == 0:
			return errors.New("preview: neither a header, a cookie nor a host")
		}
		return nil
	}
	if !strings.HasPrefix(p.Secret, "{env.") && !strings.HasPrefix(p.Secret, "{file.") || strings.Count(p.Secret, "{") != 1 {
		return errors.New("preview: the secret must be one {env.NAME} or {file.PATH}: a literal would be shown by the admin API")
	}
	p.secret = []byte(strings.TrimSpace(repl.ReplaceAll(p.Secret, "")))
	if len(p.secret) < minSecret {
		return fmt.Errorf("preview: the secret from %s has %d characters, at least %d are needed", p.Secret, len(p.secret), minSecret)
	}
	return nil
}

// wanted reports whether r asks for the idle color, and takes the secret out
// of what will be forwarded.
func (p *Preview) wanted(r *http.Request) bool {
	if p == nil {
		return false
	}
	byHost := p.hostMatches(r.Host)
	bySecret := false
	if p.Header != "" {
		bySecret = p.matches(r.Header.Get(p.Header))
		r.Header.Del(p.Header)
		if bySecret && !slices.Contains(redacted, http.CanonicalHeaderKey(p.Header)) {
			caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
		}
	}
	if p.Cookie != "" {
		bySecret = p.takeCookie(r) || bySecret
	}
	return byHost || bySecret
}

// redacted are the headers that Caddy keeps out of its logs by itself.
var redacted = []string{"Authorization", "Proxy-Authorization", "Cookie"}

func (p *Preview) hostMatches(host string) bool {
	if len(p.Hosts) == 0 {
		return false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return slices.Contains(p.Hosts, strings.ToLower(strings.TrimSuffix(host, ".")))
}

func (p *Preview) matches(value string) bool {
	return subtle.ConstantTimeCompare([]byte(value), p.secret) == 1
}

// takeCookie removes the preview cookie and leaves all others as they are.
func (p *Preview) takeCookie(r *http.Request) (matches bool) {
	lines := r.Header["Cookie"]
	for i, line := range lines {
		if !strings.Contains(line, p.Cookie) {
			continue
		}
		var kept []string
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if name == p.Cookie {
				matches = matches || p.matches(strings.Trim(value, `"`))
			} else {
				kept = append(kept, strings.TrimSpace(pair))
			}
		}
		lines[i] = strings.Join(kept, "; ")
	}
	if lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" }); len(lines) == 0 {
		r.Header.Del("Cookie")
	} else {
		r.Header["Cookie"] = lines
	}
	return matches
}
