package media

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// redacted stands for what no log may have.
const redacted = "REDACTED"

// maxShown is how much of a query is looked at, in bytes. What is longer is
// hidden whole: no player sends that, and reading it costs.
const maxShown = 8 << 10

// telling are words, in lower case, of which a parameter has one in its name if
// its value may open media: those of the schemes that mediaedge/sign knows, and
// of others in use. To hide too much costs little.
var telling = []string{
	"sig", "token", "policy", "auth", "verify", "hdn", "hmac", "md5", "hash", "secret", "passw", "jwt", "key", "cred", "session", "urlprefix",
}

// secrets knows which parameters of a query are not to be seen.
type secrets []string // names of the config, besides those that are telling

func (s secrets) hides(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(telling, func(word string) bool { return strings.Contains(name, word) }) ||
		slices.ContainsFunc(s, func(own string) bool { return strings.EqualFold(own, name) })
}

// query hides the values of tokens in a query, and what cannot be read.
func (s secrets) query(query string) string {
	switch {
	case query == "":
		return ""
	case len(query) > maxShown:
		return redacted
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		switch {
		case err != nil || strings.Contains(pair, ";"):
			pairs[i] = redacted
		case has && value != "" && s.hides(plain):
			pairs[i] = name + "=" + redacted
		}
	}
	return strings.Join(pairs, "&")
}

// uri does so in a request target or a Referer, and hides a user and a fragment.
func (s secrets) uri(uri string) string {
	uri, fragment, has := strings.Cut(uri, "#")
	if has && fragment != "" {
		fragment = redacted
	}
	before, query, hasQuery := strings.Cut(uri, "?")
	if scheme, rest, absolute := strings.Cut(before, "://"); absolute {
		authority, path, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			before = scheme + "://" + redacted + authority[at:] + strings.TrimSuffix("/"+path, "/")
		}
	}
	if hasQuery {
		before += "?" + s.query(query)
	}
	if has {
		before += "#" + fragment
	}
	return before
}

// request is a request as it may be logged. The target is the one that came,
// whatever it was rewritten to. clean: nothing had to be hidden.
func (s secrets) request(r *http.Request, target string) (shown *http.Request, clean bool) {
	uri, referers := s.uri(target), slices.Clone(r.Header["Referer"])
	for i, referer := range referers {
		referers[i] = s.uri(referer)
	}
	if uri == target && slices.Equal(referers, r.Header["Referer"]) {
		return r, true
	}
	shown = r.Clone(r.Context())
	shown.RequestURI = uri
	if len(referers) > 0 {
		shown.Header["Referer"] = referers
	}
	return shown, false
}

// response is a head without what opens media to whoever reads it.
func (s secrets) response(h http.Header) http.Header {
	shown := h.Clone()
	for i, location := range shown["Location"] {
		if before, _, has := strings.Cut(location, "?"); has {
			shown["Location"][i] = before + "?" + redacted
		}
	}
	if len(shown["Set-Cookie"]) > 0 {
		shown["Set-Cookie"] = []string{redacted}
	}
	return shown
}
