// Package bucket is the platform's bucket, on any server that speaks S3: the
// worker reads uploads from it and writes media to it, and the app signs tickets
// for uploads, which go to it without passing the app.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Config says where a bucket is.
type Config struct {
	// Endpoint is the server's URL, as "http://127.0.0.1:9000". The bucket is in
	// the path.
	Endpoint string
	// Public is the server's URL for browsers, which tickets begin with: that of the
	// edge, if it hands requests on with their Host. Default: Endpoint.
	Public string
	// Name of the bucket.
	Name string
	// Region is what signatures name. Default: us-east-1.
	Region string
	// Key and Secret of an account that may read and write the bucket.
	Key, Secret string
}

// Keys reads "<key> <secret>" from a file.
func (c *Config) Keys(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return fmt.Errorf("%s has %d words: it should have two, a key's id and its secret", file, len(words))
	}
	c.Key, c.Secret = words[0], words[1]
	return nil
}

// Bucket is one bucket.
type Bucket struct {
	api     *s3.Client
	presign *s3.PresignClient
	name    string
}

// New returns a bucket. It asks nothing yet.
func New(c Config) *Bucket {
	if c.Public == "" {
		c.Public = c.Endpoint
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	client := func(endpoint string) *s3.Client {
		return s3.New(s3.Options{
			Region: c.Region, BaseEndpoint: aws.String(endpoint), UsePathStyle: true,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: c.Key, SecretAccessKey: c.Secret}, nil
			}),
			// Else a ticket would ask for a checksum that browsers do not send.
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		})
	}
	return &Bucket{api: client(c.Endpoint), presign: s3.NewPresignClient(client(c.Public)), name: c.Name}
}

// Make makes the bucket, if it is not there.
func (b *Bucket) Make(ctx context.Context) error {
	_, err := b.api.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b.name})
	_, mine := errors.AsType[*types.BucketAlreadyOwnedByYou](err)
	if err != nil && !mine {
		return fmt.Errorf("make bucket %s: %w", b.name, err)
	}
	return nil
}

// Put writes an object from a file, with its type and how long it may be kept.
func (b *Bucket) Put(ctx context.Context, key string, file *os.File, contentType, cacheControl string) error {
	_, err := b.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: file, ContentType: &contentType, CacheControl: &cacheControl,
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// Get opens an object.
func (b *Bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return out.Body, nil
}

// Object is what a bucket says of one.
type Object struct {
	Size                      int64
	ContentType, CacheControl string
}

// ErrNone says that there is no such object.
var ErrNone = errors.New("no such object")

// Head asks for an object's size and type.
func (b *Bucket) Head(ctx context.Context, key string) (Object, error) {
	out, err := b.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if _, missing := errors.AsType[*types.NotFound](err); missing {
		return Object{}, fmt.Errorf("head %s: %w", key, ErrNone)
	}
	if err != nil {
		return Object{}, fmt.Errorf("head %s: %w", key, err)
	}
	return Object{aws.ToInt64(out.ContentLength), aws.ToString(out.ContentType), aws.ToString(out.CacheControl)}, nil
}

// Delete removes an object, if it is there.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if _, err := b.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key}); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// Ticket is what lets somebody write one object, of one size, for a while. It is
// a secret.
type Ticket struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

// Ticket signs one.
func (b *Bucket) Ticket(ctx context.Context, key string, size int64, life time.Duration) (Ticket, error) {
	// The size is among the headers that are signed: another is refused.
	signed, err := b.presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, ContentLength: &size},
		s3.WithPresignExpires(life))
	if err != nil {
		return Ticket{}, fmt.Errorf("sign a ticket for %s: %w", key, err)
	}
	return Ticket{http.MethodPut, signed.URL}, nil
}
