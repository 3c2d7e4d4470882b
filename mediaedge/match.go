package mediaedge

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
)

// ErrAmbiguous is wrapped by the error of a target that has more than one
// reading. It is answered with the status 400.
var ErrAmbiguous = plainpath.ErrAmbiguous

// Canonical returns the only reading of the path of u, decoded, or an error
// that wraps ErrAmbiguous; the rules are those of internal/plainpath. host is
// the host of the request. A target in absolute form is taken if it is of the
// schemes http or https, of the same host, and without a user.
func Canonical(host string, u *url.URL) (string, error) {
	if err := authority(host, u); err != nil {
		return "", err
	}
	raw := written(u)
	path, err := plainpath.Canonical(raw)
	if err == nil && path != u.Path {
		return "", fmt.Errorf("%w: two spellings of the path", ErrAmbiguous)
	}
	return path, err
}

// authority looks at all of a target but its path.
func authority(host string, u *url.URL) error {
	switch {
	case u.Opaque != "":
		return fmt.Errorf("%w: a target without a path", ErrAmbiguous)
	case u.User != nil:
		return fmt.Errorf("%w: a user in the target", ErrAmbiguous)
	case u.Scheme != "" && u.Host == "":
		return fmt.Errorf("%w: an absolute target without a host", ErrAmbiguous)
	case u.Host != "" && !strings.EqualFold(u.Host, host):
		return fmt.Errorf("%w: the target and the Host field name two hosts", ErrAmbiguous)
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: a target that is neither http nor https", ErrAmbiguous)
	case u.Fragment != "" || u.RawFragment != "":
		return fmt.Errorf("%w: a fragment in the target", ErrAmbiguous)
	}
	return nil
}

// written is the path as the client wrote it.
func written(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.EscapedPath()
}

// Rule says which requests are for media. What it names must all hold; what
// it leaves empty holds always. The zero value matches the extensions of all
// sets, on every host, everywhere.
type Rule struct {
	// Hosts are names as "media.example.com", or "*.example.com" for exactly
	// one more label. Case, a port and a final dot of the request's host do
	// not count.
	Hosts []string

	// Prefixes are canonical paths as "/vod" or "/vod/". Only whole segments
	// count: "/vod" matches "/vod" and what is below it, not "/vodka"; "/vod/"
	// only what is below. Case counts.
	Prefixes []string

	// Sets name the extensions that match. With neither Sets nor Types all
	// sets do.
	Sets []Set

	// Types are more extensions, and take precedence over those of Sets.
	Types []Type

	// All also matches what has no extension that Sets and Types know; its
	// kind is Other. It wants a prefix other than "/", since without one the
	// whole application would be media.
	All bool
}

// Match is what is known of a request that is for media.
type Match struct {
	Path string // canonical, decoded: what to sign and to ask the origin for
	Type Type   // by the path's extension
	Rule int    // index of the first rule that matched
}

// Matcher says whether a request is for media. It is safe for concurrent use,
// and never changes. The zero value matches nothing.
type Matcher struct{ rules []rule }

type rule struct {
	hosts    []string
	prefixes []string
	types    map[string]Type
	all      bool
}

// New makes a Matcher of rules, of which the first that matches counts. Its
// errors name the rule by its number, from 1, and what is wrong with it.
func New(rules ...Rule) (*Matcher, error) {
	m := &Matcher{}
	for i, r := range rules {
		compiled, err := r.compile()
		if err != nil {
			return nil, fmt.Errorf("media rule %d: %w", i+1, err)
		}
		m.rules = append(m.rules, compiled)
	}
	return m, nil
}

// Match reports whether a request for u at host is for media. An error wraps
// ErrAmbiguous and is answered 400. What no rule can be for, by its host or in
// any reading of its path, is no error, however its target looks: it is not
// for this Matcher to judge.
func (m *Matcher) Match(host string, u *url.URL) (Match, bool, error) {
	if !m.Host(host) {
		return Match{}, false, nil
	}
	name := plainHost(host)
	if err := authority(host, u); err != nil {
		return Match{}, false, err
	}
	path, err := Canonical(host, u)
	if err != nil {
		if text := loose(written(u)); !slices.ContainsFunc(m.rules, func(r rule) bool { return r.host(name) && r.suspect(text) }) {
			return Match{}, false, nil
		}
		return Match{}, false, err
	}
	ext := extension(path)
	for i, r := range m.rules {
		if !r.host(name) || !r.prefix(path) {
			continue
		}
		if t, ok := r.types[ext]; ok {
			return Match{Path: path, Type: t, Rule: i}, true, nil
		}
		if r.all {
			return Match{Path: path, Rule: i}, true, nil
		}
	}
	return Match{}, false, nil
}

