package handover

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// variable is the environment variable that tells a process that it was started
// to take over: the conversation is its file 3, what it inherits file 4.
const variable = "GREENROOM_HANDOVER"

// Successor is the new process, as the old one sees it.
type Successor struct {
	*Conn
	Pid     int
	process *os.Process
	exited  chan struct{}
	state   string // set before exited is closed
}

// Start runs the program of this process anew, as it was started, from the file
// that has its place now. The new one gets a copy of inherit.
func Start(inherit *os.File) (*Successor, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the program's own file: %w", err)
	}
	args, err := successorArgs(os.Args[1:])
	if err != nil {
		return nil, err
	}
	conn, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.ExtraFiles = []*os.File{theirs, inherit}
	err = cmd.Start()
	if closed := theirs.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), conn.Close())
	}
	s := &Successor{Conn: conn, Pid: cmd.Process.Pid, process: cmd.Process, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its state
		s.state = cmd.ProcessState.String()
		close(s.exited)
	}()
	return s, nil
}

// Exited is closed when the process has ended; State says how.
func (s *Successor) Exited() <-chan struct{} { return s.exited }

// State is how the process ended, as "exit status 1".
func (s *Successor) State() string {
	<-s.exited
	return s.state
}

// Kill ends the process, and waits until it has. One that has ended has lost its
// pid, which may be another's by now: that one is left alone.
func (s *Successor) Kill() {
	_ = s.process.Kill() // it has ended already
	<-s.exited
}

// successorArgs is args without what was meant for this process only.
func successorArgs(args []string) ([]string, error) {
	var kept []string
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		switch {
		case name == "--pingback" && !joined:
			i++
		case name == "--pingback":
		case args[i] == "-" && i > 0 && slices.Contains([]string{"--config", "-c"}, args[i-1]),
			slices.Contains([]string{"--config=-", "-c=-", "-c-"}, args[i]):
			return nil, errors.New("the config came from standard input, which cannot be read again: start the edge with a file")
		default:
			kept = append(kept, args[i])
		}
	}
	return kept, nil
}

// Predecessor is the old process, as the new one sees it.
type Predecessor struct {
	*Conn
	Inherited *os.File
}

// Inherited returns who started this process to take over; nil: it was started
// afresh. It is always the same.
var Inherited = sync.OnceValues(func() (*Predecessor, error) {
	if os.Getenv(variable) == "" {
		return nil, nil
	}
	if err := os.Unsetenv(variable); err != nil { // not for what this one starts
		return nil, err
	}
	conn, err := newConn(os.NewFile(3, "handover"))
	if err != nil {
		return nil, fmt.Errorf("%s is set, but no process hands over: %w", variable, err)
	}
	closeOnExec(4)
	return &Predecessor{Conn: conn, Inherited: os.NewFile(4, "inherited")}, nil
})
