package stage

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// process is one program that runs, and how it is called in messages.
type process struct {
	name, log string
	*realserver.Process
}

// patience is how long a program has to end when it is asked to, before it is
// killed.
const patience = 15 * time.Second

// start runs a program, whose output goes to <name>.log.
func (s *Stage) start(name, path string, args []string, env ...string) (*process, error) {
	log := filepath.Join(s.Dir, "logs", name+".log")
	p, err := realserver.Start(path, args, env, log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	one := &process{name: name, log: log, Process: p}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = append(s.running, one)
	return one, nil
}

// until waits for a program to be ready.
func (p *process) until(ctx context.Context, ready func() error) error {
	err := realserver.Until(p.name, func() error {
		if !p.Running() {
			return realserver.ErrEnded
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", realserver.ErrEnded, err) // nobody waits any more
		}
		return ready()
	})
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, realserver.Tail(p.log))
	}
	return nil
}

// stop asks a program to end, and insists after a while.
func (p *process) stop() {
	insist := time.AfterFunc(patience, func() { _ = p.Signal(syscall.SIGKILL) }) // fails if it has ended
	defer insist.Stop()
	p.End(syscall.SIGTERM)
}

// Ended names the programs that have ended by themselves, with the end of what
// they wrote.
func (s *Stage) Ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.running {
		if !p.Running() {
			return fmt.Errorf("%s has ended: see %s\n%s", p.name, p.log, realserver.Tail(p.log))
		}
	}
	return nil
}

// forget takes a program off the list of those that should run.
func (s *Stage) forget(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, one := range s.running {
		if one == p {
			s.running = append(s.running[:i], s.running[i+1:]...)
			return
		}
	}
}
