package proxy

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Sticky is what a client is known by. The same key is in the same bucket on
// every edge; as a color's weight grows, clients move to it once and never
// back.
type Sticky struct {
	// client_ip, cookie, header, query, or none (each request by itself).
	// Default: client_ip.
	By string `json:"by,omitempty"`

	// The name of the cookie, header or query parameter. A cookie that a
	// client does not have yet is set; without a header or parameter, the
	// client's IP address is its key. Default for a cookie:
	// greenroom_client.
	Name string `json:"name,omitempty"`

	// Lifetime of the cookie, 1m to 8760h. Default: 24h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// maxKey bounds a client's key: what is longer is cut, not refused.
const maxKey = 256

func (s *Sticky) validate() error {
	if s == nil {
		return nil
	}
	switch s.By {
	case "", "client_ip", "none":
		if s.Name != "" {
			return fmt.Errorf("sticky %s has no name", s.By)
		}
	case "cookie":
		if s.Name == "" {
			s.Name = "greenroom_client"
		}
	case "header", "query":
		if s.Name == "" {
			return fmt.Errorf("sticky %s: no name", s.By)
		}
	default:
		return fmt.Errorf("sticky %q: want client_ip, cookie, header, query or none", s.By)
	}
	if s.By != "query" {
		if err := fieldName("sticky "+s.By, s.Name); err != nil {
			return err
		}
	}
	if s.MaxAge == 0 {
		s.MaxAge = caddy.Duration(24 * time.Hour)
	}
	if s.By != "cookie" && s.MaxAge != caddy.Duration(24*time.Hour) {
		return errors.New("sticky: only a cookie has a max_age")
	}
	return inRange("sticky max_age", time.Duration(s.MaxAge), time.Minute, 8760*time.Hour)
}

// client is a request's place among the clients of a service.
type client struct {
	hash   uint64 // for the hash balance
	bucket uint16
	cookie *http.Cookie // to be set; nil: none
}

// client says who asks, from the address ip.
func (s *Sticky) client(service, ip string, r *http.Request) client {
	var key string
	var cookie *http.Cookie
	switch s.by() {
	case "none":
		return client{hash: switcher.HashKey(service, ip), bucket: switcher.RandomBucket()}
	case "cookie":
		if key = cookieValue(r, s.Name); key == "" {
			cookie = s.newCookie(r)
			key = cookie.Value
		}
	case "header":
		key = r.Header.Get(s.Name)
	case "query":
		key = r.URL.Query().Get(s.Name)
	}
	if key == "" {
		key = ip
	}
	key = key[:min(len(key), maxKey)]
	return client{hash: switcher.HashKey(service, key), bucket: switcher.Bucket(service, key), cookie: cookie}
}

func (s *Sticky) by() string {
	if s == nil || s.By == "" {
		return "client_ip"
	}
	return s.By
}

func cookieValue(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

func (s *Sticky) newCookie(r *http.Request) *http.Cookie {
	return &http.Cookie{
		Name: s.Name, Value: rand.Text(), Path: "/", MaxAge: int(time.Duration(s.MaxAge).Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	}
}

// clientIP is the client's address by Caddy's trusted_proxies setting.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}
