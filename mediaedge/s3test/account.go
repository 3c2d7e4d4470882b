package s3test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Account is a key that the server knows.
type Account struct{ AccessKey, Secret string }

// KeyFile writes the key as a key file of mediaedge/sign, in Text, and returns
// its path.
func (a Account) KeyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(a.AccessKey+" "+a.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// NewAccount makes an account that may do nothing.
func (s *Server) NewAccount(t testing.TB) Account {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	a := newAccount()
	cmd := exec.CommandContext(t.Context(), path, "admin", "create-user", "--access", a.AccessKey, "--secret", a.Secret, "--role", "user")
	cmd.Env = append(os.Environ(), "ADMIN_ACCESS_KEY_ID="+s.AccessKey, "ADMIN_SECRET_ACCESS_KEY="+s.Secret, "ADMIN_REGION="+Region, "ADMIN_ENDPOINT_URL="+s.URL())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("s3test: an account: %v: %s", err, out)
	}
	return a
}

// Allow says who else than the server's own account may do something with a
// bucket and its objects, in the place of what was said before: an account's
// actions, such as "s3:GetObject" and "s3:ListBucket".
func (s *Server) Allow(t testing.TB, bucket string, a Account, actions ...string) {
	t.Helper()
	type statement struct {
		Effect, Principal string
		Action, Resource  []string
	}
	policy, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{{"Allow", a.AccessKey, actions, []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"}}}})
	if err == nil {
		_, err = s.API.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: aws.String(string(policy))})
	}
	if err != nil {
		t.Fatal(err)
	}
}
