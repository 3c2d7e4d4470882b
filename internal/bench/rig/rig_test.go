package rig

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestWhatTheKernelSaysOfMemoryIsRead(t *testing.T) {
	const status = "Name:\tx\nVmHWM:\t     99 kB\nVmRSS:\t   12345 kB\nThreads:\t7\n"
	for field, want := range map[string]int64{"VmRSS": 12345, "VmHWM": 99} {
		if kib, err := parseSize(status, field); err != nil || kib != want {
			t.Errorf("%s: %d, %v", field, kib, err)
		}
	}
	if _, err := parseSize("Name:\tx\nState:\tZ (zombie)\n", "VmRSS"); err == nil {
		t.Error("a process that has ended has memory")
	}
}

func TestWhatTheKernelSaysOfTimeIsRead(t *testing.T) {
	const stat = "42 (nginx: ) (x) S 7 42 42 0 -1 4194560 1 2 3 4 11 12 13 14 20 0 1 0 5 6 7 8"
	if m, err := parseStat(stat); err != nil || m != (member{42, 7, 11 + 12 + 13 + 14}) {
		t.Errorf("%v, %v", m, err)
	}
	for _, text := range []string{"", "42", "42 (x) S 7 42", "x" + stat, strings.Replace(stat, " 13 ", " ? ", 1)} {
		if m, err := parseStat(text); err == nil {
			t.Errorf("%q: %v", text, m)
		}
	}
}

func TestTheTimeOfAProcessIsThatOfItsChildrenToo(t *testing.T) {
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	used := child.ProcessState.UserTime()
	if used < 2*tick {
		t.Fatalf("the child took %v: too little to be seen", used)
	}
	self := &Process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	cpu, err := self.CPU()
	if err != nil || cpu < used-2*tick {
		t.Errorf("%v, %v: its child alone had %v", cpu, err, used)
	}
	if peak, err := self.PeakRSS(); err != nil || peak < 1<<10 || peak > 1<<30 {
		t.Errorf("%d KiB, %v", peak, err)
	}
	gone := &Process{cmd: &exec.Cmd{Process: &os.Process{Pid: child.Process.Pid}}}
	if cpu, err := gone.CPU(); err == nil {
		t.Errorf("a process that has ended has had %v", cpu)
	}
}
