package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleName is the variable by which this program is told to be one of roles.
const roleName = "GREENROOM_BENCH_MEDIA_ROLE"

// roles are processes of this same program, so that what they take of the
// processors is not the servers'. They are asked, and answer, in JSON.
var roles = map[string]func(io.Reader, io.Writer) error{"origin": serveOrigin, "load": serveLoad}

// play is the role that this process has been given, if any; then it does not
// return.
func play() {
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

// actor is a process with a role.
type actor struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	ask  *json.Encoder
	tell *json.Decoder
}

func cast(role string) (*actor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := &actor{cmd: exec.Command(self)}
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

// call asks, and waits for the answer.
func (a *actor) call(question, answer any) error {
	if err := a.ask.Encode(question); err != nil {
		return err
	}
	return a.tell.Decode(answer)
}

// leave ends the process, which ends with its input.
func (a *actor) leave() error { return errors.Join(a.in.Close(), a.cmd.Wait()) }
