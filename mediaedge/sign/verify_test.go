package sign

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The verifiers are the other side: each is written from the scheme's
// documentation, shares no code with its signer, and looks at nothing but what
// a viewer sends.

// viewing is a request of a viewer.
type viewing struct {
	url     string
	cookies []*http.Cookie
	at      time.Time
	ip      string
}

var errRefused = errors.New("refused")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRefused}, args...)...)
}

// parts splits a URL by hand: scheme://host, path and query as sent.
func (v viewing) parts() (origin, path, query string) {
	rest, query, _ := strings.Cut(v.url, "?")
	slash := strings.IndexByte(rest[8:], '/') + 8
	return rest[:slash], rest[slash:], query
}

func (v viewing) cookie(name string) string {
	for _, c := range v.cookies {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// fields splits a list of name=value.
func fields(list, separator string) map[string]string {
	m := map[string]string{}
	for _, f := range strings.Split(list, separator) {
		name, value, _ := strings.Cut(f, "=")
		m[name] = value
	}
	return m
}

func (v viewing) ends(at string) error {
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil || v.at.Unix() >= n {
		return refused("ended at %s", at)
	}
	return nil
}

func sum256(key []byte, message string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// cloudFront takes canned and custom policies, from query or cookies.
func cloudFront(v viewing, keys map[string]*rsa.PublicKey) error {
	plain, query, _ := strings.Cut(v.url, "?")
	var kept []string
	args := map[string]string{}
	for _, p := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(p, "=")
		if slices.Contains([]string{"Expires", "Policy", "Signature", "Key-Pair-Id"}, name) {
			args[name] = value
		} else if p != "" {
			kept = append(kept, p)
		}
	}
	if len(kept) > 0 {
		plain += "?" + strings.Join(kept, "&")
	}
	for _, name := range []string{"Policy", "Signature", "Key-Pair-Id"} {
		if c := v.cookie("CloudFront-" + name); c != "" {
			args[name] = c
		}
	}
	back := strings.NewReplacer("-", "+", "_", "=", "~", "/")
	signature, err := base64.StdEncoding.DecodeString(back.Replace(args["Signature"]))
	if err != nil {
		return refused("signature: %v", err)
	}
	policy := []byte(fmt.Sprintf(`{"Statement":[{"Resource":"%s","Condition":{"DateLessThan":{"AWS:EpochTime":%s}}}]}`, plain, args["Expires"]))
	if p := args["Policy"]; p != "" {
		if policy, err = base64.StdEncoding.DecodeString(back.Replace(p)); err != nil {
			return refused("policy: %v", err)
		}
	}
	key := keys[args["Key-Pair-Id"]]
	sum := sha1.Sum(policy)
	if key == nil || rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature) != nil {
		return refused("signature")
	}
	return policyHolds(policy, plain, v)
}

func policyHolds(policy []byte, plain string, v viewing) error {
	var said struct {
		Statement []struct {
			Resource  string
			Condition struct {
				DateLessThan, DateGreaterThan struct {
					T int64 `json:"AWS:EpochTime"`
				}
				IPAddress struct {
					Source string `json:"AWS:SourceIp"`
				} `json:"IpAddress"`
			}
		}
	}
	if err := json.Unmarshal(policy, &said); err != nil || len(said.Statement) != 1 {
		return refused("policy %s: %v", policy, err)
	}
	s, c := said.Statement[0], said.Statement[0].Condition
	switch {
	case !wildcard(s.Resource, plain):
		return refused("%s is not %s", plain, s.Resource)
	case v.at.Unix() >= c.DateLessThan.T || v.at.Unix() < c.DateGreaterThan.T:
		return refused("time")
	case c.IPAddress.Source != "" && !netip.MustParsePrefix(c.IPAddress.Source).Contains(netip.MustParseAddr(v.ip)):
		return refused("address")
	}
	return nil
}

// wildcard matches as CloudFront and Akamai do: * is anything, ? one character.
func wildcard(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return wildcard(pattern[1:], s) || s != "" && wildcard(pattern, s[1:])
	}
	return s != "" && (pattern[0] == '?' || pattern[0] == s[0]) && wildcard(pattern[1:], s[1:])
}

// cloudCDNEdge takes signed URLs, prefixes and cookies.
func cloudCDNEdge(v viewing, keys map[string][]byte) error {
	token, separator := v.cookie("Cloud-CDN-Cookie"), ":"
	if token == "" {
		separator = "&"
		token = v.url
		if i := strings.Index(v.url, "URLPrefix="); i >= 0 {
			token = v.url[i:]
		}
	}
	signed, signature, _ := strings.Cut(token, separator+"Signature=")
	f := fields(signed[strings.IndexByte(signed, '?')+1:], separator)
	m := hmac.New(sha1.New, keys[f["KeyName"]])
	m.Write([]byte(signed))
	if keys[f["KeyName"]] == nil || base64.URLEncoding.EncodeToString(m.Sum(nil)) != signature {
		return refused("signature")
	}
	if p, ok := f["URLPrefix"]; ok {
		if prefix, err := base64.URLEncoding.DecodeString(p); err != nil || !strings.HasPrefix(v.url, string(prefix)) {
			return refused("%s is not below %s", v.url, prefix)
		}
	}
	return v.ends(f["Expires"])
}

// cloudflareRule is is_timed_hmac_valid_v0 on http.request.uri.
func cloudflareRule(v viewing, key []byte, separator int, ttl int64) error {
	_, path, query := v.parts()
	uri := path + "?" + query
	dash := strings.LastIndexByte(uri, '-')
	if dash < 11+separator {
		return refused("no token")
	}
	stamp, message := uri[dash-10:dash], uri[:dash-10-separator]
	given, err := url.QueryUnescape(uri[dash+1:])
	if err != nil || given != base64.StdEncoding.EncodeToString(sum256(key, message+stamp)) {
		return refused("signature")
	}
	if n, err := strconv.ParseInt(stamp, 10, 64); err != nil || v.at.Unix() < n || v.at.Unix() >= n+ttl {
		return refused("time")
	}
	return nil
}

// akamaiEdge takes tokens from the query or a cookie.
func akamaiEdge(v viewing, name string, keys map[string][]byte) error {
	_, path, query := v.parts()
	token := v.cookie(name)
	if token == "" {
		_, token, _ = strings.Cut(query, name+"=")
	}
	body, sum, _ := strings.Cut(token, "~hmac=")
	f := fields(body, "~")
	source := body
	if _, ok := f["acl"]; !ok {
		source += "~url=" + path
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(keys)), func(k []byte) bool { return hex.EncodeToString(sum256(k, source)) == sum }) {
		return refused("signature")
	}
	if acl, ok := f["acl"]; ok && !slices.ContainsFunc(strings.Split(acl, "!"), func(p string) bool { return wildcard(p, path) }) {
		return refused("%s is not %s", path, acl)
	}
	if st, err := strconv.ParseInt(f["st"], 10, 64); err == nil && v.at.Unix() < st {
		return refused("too early")
	}
	if ip := f["ip"]; ip != "" && ip != v.ip {
		return refused("address")
	}
	return v.ends(f["exp"])
}
