package realserver

import "syscall"

// dieWithParent has the kernel kill a child when the thread that started it
// ends. A Ctrl-C that is meant for the parent is not the child's: the parent ends
// its children in an order of its own.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
