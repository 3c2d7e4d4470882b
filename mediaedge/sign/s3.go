package sign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// What SigV4 calls a body that is not signed, and an empty one.
const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	emptyPayload    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// maxPresign is how long S3 lets a presigned URL live.
const maxPresign = 604800 * time.Second

// S3 signs for buckets with AWS Signature Version 4: S3, MinIO, R2 and others
// that speak it. Make it with NewS3.
//
// A presigned URL is for one method: one for GET is refused for HEAD. R2
// answers presigned URLs at the bucket only, not through Cloudflare's cache.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
type S3 struct {
	keys   *Keys
	region string
	method string
}

// NewS3 makes a signer of keys in Text, each an access key id and its secret,
// with a session token behind it if it is a temporary one. region is that of
// the bucket: "us-east-1" is MinIO's default, R2 wants "auto".
func NewS3(keys *Keys, region string) (*S3, error) {
	if err := keys.wants("S3", Text); err != nil {
		return nil, err
	}
	if region == "" || strings.ContainsFunc(region, func(c rune) bool { return !unreserved(c) }) {
		return nil, fmt.Errorf("S3: %q is no region", region)
	}
	return &S3{keys: keys, region: region, method: http.MethodGet}, nil
}

// For returns a signer like s whose URLs are for another method than GET.
func (s *S3) For(method string) *S3 {
	other := *s
	other.method = method
	return &other
}

// Sign presigns u, from the time the grant was issued to its expiry, which is
// a week later at most. Neither the client's fields nor a body are signed.
func (s *S3) Sign(ctx context.Context, u *url.URL, g Grant) (Signed, error) {
	t, err := s.check(u, g)
	if err != nil {
		return Signed{}, err
	}
	life := time.Duration(g.Expiry.Unix()-g.Issued.Unix()) * time.Second
	if g.Issued.IsZero() || life > maxPresign || life < time.Second {
		return Signed{}, fmt.Errorf("sign for S3: a life of %v from its issue: want 1s to %v", life, maxPresign)
	}
	r, err := http.NewRequestWithContext(ctx, s.method, join(t.String(), "X-Amz-Expires="+strconv.FormatInt(int64(life/time.Second), 10)), nil)
	if err != nil {
		return Signed{}, errors.New("sign for S3: the URL or the method cannot be asked for")
	}
	respell(r.URL, t)
	signed, _, err := signer().PresignHTTP(ctx, s.credentials(), r, unsignedPayload, "s3", s.region, g.Issued)
	if err != nil {
		return Signed{}, fmt.Errorf("sign for S3: %w", err)
	}
	return Signed{URL: signed}, nil
}

// SignRequest signs a request that the edge itself sends to a bucket, at the
// time at. It takes out what the client sent to authorize itself there or
// elsewhere (Authorization, Proxy-Authorization, Cookie, X-Amz-*), writes the
// path as S3 does, and sets Host to the URL's. Only Host and its own fields
// are signed, so that Range and conditions may still be set afterwards. A body
// is not signed: send it over TLS.
func (s *S3) SignRequest(ctx context.Context, r *http.Request, at time.Time) error {
	t, err := s.check(r.URL, Grant{Issued: at, Expiry: at.Add(time.Minute)})
	if err != nil {
		return err
	}
	for name := range r.Header {
		switch canonical := http.CanonicalHeaderKey(name); {
		case canonical == "Authorization", canonical == "Proxy-Authorization", canonical == "Cookie", strings.HasPrefix(canonical, "X-Amz-"):
			delete(r.Header, name)
		}
	}
	respell(r.URL, t)
	bare := &http.Request{Method: r.Method, URL: r.URL, Host: r.URL.Host, Header: http.Header{"X-Amz-Content-Sha256": {emptyPayload}}}
	if r.Body != nil && r.Body != http.NoBody {
		bare.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
	}
	if err := signer().SignHTTP(ctx, s.credentials(), bare, bare.Header.Get("X-Amz-Content-Sha256"), "s3", s.region, at); err != nil {
		return fmt.Errorf("sign for S3: %w", err)
	}
	r.Host = bare.Host // without a default port
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for name, values := range bare.Header {
		r.Header[name] = values
	}
	return nil
}

// check also refuses parameters that would be put in another order than S3
// does: SigV4 sorts them once they are encoded, AWS's signer before that.
func (s *S3) check(u *url.URL, g Grant) (target, error) {
	t, err := check("S3", u, g, can{}, "X-Amz-")
	if err != nil {
		return target{}, err
	}
	query, err := url.ParseQuery(t.query)
	if err != nil {
		return target{}, errors.New("sign for S3: a query that cannot be decoded")
	}
	for name, values := range query {
		if len(values) > 1 || strings.ContainsFunc(name, func(c rune) bool { return !unreserved(c) }) {
			return target{}, errors.New("sign for S3: a parameter that is there twice, or whose name must be encoded")
		}
	}
	return t, nil
}

// signer is made anew each time: an old one keeps keys that it derived.
func signer() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }) // S3 keys are encoded once
}

func (s *S3) credentials() aws.Credentials {
	key := s.keys.Current()
	hidden := key.reveal()
	return aws.Credentials{AccessKeyID: key.id, SecretAccessKey: string(hidden.bytes), SessionToken: hidden.extra}
}

// EscapePath writes a decoded path as S3 does in URLs and signatures: all but
// slashes and the unreserved characters of RFC 3986 is encoded.
func EscapePath(path string) string { return escape(path) }

// respell sets the path of u in the one spelling that is signed and sent.
func respell(u *url.URL, t target) { u.Path, u.RawPath = t.path, escape(t.path) }
