package sign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/feature/cloudfront/sign"
)

// CloudFront signs for Amazon CloudFront with RSA and SHA-1: with a canned
// policy if the grant has an expiry only, else with a custom one. Make it with
// NewCloudFront.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
type CloudFront struct {
	keys   *Keys
	cookie *Cookie
}

// NewCloudFront makes a signer of keys in PEM, whose ids are those of public
// keys in CloudFront. With a cookie the token goes there, the URL stays plain,
// and every grant needs a path prefix.
func NewCloudFront(keys *Keys, cookie *Cookie) (*CloudFront, error) {
	if err := keys.wants("CloudFront", PEM); err != nil {
		return nil, err
	}
	return &CloudFront{keys: keys, cookie: cookie}, nil
}

// Sign makes a signed URL, or a plain one and signed cookies. An asterisk of
// the URL is encoded: as it is it would be a wildcard, and a signature over it
// open more than this URL.
func (s *CloudFront) Sign(_ context.Context, u *url.URL, g Grant) (Signed, error) {
	t, err := check("CloudFront", u, g, can{prefix: true, start: true, ip: true}, "Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm")
	if err == nil && g.ClientIP.IsValid() && !g.ClientIP.Unmap().Is4() {
		err = fmt.Errorf("sign for CloudFront: an IPv6 address: %w", ErrUnsupported)
	}
	if err == nil && s.cookie != nil && g.PathPrefix == "" {
		err = errors.New("sign for CloudFront: cookies want a path prefix")
	}
	if err != nil {
		return Signed{}, err
	}
	t.query = strings.ReplaceAll(t.query, "*", "%2A")
	key := s.keys.Current()
	var result Signed
	switch {
	case s.cookie != nil:
		result.URL = t.String()
		result.Cookies, err = s.cookies(t, g)
	case g.PathPrefix == "" && g.NotBefore.IsZero() && !g.ClientIP.IsValid():
		result.URL, err = sign.NewURLSigner(key.id, key.reveal().rsa).Sign(t.String(), g.Expiry)
	default:
		result.URL, err = sign.NewURLSigner(key.id, key.reveal().rsa).SignWithPolicy(t.String(), policy(t, g))
	}
	if err != nil {
		return Signed{}, fmt.Errorf("sign for CloudFront: %w", err)
	}
	return result, nil
}

func (s *CloudFront) cookies(t target, g Grant) ([]*http.Cookie, error) {
	key := s.keys.Current()
	made, err := sign.NewCookieSigner(key.id, key.reveal().rsa).SignWithPolicy(policy(t, g))
	for i, c := range made {
		made[i] = s.cookie.make(c.Name, c.Value, g)
	}
	return made, err
}

func policy(t target, g Grant) *sign.Policy {
	resource := t.String()
	if g.PathPrefix != "" {
		resource = t.origin + escape(g.PathPrefix) + "*"
	}
	p := sign.NewCannedPolicy(resource, g.Expiry)
	condition := &p.Statements[0].Condition
	if !g.NotBefore.IsZero() {
		condition.DateGreaterThan = sign.NewAWSEpochTime(g.NotBefore)
	}
	if g.ClientIP.IsValid() {
		condition.IPAddress = &sign.IPAddress{SourceIP: g.ClientIP.Unmap().String() + "/32"}
	}
	return p
}
