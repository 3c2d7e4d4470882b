package stage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// Stage is a platform that runs.
type Stage struct {
	Config
	// URL is what viewers open.
	URL string
	// ConsulURL is that of Consul's API, and of its page below /ui.
	ConsulURL string
	// S3URL is that of the bucket's server.
	S3URL string
	// Admin is the address of Caddy's own admin endpoint, where /metrics is.
	Admin string
	// DSN is how to connect to PostgreSQL.
	DSN string
	// Socket is Greenroom's control socket: GREENROOM_SOCKET.
	Socket string
	// Postgres is the database's server.
	Postgres *realserver.Postgres

	env    []string // of this example's programs
	unlock func()   // lets go of Dir

	mu      sync.Mutex
	running []*process            // oldest first; guarded by mu
	colors  map[string][]*process // guarded by mu
}

// Start starts all but the app, on a database without a schema. What it has
// started it ends, if something fails.
func Start(ctx context.Context, c Config) (*Stage, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := &Stage{
		Config: c, URL: "http://" + c.Edge, Socket: filepath.Join(c.Dir, "run", "control.sock"),
		colors: make(map[string][]*process),
	}
	unlock, err := lock(s.Dir)
	if err != nil {
		return nil, err
	}
	s.unlock = unlock
	if err := s.free(); err != nil {
		unlock()
		return nil, err
	}
	err = s.clean()
	for _, step := range []func(context.Context) error{
		s.startPostgres, s.startConsul, s.startS3, s.startGreenroom, s.startMedia,
	} {
		if err == nil {
			err = step(ctx)
		}
		if err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// free looks whether the edge can listen, before anything is removed.
func (s *Stage) free() error {
	l, err := net.Listen("tcp", s.Edge)
	if err != nil {
		return fmt.Errorf("the edge cannot listen on %s: %w: end what does, or choose another address: make platform ARGS='-edge localhost:8090'", s.Edge, err)
	}
	return l.Close()
}

// parts of the directory. The S3 server takes a bucket's data and attributes
// only from directories of which neither's name begins with the other's.
var parts = []string{"run", "logs", "edge", "objects", "attributes"}

func (s *Stage) clean() error {
	for _, part := range parts {
		dir := filepath.Join(s.Dir, part)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) startPostgres(ctx context.Context) (err error) {
	if s.Postgres, err = realserver.StartPostgres(); err != nil {
		return err
	}
	s.DSN = s.Postgres.DSN() + " sslmode=disable"
	s.env = append(s.env, "PLATFORM_DB="+s.DSN)
	// What waits for a lock for longer than nobody would notice is in the log.
	if err := s.Postgres.Exec(ctx, `ALTER DATABASE postgres SET log_lock_waits = on`); err != nil {
		return err
	}
	return s.Postgres.Exec(ctx, `ALTER DATABASE postgres SET deadlock_timeout = 200`)
}

func (s *Stage) startConsul(ctx context.Context) error {
	p, err := realserver.Ports(4)
	if err != nil {
		return err
	}
	consul, err := s.start("consul", s.Consul, []string{
		"agent", "-dev", "-bind", "127.0.0.1", "-log-level", "warn", "-hcl", "disable_update_check=true",
		"-hcl", fmt.Sprintf("ports { http=%d server=%d serf_lan=%d serf_wan=%d dns=-1 grpc=-1 grpc_tls=-1 }", p[0], p[1], p[2], p[3]),
	})
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", p[0])
	s.ConsulURL, s.env = "http://"+address, append(s.env, "PLATFORM_CONSUL="+address)
	return consul.until(ctx, func() error {
		leader, err := get(ctx, s.ConsulURL+"/v1/status/leader")
		if err == nil && !strings.Contains(leader, ":") {
			err = errors.New("it has no leader")
		}
		return err
	})
}

func (s *Stage) startS3(ctx context.Context) error {
	p, err := realserver.Ports(1)
	if err != nil {
		return err
	}
	keys, id, secret := filepath.Join(s.Dir, "run", "s3.keys"), "AK"+rand.Text(), rand.Text()
	if err := os.WriteFile(keys, []byte(id+" "+secret+"\n"), 0o600); err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", p[0])
	server, err := s.start("s3", s.S3, []string{
		"--port", address, "--region", "us-east-1", "--keep-alive", "--quiet",
		"posix", "--sidecar", filepath.Join(s.Dir, "attributes"), filepath.Join(s.Dir, "objects"),
	}, "ROOT_ACCESS_KEY_ID="+id, "ROOT_SECRET_ACCESS_KEY="+secret)
	if err != nil {
		return err
	}
	s.S3URL = "http://" + address
	s.env = append(s.env, "PLATFORM_S3="+s.S3URL, "PLATFORM_S3_PUBLIC="+s.URL, "PLATFORM_S3_KEYS="+keys)
	return server.until(ctx, func() error {
		_, err := s.platform(ctx, "bucket")
		return err
	})
}

func (s *Stage) startGreenroom(ctx context.Context) error {
	p, err := realserver.Ports(1)
	if err != nil {
		return err
	}
	s.Admin = fmt.Sprintf("127.0.0.1:%d", p[0])
	s.env = append(s.env, "PLATFORM_EDGE="+s.Edge, "PLATFORM_ADMIN="+s.Admin, "PLATFORM_DIR="+s.Dir,
		"GREENROOM_SOCKET="+s.Socket, "PLATFORM_PLAYERS="+s.Players,
		"PATH="+filepath.Dir(s.Config.Greenroom)+":"+os.Getenv("PATH"))
	if err := s.writeEnvironment(); err != nil {
		return err
	}
	edge, err := s.start("greenroom", s.Config.Greenroom, []string{"run", "--config", filepath.Join(s.Example, "Caddyfile")},
		append(s.env, "XDG_DATA_HOME="+filepath.Join(s.Dir, "edge"), "XDG_CONFIG_HOME="+filepath.Join(s.Dir, "edge"))...)
	if err != nil {
		return err
	}
	return edge.until(ctx, func() error {
		_, err := get(ctx, "http://"+s.Admin+"/metrics")
		return err
	})
}

// startMedia starts those who make media.
func (s *Stage) startMedia(ctx context.Context) error {
	if err := s.Migrate(ctx, 1); err != nil {
		return err
	}
	for _, part := range []string{"worker", "live"} {
		if _, err := s.start(part, s.Platform, []string{part}, s.env...); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all, the newest first, and removes what they kept but the logs.
func (s *Stage) Close() error {
	s.mu.Lock()
	running := slices.Clone(s.running)
	s.running, s.colors = nil, make(map[string][]*process)
	s.mu.Unlock()
	for _, p := range slices.Backward(running) {
		p.stop()
	}
	var errs []error
	if s.Postgres != nil {
		errs = append(errs, s.Postgres.Close())
	}
	for _, part := range parts {
		if part != "logs" {
			errs = append(errs, os.RemoveAll(filepath.Join(s.Dir, part)))
		}
	}
	s.unlock()
	return errors.Join(errs...)
}
