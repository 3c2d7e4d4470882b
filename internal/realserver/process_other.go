//go:build !linux

package realserver

import "syscall"

// dieWithParent is not to be had here.
func dieWithParent() *syscall.SysProcAttr { return nil }
