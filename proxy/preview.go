package proxy

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
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
	// Proxy-Authorization and Cookie, without log_credentials).
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

var secretSource = regexp.MustCompile(`^\{(env|file)\.[^{}]+\}$`)

func (p *Preview) provision(repl *caddy.Replacer) error {
	if p == nil {
		return nil
	}
	for i, host := range p.Hosts {
		if plainHost(host) == "" || strings.ContainsFunc(host, notInHost) {
			return fmt.Errorf("preview host %q: want a hostname without a port", host)
		}
		p.Hosts[i] = plainHost(host)
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
	if err := errors.Join(fieldName("preview header", p.Header), fieldName("preview cookie", p.Cookie)); err != nil {
		return err
	}
	if !secretSource.MatchString(p.Secret) {
		return errors.New("preview: the secret must be one {env.NAME} or {file.PATH}: a literal would be shown by the admin API")
	}
	p.secret = []byte(strings.TrimSpace(repl.ReplaceAll(p.Secret, "")))
	if len(p.secret) < minSecret {
		return fmt.Errorf("preview: the secret from %s has %d characters, at least %d are needed", p.Secret, len(p.secret), minSecret)
	}
	return nil
}

// preview is what a request asks for, and how.
type preview struct{ idle, bySecret bool }

// wanted reports whether r asks for the idle color, and takes the secret out
// of what will be forwarded.
func (p *Preview) wanted(r *http.Request) (asked preview) {
	if p == nil {
		return asked
	}
	if p.Header != "" {
		asked.bySecret = slices.ContainsFunc(r.Header.Values(p.Header), p.matches)
		r.Header.Del(p.Header)
		delete(r.Trailer, http.CanonicalHeaderKey(p.Header))
		if asked.bySecret {
			keepOutOfLog(r, p.Header)
		}
	}
	if p.Cookie != "" && p.takeCookie(r) {
		asked.bySecret = true
		keepOutOfLog(r, "Cookie")
	}
	asked.idle = asked.bySecret || p.hostMatches(r.Host)
	return asked
}

// redacted are the headers that Caddy keeps out of its logs by itself.
var redacted = []string{"Authorization", "Proxy-Authorization", "Cookie"}

// keepOutOfLog leaves r out of access logs that would show the field.
func keepOutOfLog(r *http.Request, field string) {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	shown := server != nil && server.Logs != nil && server.Logs.ShouldLogCredentials
	if shown || !slices.Contains(redacted, http.CanonicalHeaderKey(field)) {
		caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	}
}

func (p *Preview) hostMatches(host string) bool {
	if len(p.Hosts) == 0 {
		return false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return slices.Contains(p.Hosts, plainHost(host))
}

// plainHost is a hostname in the form in which it is compared.
func plainHost(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// notInHost reports what a hostname cannot have: wildcards, a port, a scheme.
func notInHost(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("*/:@?#\\\"", r) }

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
		pairs := strings.Split(line, ";")
		kept := slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool {
			name, value, _ := strings.Cut(pair, "=")
			ours := strings.TrimSpace(name) == p.Cookie
			matches = matches || ours && p.matches(strings.Trim(strings.TrimSpace(value), `"`))
			return ours
		})
		if len(kept) < len(pairs) {
			lines[i] = strings.TrimLeft(strings.Join(kept, ";"), " \t")
		}
	}
	if lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" }); len(lines) == 0 {
		r.Header.Del("Cookie")
	} else {
		r.Header["Cookie"] = lines
	}
	return matches
}
