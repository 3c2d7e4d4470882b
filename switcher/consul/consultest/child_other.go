//go:build !linux

package consultest

import "syscall"

// dieWithParent is not to be had here.
func dieWithParent() *syscall.SysProcAttr { return nil }
