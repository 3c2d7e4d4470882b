package rig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Patience bounds every wait.
const Patience = 2 * time.Minute

// Process is a program that runs.
type Process struct {
	Address string
	admin   *http.Client // of a Caddy; else nil
	cmd     *exec.Cmd
	log     bytes.Buffer // not to be read before exited
	exited  chan struct{}
}

// Start runs p in dir, which it makes, in front of upstream, and waits until it
// answers a GET of the path probe with 200.
func (p *Program) Start(ctx context.Context, dir, upstream, probe string) (*Process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin := AdminSocket(dir)
	cmd, err := p.Command(dir, address, "unix/"+admin, upstream)
	if err != nil {
		return nil, err
	}
	s := &Process{Address: address, cmd: cmd, exited: make(chan struct{})}
	if p.Caddy {
		s.admin = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", admin)
		}}}
	}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Stop ends its children with it
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait(); close(s.exited) }()
	err = Until(ctx, "it answers", func() (bool, error) {
		select {
		case <-s.exited:
			return false, fmt.Errorf("it ended as it started: %s", s.log.String())
		default:
			return s.answers(probe), nil
		}
	})
	if err != nil {
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Process) answers(probe string) bool {
	res, err := http.Get("http://" + s.Address + probe)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// Stop kills the process and its children, and waits for their end.
func (s *Process) Stop() error {
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return err
	}
	<-s.exited
	if s.admin != nil {
		s.admin.CloseIdleConnections()
	}
	return nil
}

// PID is that of the program itself.
func (s *Process) PID() int { return s.cmd.Process.Pid }

// Profiled reports whether it is a Go program that can be asked for profiles.
func (s *Process) Profiled() bool { return s.admin != nil }

// Ask gets a profile, such as heap?gc=1, by the admin API.
func (s *Process) Ask(ctx context.Context, profile string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/debug/pprof/"+profile, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.admin.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the profile %s: status %d", profile, res.StatusCode)
	}
	return io.ReadAll(res.Body)
}

// Keep asks for profiles one after the other and keeps what pprof needs, in
// files whose names are path and the profile's.
func (s *Process) Keep(ctx context.Context, path string, profiles ...string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	for _, name := range profiles {
		data, err := s.Ask(ctx, name)
		if err != nil {
			return err
		}
		kind, _, _ := strings.Cut(name, "?")
		if err := os.WriteFile(path+"."+kind, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Until asks again and again whether something holds.
func Until(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s: %w", what, context.Cause(ctx))
		}
	}
}

// AllowFiles raises the limit of open files for this process and those that it
// starts; Go would give these the old one back if it had raised it by itself.
func AllowFiles(need uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	if limit.Max < need {
		return fmt.Errorf("%d open files are needed and the hard limit is %d: raise it, or take fewer with -n", need, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// SpareFiles is for what else than connections has a file, and for HAProxy, which
// counts with two for each connection.
const SpareFiles = 600

// freeAddress returns an address of loopback on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
