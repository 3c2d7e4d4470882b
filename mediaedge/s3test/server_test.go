package s3test_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/greenroom-proxy/greenroom/mediaedge/s3test"
)

// random are n bytes that are the same for a seed.
func random(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

// ask sends a request to the server, signed for an account by AWS's own signer
// unless that is the zero one. Fields are names and values in turn.
func ask(t *testing.T, a s3test.Account, method, target string, fields ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.AccessKey != "" {
		nothing := sha256.Sum256(nil)
		sum := hex.EncodeToString(nothing[:])
		r.Header.Set("X-Amz-Content-Sha256", sum)
		key := aws.Credentials{AccessKeyID: a.AccessKey, SecretAccessKey: a.Secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), key, r, sum, "s3", s3test.Region, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

// client asks for what is there, as it is.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: time.Minute}

func TestWhatIsPutIsReadBackByTheServersOwnClient(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "media")
	for i, key := range []string{"a.mp4", "a b+c=d&e~é/第１話/(a)!'*,:@$.mp4", "[a]\"<>|^`{}.ts", "100%25 ?#;.ts"} {
		want, _ := io.ReadAll(random(byte(i), 100_000)) // never fails
		etag := server.Put(t, "media", key, random(byte(i), 100_000), 100_000)
		if got := server.Get(t, "media", key); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes that are others than what was put", key, len(got))
		}
		part := server.Open(t, "media", key, "bytes=-70000")
		if got, err := io.ReadAll(part.Body); err != nil || !bytes.Equal(got, want[30_000:]) || aws.ToString(part.ETag) != etag || len(etag) != 34 {
			t.Errorf("%s: a part of %d bytes, %v, ETag %s and %s", key, len(got), err, etag, aws.ToString(part.ETag))
		}
	}
}

func TestAnObjectOfPartsIsOne(t *testing.T) {
	const size, part = 11 << 20, 5 << 20
	server := s3test.Start(t)
	server.CreateBucket(t, "media")
	etag := server.PutParts(t, "media", "long.mp4", random(1, size), size, part)
	want, _ := io.ReadAll(random(1, size)) // never fails
	if got := server.Get(t, "media", "long.mp4"); !bytes.Equal(got, want) || !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `-3"`) {
		t.Errorf("%d bytes, ETag %s", len(got), etag)
	}
	across, err := io.ReadAll(server.Open(t, "media", "long.mp4", fmt.Sprintf("bytes=%d-%d", part-1, part)).Body)
	if err != nil || !bytes.Equal(across, want[part-1:part+1]) {
		t.Errorf("across two parts: %d bytes, %v", len(across), err)
	}
}

func TestABucketIsPrivateToWhoMayDoWhat(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "media")
	server.CreateBucket(t, "other")
	server.Put(t, "media", "a", strings.NewReader("a"), 1)
	nobody, reader, lister := server.NewAccount(t), server.NewAccount(t), server.NewAccount(t)
	server.Allow(t, "media", reader, "s3:GetObject")
	check := func(who string, a s3test.Account, path string, status int, code string) {
		t.Helper()
		if res, body := ask(t, a, http.MethodGet, server.URL()+path); res.StatusCode != status || !bytes.Contains(body, []byte(code)) {
			t.Errorf("%s asks for %s: %d %s, want %d %s", who, path, res.StatusCode, body, status, code)
		}
	}
	check("who signs nothing", s3test.Account{}, "/media/a", 403, "<Code>AccessDenied<")
	check("who signs nothing", s3test.Account{}, "/media/missing", 403, "<Code>AccessDenied<")
	check("who has no right", nobody, "/media/a", 403, "<Code>AccessDenied<")
	check("a stranger", s3test.Account{AccessKey: "AKNOBODY", Secret: "x"}, "/media/a", 403, "<Code>InvalidAccessKeyId<")
	check("who has another secret", s3test.Account{AccessKey: reader.AccessKey, Secret: "x"}, "/media/a", 403, "<Code>SignatureDoesNotMatch<")
	check("who may read", reader, "/media/a", 200, "a")
	check("who may read", reader, "/other/a", 403, "<Code>AccessDenied<")
	check("who may read", reader, "/media", 403, "<Code>AccessDenied<")
	check("who may read", reader, "/media/missing", 404, "<Code>NoSuchKey<") // S3 itself: 403, lest names be guessed
	server.Allow(t, "media", lister, "s3:GetObject", "s3:ListBucket")
	check("who may list", lister, "/media/missing", 404, "<Code>NoSuchKey<")
	check("who may list", lister, "/media", 200, "<Key>a<")
	check("who may no more", reader, "/media/a", 403, "<Code>AccessDenied<")
	check("the server's own account", server.Account, "/media/missing", 404, "<Code>NoSuchKey<")
	check("the server's own account", server.Account, "/nowhere/a", 404, "<Code>NoSuchBucket<")
}

func TestABucketIsANameBelowTheServers(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "media")
	server.Put(t, "media", "v/a.mp4", strings.NewReader("whole"), 5)
	named := &http.Client{Transport: &http.Transport{DialContext: server.DialContext, DisableKeepAlives: true}, Timeout: time.Minute}
	presign := s3.NewPresignClient(server.API)
	to, err := presign.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("media"), Key: aws.String("v/a.mp4")}, func(o *s3.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
			o.UsePathStyle, o.BaseEndpoint = false, aws.String(strings.Replace(server.HostURL(""), "//.", "//", 1))
		})
	})
	if err != nil || !strings.HasPrefix(to.URL, server.HostURL("media")+"/v/a.mp4?") {
		t.Fatalf("%+v, %v", to, err)
	}
	for target, want := range map[string]int{to.URL: 200, strings.Replace(to.URL, "//media.", "//other.", 1): 403} {
		res, err := named.Get(target)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want || err != nil || want == 200 && string(body) != "whole" {
			t.Errorf("%s: %d %s, %v", target, res.StatusCode, body, err)
		}
	}
}

func TestAServerThatWasKilledComesBackWithItsBuckets(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "media")
	reader := server.NewAccount(t)
	server.Allow(t, "media", reader, "s3:GetObject")
	etag := server.Put(t, "media", "a", strings.NewReader("a"), 1)
	server.Kill(t)
	if _, err := server.API.ListBuckets(context.Background(), &s3.ListBucketsInput{}); err == nil {
		t.Fatal("a server that was killed answers")
	}
	server.Restart(t)
	if res, body := ask(t, reader, http.MethodGet, server.URL()+"/media/a"); res.StatusCode != 200 || string(body) != "a" || res.Header.Get("ETag") != etag {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
}
