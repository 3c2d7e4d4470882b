package s3test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// Region of all buckets.
const Region = "us-east-1"

// Numeric is a domain for StartBelow that needs no resolver: the bucket "127"
// below it is the name "127.0.0.1".
const Numeric = "0.0.1"

// Server is one real S3 server. Its fields do not change.
type Server struct {
	// Account may do everything.
	Account
	// API asks this server by Account, with the bucket in the path. It signs
	// no bodies, so that they need not be read twice; checks none; and does
	// not keep its connections.
	API *s3.Client

	dir     string
	address string // "127.0.0.1:port"
	domain  string // what buckets are names below

	mu      sync.Mutex
	process *realserver.Process // nil when it does not run; guarded by mu
}

// Start runs a server without buckets until the test ends, and returns when it
// answers.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartBelow(t, "localhost")
}

// StartBelow is Start of a server whose buckets are names below another domain
// than "localhost".
func StartBelow(t testing.TB, domain string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real S3 server")
	}
	var failed error
	for range 3 { // another process may be faster to take the port
		s, err := newServer(t.TempDir(), domain)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.end)
		if err = s.run(); err == nil {
			err = s.ready()
		}
		if err == nil {
			return s
		}
		failed = fmt.Errorf("s3test: %w\n%s", err, s.Log())
		s.end()
	}
	t.Fatal(failed)
	return nil
}

// newServer prepares a server that does not run yet.
func newServer(dir, domain string) (*Server, error) {
	ports, err := realserver.Ports(1)
	if err != nil {
		return nil, err
	}
	s := &Server{Account: newAccount(), dir: dir, address: fmt.Sprintf("127.0.0.1:%d", ports[0]), domain: domain}
	for _, part := range []string{"data", "meta", "accounts"} {
		if err := os.Mkdir(filepath.Join(dir, part), 0o700); err != nil {
			return nil, err
		}
	}
	s.API = s3.New(s3.Options{
		Region: Region, BaseEndpoint: aws.String(s.URL()), UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.AccessKey, SecretAccessKey: s.Secret}, nil
		}),
		HTTPClient:                 &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}},
		Retryer:                    aws.NopRetryer{},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	return s, nil
}

// binary returns the path of the server.
var binary = sync.OnceValues(func() (string, error) { return realserver.Tool("s3", "versitygw") })

// run starts the process. ETags and types of objects are kept in files beside
// them: the server would use extended attributes, which not every file system
// has.
func (s *Server) run() error {
	path, err := binary()
	if err != nil {
		return err
	}
	args := []string{
		"--port", s.address, "--region", Region, "--virtual-domain", s.host(s.domain), "--keep-alive", "--quiet",
		"--iam-dir", filepath.Join(s.dir, "accounts"), "--iam-cache-disable",
		"posix", "--sidecar", filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "data"),
	}
	env := []string{"ROOT_ACCESS_KEY_ID=" + s.AccessKey, "ROOT_SECRET_ACCESS_KEY=" + s.Secret}
	p, err := realserver.Start(path, args, env, s.logFile())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	return err
}

// ready waits until the server takes its own key: another's would not.
func (s *Server) ready() error {
	return realserver.Until("a server that is ready", func() error {
		s.mu.Lock()
		gone := s.process == nil || !s.process.Running()
		s.mu.Unlock()
		if gone {
			return realserver.ErrEnded
		}
		_, err := s.API.ListBuckets(context.Background(), &s3.ListBucketsInput{})
		return err
	})
}

// URL is the server's, for buckets in the path: "http://127.0.0.1:port", or by
// the name "localhost" where the address is a name of a bucket.
func (s *Server) URL() string {
	if s.domain == Numeric {
		return "http://" + s.host("localhost")
	}
	return "http://" + s.address
}

// HostURL is the server's for a bucket in the host's name:
// "http://bucket.localhost:port". See DialContext. Without a bucket it is the
// endpoint that buckets are put before.
func (s *Server) HostURL(bucket string) string {
	if bucket != "" {
		bucket += "."
	}
	return "http://" + s.host(bucket+s.domain)
}

func (s *Server) host(name string) string {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		panic(err) // newServer has put it together
	}
	return net.JoinHostPort(name, port)
}

// DialContext connects to this server, whatever the address, as a transport
// needs it for HostURL.
func (s *Server) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, s.address)
}

// Log returns the end of what the server has written.
func (s *Server) Log() string { return realserver.Tail(s.logFile()) }

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// Kill ends the server at once, as a crash does. It may be called again.
func (s *Server) Kill(t testing.TB) { s.end() }

// Restart runs it again after Kill, or kills it first: at the same address,
// with its buckets.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.end()
	err := s.run()
	if err == nil {
		err = s.ready()
	}
	if err != nil {
		t.Fatalf("s3test: %v\n%s", err, s.Log())
	}
}

// Freeze halts the process, so that it accepts connections and answers none.
func (s *Server) Freeze(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGSTOP) }

// Thaw lets it go on.
func (s *Server) Thaw(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errors.New("s3test: the server does not run")
	if s.process != nil {
		err = s.process.Signal(sig)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.End(syscall.SIGKILL)
		s.process = nil
	}
}

// newAccount makes a key that nobody else has.
func newAccount() Account { return Account{AccessKey: "AK" + rand.Text(), Secret: rand.Text()} }
