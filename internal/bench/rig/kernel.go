package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RSS is the resident memory of the process and its children added up, in KiB.
// What they share counts for each.
func (s *Process) RSS() (kib int64, err error) { return s.sum("status", "VmRSS") }

// PeakRSS is the highest that it has been of each.
func (s *Process) PeakRSS() (kib int64, err error) { return s.sum("status", "VmHWM") }

// PSS is the resident memory, too, but of what several processes share it counts
// the share.
func (s *Process) PSS() (kib int64, err error) { return s.sum("smaps_rollup", "Pss") }

// sum adds up a size that a file in /proc/<pid> tells of each of the family.
func (s *Process) sum(file, field string) (kib int64, err error) {
	family, err := familyOf(s.PID())
	if err != nil {
		return 0, err
	}
	for _, member := range family {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", member.pid, file))
		if err != nil {
			return 0, err
		}
		size, err := parseSize(string(text), field)
		if err != nil {
			return 0, err
		}
		kib += size
	}
	return kib, nil
}

// CPU is the time that the process and its children, those that have ended
// included, have had of the processors so far. The kernel tells it in steps of
// 10 ms.
func (s *Process) CPU() (time.Duration, error) {
	family, err := familyOf(s.PID())
	var ticks int64
	for _, member := range family {
		ticks += member.ticks
	}
	return time.Duration(ticks) * tick, err
}

// tick is what /proc counts in: USER_HZ is 100 wherever Go runs on Linux.
const tick = 10 * time.Millisecond

// parseSize finds a size in a /proc/<pid>/status or smaps_rollup.
func parseSize(text, field string) (kib int64, err error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			_, err = fmt.Sscanf(strings.TrimSpace(rest), "%d kB", &kib)
			return kib, err
		}
	}
	return 0, fmt.Errorf("the kernel tells no %s of it: it has ended", field)
}

// member is what is read of a process: its time is its own and that of the
// children for which it has waited.
type member struct {
	pid, parent int
	ticks       int64
}

// familyOf is a process and its children; grandchildren do not count.
func familyOf(pid int) (family []member, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended since
		}
		m, err := parseStat(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if m.pid == pid || m.parent == pid {
			family = append(family, m)
		}
	}
	if len(family) == 0 {
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	return family, nil
}

// parseStat reads a /proc/<pid>/stat (proc_pid_stat(5)). The name of a program
// may have spaces and brackets.
func parseStat(text string) (m member, err error) {
	malformed := errors.New("not what proc_pid_stat(5) describes")
	end := strings.LastIndexByte(text, ')')
	number, _, _ := strings.Cut(text, " ")
	if m.pid, err = strconv.Atoi(number); err != nil || end < 0 {
		return m, malformed
	}
	fields := strings.Fields(text[end+1:]) // from the third on
	if len(fields) < 15 {
		return m, malformed
	}
	if m.parent, err = strconv.Atoi(fields[4-3]); err != nil {
		return m, malformed
	}
	for _, field := range fields[14-3 : 18-3] { // utime stime cutime cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return m, malformed
		}
		m.ticks += n
	}
	return m, nil
}
