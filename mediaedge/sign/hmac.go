package sign

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"time"
)

func mac(h func() hash.Hash, k Key, message string) []byte {
	m := hmac.New(h, k.reveal().bytes)
	m.Write([]byte(message))
	return m.Sum(nil)
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// CloudCDN signs for Google Cloud CDN with HMAC-SHA1. Make it with
// NewCloudCDN.
//
// https://cloud.google.com/cdn/docs/using-signed-urls
type CloudCDN struct {
	keys   *Keys
	cookie *Cookie
}

// NewCloudCDN makes a signer of keys in Base64, whose ids are the key names of
// the backend. With a cookie the token goes there, the URL stays plain, and
// every grant needs a path prefix.
func NewCloudCDN(keys *Keys, cookie *Cookie) (*CloudCDN, error) {
	if err := keys.wants("Cloud CDN", Base64); err != nil {
		return nil, err
	}
	return &CloudCDN{keys: keys, cookie: cookie}, nil
}

// Sign makes a signed URL, with a prefix if the grant has one, or a plain one
// and a signed cookie.
func (s *CloudCDN) Sign(_ context.Context, u *url.URL, g Grant) (Signed, error) {
	t, err := check("Cloud CDN", u, g, can{prefix: true}, "Expires", "KeyName", "Signature", "URLPrefix")
	if err == nil && s.cookie != nil && g.PathPrefix == "" {
		err = errors.New("sign for Cloud CDN: cookies want a path prefix")
	}
	if err != nil {
		return Signed{}, err
	}
	key := s.keys.Current()
	prefix := t.origin + escape(g.PathPrefix)
	switch {
	case s.cookie != nil:
		value := cloudCDN(key, prefix, g.Expiry, ":")
		return Signed{URL: t.String(), Cookies: cookies(s.cookie.make("Cloud-CDN-Cookie", value, g))}, nil
	case g.PathPrefix != "":
		return Signed{URL: join(t.String(), cloudCDN(key, prefix, g.Expiry, "&"))}, nil
	}
	signed := join(t.String(), "Expires="+unix(g.Expiry)+"&KeyName="+key.id)
	return Signed{URL: signed + "&Signature=" + base64.URLEncoding.EncodeToString(mac(sha1.New, key, signed))}, nil
}

// cloudCDN is the token for all URLs that begin with prefix.
func cloudCDN(key Key, prefix string, expiry time.Time, separator string) string {
	policy := "URLPrefix=" + base64.URLEncoding.EncodeToString([]byte(prefix)) + separator + "Expires=" + unix(expiry) + separator + "KeyName=" + key.id
	return policy + separator + "Signature=" + base64.URLEncoding.EncodeToString(mac(sha1.New, key, policy))
}

// Cloudflare signs for the rule function is_timed_hmac_valid_v0 of Cloudflare,
// with HMAC-SHA256 over path, query and time. Make it with NewCloudflare.
//
// The rule is on http.request.uri, with a separator of the length of the
// parameter's name and two. It says how long a token lives from its time on,
// so that time is what the signer works out from the expiry.
//
// https://developers.cloudflare.com/ruleset-engine/rules-language/functions/#hmac-validation
type Cloudflare struct {
	keys      *Keys
	parameter string
	ttl       time.Duration
}

// NewCloudflare makes a signer of keys in Text. parameter is the query's that
// carries the token; empty is "verify". ttl is the one that the rule names, in
// whole seconds, and at least as long as any grant is to live.
func NewCloudflare(keys *Keys, parameter string, ttl time.Duration) (*Cloudflare, error) {
	if err := keys.wants("Cloudflare", Text); err != nil {
		return nil, err
	}
	parameter, err := parameterName(parameter, "verify")
	if err == nil && (ttl < time.Second || ttl%time.Second != 0) {
		err = fmt.Errorf("a ttl of %v: want whole seconds, at least one", ttl)
	}
	if err != nil {
		return nil, fmt.Errorf("Cloudflare: %w", err)
	}
	return &Cloudflare{keys: keys, parameter: parameter, ttl: ttl}, nil
}

// Sign makes a URL whose last parameter is the token. Its time is the expiry
// less the ttl; a grant that outlives the ttl would put it in the future, and
// is refused.
func (s *Cloudflare) Sign(_ context.Context, u *url.URL, g Grant) (Signed, error) {
	t, err := check("Cloudflare", u, g, can{}, s.parameter)
	if err != nil {
		return Signed{}, err
	}
	at := g.Expiry.Add(-s.ttl)
	if g.Issued.IsZero() || at.Unix() > g.Issued.Unix() {
		return Signed{}, fmt.Errorf("sign for Cloudflare: a grant from %s to %s outlives the rule's ttl of %v", g.Issued.UTC().Format(time.RFC3339), g.Expiry.UTC().Format(time.RFC3339), s.ttl)
	}
	stamp := unix(at)
	if len(stamp) != 10 {
		return Signed{}, errors.New("sign for Cloudflare: a time that has not ten digits")
	}
	message := t.String()[len(t.origin):]
	sum := base64.StdEncoding.EncodeToString(mac(sha256.New, s.keys.Current(), message+stamp))
	return Signed{URL: join(t.String(), s.parameter+"="+stamp+"-"+url.QueryEscape(sum))}, nil
}

// NGINX signs for nginx's secure_link_md5 with the value
// "$secure_link_expires$uri$remote_addr secret", or without $remote_addr. It is
// there for what has it already: MD5 over a secret is no MAC, and nothing
// parts the path from the address. Make it with NewNGINX.
//
// https://nginx.org/en/docs/http/ngx_http_secure_link_module.html
type NGINX struct {
	keys   *Keys
	bindIP bool
}

// NewNGINX makes a signer of keys in Text; nginx knows one, and no ids. The
// parameters are md5 and expires. bindIP is whether nginx hashes the client's
// address: then every grant needs one, and else none may have one.
func NewNGINX(keys *Keys, bindIP bool) (*NGINX, error) {
	if err := keys.wants("nginx", Text); err != nil {
		return nil, err
	}
	return &NGINX{keys: keys, bindIP: bindIP}, nil
}

// Sign makes a URL with the parameters md5 and expires.
func (s *NGINX) Sign(_ context.Context, u *url.URL, g Grant) (Signed, error) {
	t, err := check("nginx", u, g, can{ip: s.bindIP}, "md5", "expires")
	if err != nil {
		return Signed{}, err
	}
	ip := ""
	if s.bindIP {
		if !g.ClientIP.IsValid() {
			return Signed{}, errors.New("sign for nginx: a grant without the client's address, which nginx is to hash")
		}
		ip = g.ClientIP.Unmap().WithZone("").String()
	}
	sum := secureLink(s.keys.Current(), unix(g.Expiry), t.path, ip)
	return Signed{URL: join(t.String(), "md5="+sum+"&expires="+unix(g.Expiry))}, nil
}

func secureLink(key Key, expires, uri, ip string) string {
	sum := md5.Sum([]byte(expires + uri + ip + " " + string(key.reveal().bytes)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
