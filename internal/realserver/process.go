package realserver

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is one run of a program.
type Process struct {
	process *os.Process
	ended   chan struct{} // closed when the process has ended
}

// Start starts a program with its output appended to a file, and with more
// environment than this process has. One goroutine, and so one thread, starts
// and awaits it: the kernel takes the end of the thread for that of the parent.
func Start(path string, args, env []string, output string) (*Process, error) {
	return StartAs(nil, path, args, env, output)
}

// StartAs is Start as another user, for programs that refuse to run as root. A
// nil user is this process's own.
func StartAs(user *syscall.Credential, path string, args, env []string, output string) (*Process, error) {
	log, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	if user != nil {
		cmd.SysProcAttr = as(user, cmd.SysProcAttr)
	}
	p := &Process{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(p.ended)
		defer func() { _ = log.Close() }()
		err := cmd.Start()
		p.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed as a rule
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Signal sends a signal, and fails if the process has ended.
func (p *Process) Signal(s syscall.Signal) error { return p.process.Signal(s) }

// End sends a signal and waits for the end.
func (p *Process) End(s syscall.Signal) {
	_ = p.process.Signal(s) // fails if it has ended
	<-p.ended
}

// Running reports whether it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func as(user *syscall.Credential, attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	if attr == nil {
		attr = new(syscall.SysProcAttr)
	}
	attr.Credential = user
	return attr
}
