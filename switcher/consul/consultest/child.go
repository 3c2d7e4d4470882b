package consultest

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// child is one run of the server's process.
type child struct {
	process *os.Process
	ended   chan struct{} // closed when the process has ended
}

// launch starts the process with its output appended to a file. One goroutine,
// and so one thread, starts and awaits it: the kernel takes the end of the
// thread for that of the parent.
func launch(path string, args []string, output string) (*child, error) {
	log, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	c := &child{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(c.ended)
		defer func() { _ = log.Close() }()
		err := cmd.Start()
		c.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed as a rule
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// end sends a signal and waits for the end.
func (c *child) end(s syscall.Signal) {
	_ = c.process.Signal(s) // fails if it has ended
	<-c.ended
}

// running reports whether it has not ended.
func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}
