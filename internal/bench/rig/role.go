package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleName is the variable by which a program is told to be one of its roles.
const roleName = "GREENROOM_BENCH_ROLE"

// Role is what a process of this same program does, so that what it takes of the
// processors is not the servers'. It is asked, and answers, in JSON, and ends
// with its input.
type Role func(in io.Reader, out io.Writer) error

// Each has do carry out all that a role is asked, one after the other, until its
// input ends. What belongs to a question and is asked later, do reads from more.
func Each[Q any](in io.Reader, do func(question Q, more *json.Decoder) error) error {
	for ask := json.NewDecoder(in); ; {
		var q Q
		if err := ask.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("a plan: %w", err)
		}
		if err := do(q, ask); err != nil {
			return err
		}
	}
}

// Play is the role that this process has been given, if any; then it does not
// return. A program with roles begins with it, and so do its tests.
func Play(roles map[string]Role) {
	role := roles[os.Getenv(roleName)]
	if role == nil {
		return
	}
	if err := role(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, os.Getenv(roleName)+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Actor is a process with a role.
type Actor struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	ask  *json.Encoder
	tell *json.Decoder
}

// Cast starts a process with one of the roles that this program plays.
func Cast(role string) (*Actor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := &Actor{cmd: exec.Command(self)}
	a.cmd.Env, a.cmd.Stderr = append(os.Environ(), roleName+"="+role), os.Stderr
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.ask, a.tell = json.NewEncoder(a.in), json.NewDecoder(out)
	return a, a.cmd.Start()
}

// Call asks, and waits for the answer.
func (a *Actor) Call(question, answer any) error {
	if err := a.ask.Encode(question); err != nil {
		return err
	}
	return a.Hear(answer)
}

// Hear waits for what the role says unasked.
func (a *Actor) Hear(said any) error { return a.tell.Decode(said) }

// Leave ends the process.
func (a *Actor) Leave() error { return errors.Join(a.in.Close(), a.cmd.Wait()) }
