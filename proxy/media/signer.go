package media

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

// Sign says how a redirect is signed.
type Sign struct {
	// s3, cloudfront, cloud_cdn, akamai, cloudflare or nginx.
	Scheme string `json:"scheme"`

	// The file with the keys: a line with an id and a secret for each, in hex for
	// akamai, in base64 for cloud_cdn, as it is for the others (for cloudfront a
	// private key in PEM below the id). It is watched.
	Keys string `json:"keys"`

	// The id of the key to sign with. Default: the first in the file.
	SignWith string `json:"sign_with,omitempty"`

	// For how long viewers are given the same URL, in whole seconds.
	// Default: 5m.
	Bucket caddy.Duration `json:"bucket,omitempty"`

	// For how long a URL lives from the beginning of its bucket, at least
	// two buckets. Default: two.
	Life caddy.Duration `json:"life,omitempty"`

	// Open all that is in the directory of what was asked for, so that the
	// token of a playlist is good for its segments. cloudfront, cloud_cdn,
	// akamai. Default: one file; with a cookie, the directory.
	Directory bool `json:"directory,omitempty"`

	// Bind the token to the client's address. cloudfront (IPv4), akamai,
	// nginx. Default: false.
	ClientIP bool `json:"client_ip,omitempty"`

	// Put the token into a cookie. cloudfront, cloud_cdn, akamai.
	// Default: into the URL.
	Cookie *Cookie `json:"cookie,omitempty"`

	// The region of the bucket. s3 only, and required there.
	Region string `json:"region,omitempty"`

	// The name of the token's parameter. akamai (default __token__) and
	// cloudflare (default verify).
	Parameter string `json:"parameter,omitempty"`

	// The property escapes its input. akamai only. Default: false.
	EscapeEarly bool `json:"escape_early,omitempty"`

	// How long the rule at the CDN lets a token live. cloudflare only.
	// Default: life.
	TTL caddy.Duration `json:"ttl,omitempty"`
}

// Cookie is how a token's cookie is set: for the directory, Secure, HttpOnly.
type Cookie struct {
	// A domain that the edge and the CDN have in common.
	Domain string `json:"domain,omitempty"`
	// lax, strict or none. Default: lax.
	SameSite string `json:"same_site,omitempty"`
}

// signer is what signs, and how its grants look.
type signer struct {
	sign.Signer
	s3     *sign.S3 // nil: another scheme
	keys   *sign.Keys
	window sign.Window
}

var encodings = map[string]sign.Encoding{
	"s3": sign.Text, "cloudflare": sign.Text, "nginx": sign.Text, "akamai": sign.Hex, "cloud_cdn": sign.Base64, "cloudfront": sign.PEM,
}

// check finds what is wrong with the config itself.
func (c *Sign) check() error {
	if _, known := encodings[c.Scheme]; !known {
		return fmt.Errorf("sign %q: want s3, cloudfront, cloud_cdn, akamai, cloudflare or nginx", c.Scheme)
	}
	if err := c.fits(); err != nil {
		return fmt.Errorf("sign %s: %w", c.Scheme, err)
	}
	if err := c.window().Check(); err != nil {
		return fmt.Errorf("sign %s: %w", c.Scheme, err)
	}
	if _, err := c.Cookie.cookie(); err != nil {
		return fmt.Errorf("sign %s: %w", c.Scheme, err)
	}
	return nil
}

func (c *Sign) window() sign.Window {
	return sign.Window{Bucket: time.Duration(c.Bucket), Life: time.Duration(c.Life)}
}

// signer reads the keys.
func (c *Sign) signer() (*signer, error) {
	s := &signer{window: c.window()}
	cookie, err := c.Cookie.cookie()
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", c.Scheme, err)
	}
	if s.keys, err = sign.OpenKeys(sign.KeyFile{Path: c.Keys, Encoding: encodings[c.Scheme], SignWith: c.SignWith}); err != nil {
		return nil, fmt.Errorf("sign %s: %w", c.Scheme, err)
	}
	switch c.Scheme {
	case "s3":
		s.s3, err = sign.NewS3(s.keys, c.Region)
		s.Signer = s.s3
	case "cloudfront":
		s.Signer, err = sign.NewCloudFront(s.keys, cookie)
	case "cloud_cdn":
		s.Signer, err = sign.NewCloudCDN(s.keys, cookie)
	case "akamai":
		s.Signer, err = sign.NewAkamai(s.keys, sign.AkamaiOptions{Parameter: c.Parameter, EscapeEarly: c.EscapeEarly, Cookie: cookie})
	case "cloudflare":
		s.Signer, err = sign.NewCloudflare(s.keys, c.Parameter, time.Duration(cmp.Or(c.TTL, c.life())))
	case "nginx":
		s.Signer, err = sign.NewNGINX(s.keys, c.ClientIP)
	}
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", c.Scheme, err)
	}
	return s, nil
}

// life is for how long a token lives at most.
func (c *Sign) life() caddy.Duration {
	return cmp.Or(c.Life, 2*cmp.Or(c.Bucket, caddy.Duration(sign.DefaultBucket)))
}

// fits refuses what the scheme would pass over in silence.
func (c *Sign) fits() error {
	can := func(schemes ...string) bool {
		return strings.Contains(" "+strings.Join(schemes, " ")+" ", " "+c.Scheme+" ")
	}
	switch {
	case c.Keys == "":
		return errors.New("keys is missing: name the file")
	case (c.Region != "") != can("s3"):
		return errors.New("region: s3 needs it, and nothing else takes it")
	case (c.Cookie != nil || c.Directory) && !can("cloudfront", "cloud_cdn", "akamai"):
		return errors.New("cookie and directory are for cloudfront, cloud_cdn and akamai")
	case c.ClientIP && !can("cloudfront", "akamai", "nginx"):
		return errors.New("client_ip is for cloudfront, akamai and nginx")
	case c.Parameter != "" && !can("akamai", "cloudflare"):
		return errors.New("parameter is for akamai and cloudflare")
	case c.EscapeEarly && !can("akamai"):
		return errors.New("escape_early is for akamai")
	case c.TTL != 0 && !can("cloudflare"):
		return errors.New("ttl is for cloudflare")
	case c.TTL != 0 && time.Duration(c.TTL) < time.Duration(c.life()):
		return fmt.Errorf("ttl is %v: want at least the life of %v", time.Duration(c.TTL), time.Duration(c.life()))
	}
	return nil
}

func (c *Cookie) cookie() (*sign.Cookie, error) {
	if c == nil {
		return nil, nil
	}
	site, known := map[string]http.SameSite{
		"": 0, "lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode,
	}[c.SameSite]
	if !known {
		return nil, fmt.Errorf("cookie: same_site %q: want lax, strict or none", c.SameSite)
	}
	return &sign.Cookie{Domain: c.Domain, SameSite: site}, nil
}