// Host reports whether any rule is for the host.
func (m *Matcher) Host(host string) bool {
	name := plainHost(host)
	return slices.ContainsFunc(m.rules, func(r rule) bool { return r.host(name) })
}

func (r Rule) compile() (rule, error) {
	c := rule{types: map[string]Type{}, all: r.All}
	for _, h := range r.Hosts {
		bare := strings.TrimPrefix(h, "*.")
		if bare == "" || strings.ContainsAny(bare, "*:/@ ") || plainHost(bare) != strings.ToLower(bare) {
			return rule{}, fmt.Errorf("host %q: want a name, or *. and a name, without a port", h)
		}
		c.hosts = append(c.hosts, strings.ToLower(h))
	}
	for _, p := range r.Prefixes {
		canonical, err := plainpath.Canonical(p)
		if err != nil {
			return rule{}, fmt.Errorf("prefix %q: %w", p, err)
		}
		c.prefixes = append(c.prefixes, canonical)
	}
	if r.All && (len(c.prefixes) == 0 || slices.Contains(c.prefixes, "/")) {
		return rule{}, errors.New("all extensions, but no prefix other than /: everything would be media")
	}
	sets := r.Sets
	if len(sets) == 0 && len(r.Types) == 0 {
		sets = Sets()
	}
	for _, s := range sets {
		if _, known := extensions[s]; !known {
			return rule{}, fmt.Errorf("no set of extensions is called %q: want one of %v", s, Sets())
		}
		for _, t := range s.Types() {
			c.types[t.Extension] = t
		}
	}
	for _, t := range r.Types {
		if err := t.check(); err != nil {
			return rule{}, err
		}
		c.types[t.Extension] = t
	}
	return c, nil
}

func (t Type) check() error {
	plain := func(c rune) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' }
	if t.Extension == "" || strings.ContainsFunc(t.Extension, func(c rune) bool { return !plain(c) }) {
		return fmt.Errorf("extension %q: want lower-case letters, digits, - and _, without a dot", t.Extension)
	}
	if int(t.Kind) >= len(kindNames) {
		return fmt.Errorf("extension %q: no such kind: %v", t.Extension, t.Kind)
	}
	return nil
}

func (r rule) host(name string) bool {
	return len(r.hosts) == 0 || slices.ContainsFunc(r.hosts, func(h string) bool {
		if below, ok := strings.CutPrefix(h, "*."); ok {
			label, rest, found := strings.Cut(name, ".")
			return found && label != "" && rest == below
		}
		return h == name
	})
}

func (r rule) prefix(path string) bool {
	return len(r.prefixes) == 0 || slices.ContainsFunc(r.prefixes, func(p string) bool {
		rest, ok := strings.CutPrefix(path, p)
		return ok && (strings.HasSuffix(p, "/") || rest == "" || rest[0] == '/')
	})
}

// suspect reports whether some reader could find the rule's media behind a path
// that has more than one reading. text is all of them at once: see loose.
func (r rule) suspect(text string) bool {
	if len(r.prefixes) > 0 {
		return slices.ContainsFunc(r.prefixes, func(p string) bool { return strings.Contains(text, strings.ToLower(strings.Trim(p, "/"))) })
	}
	for ext := range r.types {
		if strings.Contains(text, "."+ext) {
			return true
		}
	}
	return false
}

// loose decodes a path as often as any chain of servers may, and passes over
// what is malformed. It is linear: who asks chooses the path.
func loose(raw string) string {
	text := []byte(raw)
	for range 4 {
		n, decoded := 0, false
		for i := 0; i < len(text); i++ {
			c := text[i]
			if c == '%' && i+2 < len(text) && unhex(text[i+1]) < 16 && unhex(text[i+2]) < 16 {
				c = unhex(text[i+1])<<4 | unhex(text[i+2])
				i += 2
				decoded = true
			}
			text[n] = c
			n++
		}
		text = text[:n]
		if !decoded {
			break
		}
	}
	return strings.ToLower(string(text))
}

// unhex returns a hexadecimal digit's value, and 16 for what is none.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

func plainHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
