package handover

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// started is a successor that has said what it is.
func started(t *testing.T, role string) (*Successor, said) {
	t.Helper()
	t.Setenv(roleEnv, role)
	path := filepath.Join(t.TempDir(), "inherit")
	must(t, os.WriteFile(path, []byte("what only one can have"), 0o600))
	f, err := os.Open(path)
	must(t, err)
	s, err := Start(f)
	must(t, errors.Join(err, f.Close()))
	t.Cleanup(func() { s.Kill(); _ = s.Close() })
	var is said
	must(t, s.Receive(&is, time.Minute))
	return s, is
}

func TestASuccessorIsThisProgramAsItWasStartedWithWhatItInherits(t *testing.T) {
	s, is := started(t, "yes")
	if is.Content != "what only one can have" || !is.Again || is.Told {
		t.Errorf("%+v", is)
	}
	if !slices.Equal(is.Args, os.Args) {
		t.Errorf("started as %q, want %q", is.Args, os.Args)
	}
	must(t, s.Send("exit", time.Minute))
	if state := s.State(); state != "exit status 7" {
		t.Errorf("it ended with %s", state)
	}
	<-s.Exited()
	if err := s.Receive(&is, time.Minute); !errors.Is(err, io.EOF) {
		t.Errorf("after its end: %v", err)
	}
}

func TestASuccessorThatHangsIsKilled(t *testing.T) {
	for _, order := range []string{"hang", "hang up"} {
		s, is := started(t, "yes")
		must(t, s.Send(order, time.Minute))
		if order == "hang up" {
			if err := s.Receive(&is, time.Minute); !errors.Is(err, io.EOF) {
				t.Errorf("after it hung up: %v", err)
			}
		}
		s.Kill()
		if state := s.State(); state != "signal: killed" {
			t.Errorf("%s: it ended with %s", order, state)
		}
	}
}

// A pid is given to another process when its own has ended.
func TestOnlyTheSuccessorItselfIsKilledAndNotWhoHasItsPidLater(t *testing.T) {
	s, _ := started(t, "yes")
	must(t, s.Send("exit", time.Minute))
	s.State()
	other, _ := started(t, "yes")
	s.Pid = other.Pid
	s.Kill()
	if err := syscall.Kill(other.Pid, 0); err != nil {
		t.Fatalf("the other process: %v", err)
	}
	must(t, other.Send("exit", time.Minute))
	if state := other.State(); state != "exit status 7" {
		t.Errorf("the other process ended with %s", state)
	}
}

func TestAProcessThatWasStartedAfreshInheritsNothing(t *testing.T) {
	if p, err := Inherited(); p != nil || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestASuccessorGetsTheArgumentsThatAreForItToo(t *testing.T) {
	for args, want := range map[string]string{
		"":                                    "",
		"run":                                 "run",
		"run --config Caddyfile --watch":      "run --config Caddyfile --watch",
		"run --pingback 127.0.0.1:1 --config": "run --config",
		"run --pingback=127.0.0.1:1 -c x":     "run -c x",
		"run --pingback":                      "run",
		"run --config=Caddyfile --pidfile p":  "run --config=Caddyfile --pidfile p",
		"run --config a-b":                    "run --config a-b",
		"run --envfile - --config x":          "run --envfile - --config x",
	} {
		got, err := successorArgs(strings.Fields(args))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q became %q, %v, want %q", args, got, err, want)
		}
	}
	for _, args := range []string{"run --config -", "run -c -", "run --config=-", "run -c=-", "run -c-"} {
		if got, err := successorArgs(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), "standard input") {
			t.Errorf("%q became %q, %v", args, got, err)
		}
	}
}
