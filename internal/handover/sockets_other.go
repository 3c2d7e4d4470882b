//go:build !linux

package handover

import (
	"errors"
	"syscall"
)

// Supported tells whether this system can do it.
const Supported = false

// Socket is one of this process's sockets that others may share an address with.
type Socket struct{ Network string }

// Key names the address for both processes.
func (s Socket) Key() string { return s.Network }

// Listening fails.
func Listening() ([]Socket, error) { return nil, errors.ErrUnsupported }

// Count returns how many sockets there are for each key.
func Count([]Socket) map[string]int { return nil }

// Steer fails.
func Steer(Socket, int) error { return errors.ErrUnsupported }

// Release does nothing.
func Release([]Socket) {}

// SteerAll fails.
func SteerAll([]Socket, func(Socket) (int, bool)) error { return errors.ErrUnsupported }

// Queued reports false.
func Queued([]Socket) bool { return false }

// Shaking reports false.
func Shaking([]Socket) bool { return false }

// Serving reports false.
func Serving([]Socket) bool { return false }

// Quiet fails.
func Quiet(Socket) error { return errors.ErrUnsupported }

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
