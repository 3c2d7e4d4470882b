// Package realserver runs programs that are not Greenroom, for packages that
// give tests a real server to talk to: it has Go build them, starts them, waits
// for them and ends them. Tests use it, and examples/platform, which starts them for
// who has none.
//
//	path, err := realserver.Tool("consul", "consul")
//	…
//	p, err := realserver.Start(path, []string{"agent", "-dev"}, nil, logFile)
//	…
//	err = realserver.Until("a leader", hasLeader)
//	…
//	p.End(syscall.SIGKILL)
//
// A process dies with the one that started it: on Linux, however that ends.
package realserver
