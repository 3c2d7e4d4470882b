package main

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

// process is a proxy that runs.
type process struct {
	address string
	admin   string // of a Caddy; else empty
	cmd     *exec.Cmd
	log     bytes.Buffer // not to be read before exited
	exited  chan struct{}
}

// patience bounds every wait.
const patience = 2 * time.Minute

// start runs p in dir, which it makes, and waits until it answers.
func (p *proxy) start(ctx context.Context, dir, upstream string) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd, err := p.command(dir, address, admin, upstream)
	if err != nil {
		return nil, err
	}
	s := &process{address: address, cmd: cmd, exited: make(chan struct{})}
	if p.caddy {
		s.admin = admin
	}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait(); close(s.exited) }()
	err = until(ctx, "it answers", func() (bool, error) {
		select {
		case <-s.exited:
			return false, fmt.Errorf("it ended as it started: %s", s.log.String())
		default:
			return s.answers(), nil
		}
	})
	if err != nil {
		_ = s.stop()
		return nil, err
	}
	return s, nil
}

// answers reports whether the upstream is reached.
func (s *process) answers() bool {
	res, err := http.Get("http://" + s.address + "/healthz")
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// stop ends the process, and waits for its end.
func (s *process) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil && err != os.ErrProcessDone {
		return err
	}
	<-s.exited
	return nil
}

// read waits until the memory has settled, and reads it.
func (s *process) read(ctx context.Context) (r reading, err error) {
	if r.KiB, err = s.settle(ctx); err != nil || s.admin == "" {
		r.CollectedKiB = r.KiB
		return r, err
	}
	for range 2 { // a sync.Pool forgets with the second
		heap, err := s.ask(ctx, "heap?gc=1&debug=1")
		if err != nil {
			return r, err
		}
		if r.StacksKiB, err = parseStacks(string(heap)); err != nil {
			return r, err
		}
	}
	if r.CollectedKiB, err = s.settle(ctx); err != nil {
		return r, err
	}
	text, err := s.ask(ctx, "goroutine?debug=1")
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscanf(string(text), "goroutine profile: total %d", &r.Goroutines)
	return r, err
}

func (s *process) settle(ctx context.Context) (kib int64, err error) {
	var seen settling
	err = until(ctx, "its memory has settled", func() (bool, error) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
		if err != nil {
			return false, err
		}
		if kib, err = parseRSS(string(status)); err != nil {
			return false, err
		}
		return seen.settled(kib, time.Now()), nil
	})
	return kib, err
}

// ask gets a profile by the admin API.
func (s *process) ask(ctx context.Context, profile string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/debug/pprof/"+profile, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the profile %s: status %d", profile, res.StatusCode)
	}
	return io.ReadAll(res.Body)
}

// profile keeps what pprof needs, in files that begin with path.
func (s *process) profile(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"heap?gc=1", "goroutine?debug=1"} {
		data, err := s.ask(ctx, name)
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

// until asks again and again whether something holds.
func until(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
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

// freeAddress returns an address of loopback on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
