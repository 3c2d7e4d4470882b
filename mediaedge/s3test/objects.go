package s3test

import (
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// CreateBucket makes a private bucket. Its name is 3 to 63 lower-case letters,
// digits and hyphens.
func (s *Server) CreateBucket(t testing.TB, name string) {
	t.Helper()
	if _, err := s.API.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
		t.Fatal(err)
	}
}

// Put makes an object of size bytes, at most 5 GiB, by one request, and returns
// its ETag. Server.API is for one with a content type and what else is to be
// said of it.
func (s *Server) Put(t testing.TB, bucket, key string, body io.Reader, size int64) string {
	t.Helper()
	out, err := s.API.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Body: io.LimitReader(body, size), ContentLength: aws.Int64(size),
	})
	if err != nil {
		t.Fatalf("s3test: put %s: %v", key, err)
	}
	return aws.ToString(out.ETag)
}

// PutParts is Put by a multipart upload of parts of a size, at least 5 MiB. The
// ETag then is no MD5 of the object.
func (s *Server) PutParts(t testing.TB, bucket, key string, body io.Reader, size, part int64) string {
	t.Helper()
	begun, err := s.API.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		t.Fatalf("s3test: put %s: %v", key, err)
	}
	var done []types.CompletedPart
	for left, number := size, int32(1); left > 0; left, number = left-part, number+1 {
		n := min(left, part)
		out, err := s.API.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: aws.String(key), UploadId: begun.UploadId, PartNumber: aws.Int32(number),
			Body: io.LimitReader(body, n), ContentLength: aws.Int64(n),
		})
		if err != nil {
			t.Fatalf("s3test: put part %d of %s: %v", number, key, err)
		}
		done = append(done, types.CompletedPart{PartNumber: aws.Int32(number), ETag: out.ETag})
	}
	out, err := s.API.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String(key), UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		t.Fatalf("s3test: put %s: %v", key, err)
	}
	return aws.ToString(out.ETag)
}

// Open reads an object, or, unless byteRange is empty, what a Range field asks
// of it. The body ends with the test at the latest.
func (s *Server) Open(t testing.TB, bucket, key, byteRange string) *s3.GetObjectOutput {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}
	if byteRange != "" {
		in.Range = aws.String(byteRange)
	}
	out, err := s.API.GetObject(t.Context(), in)
	if err != nil {
		t.Fatalf("s3test: get %s: %v", key, err)
	}
	t.Cleanup(func() { _ = out.Body.Close() })
	return out
}

// Get reads an object into memory.
func (s *Server) Get(t testing.TB, bucket, key string) []byte {
	t.Helper()
	body, err := io.ReadAll(s.Open(t, bucket, key, "").Body)
	if err != nil {
		t.Fatalf("s3test: get %s: %v", key, err)
	}
	return body
}
