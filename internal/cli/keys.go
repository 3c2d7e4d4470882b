package cli

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// keys makes q and Ctrl-C on the terminal call quit, until restore gives the
// terminal back as it was. Without a terminal to read from, it does nothing,
// and a signal quits.
func (s *session) keys(ctx context.Context, quit func()) (restore func()) {
	file, ok := terminal(s.in)
	if !ok {
		return func() {}
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { readKeys(ctx, file, quit); close(over) }()
	return func() {
		stop()
		<-over
		_ = term.Restore(int(file.Fd()), before) // nothing better is known
	}
}

const ctrlC, ctrlD = 3, 4

// readKeys reads until ctx ends. It looks before it reads, since a read of a
// terminal cannot be interrupted.
func readKeys(ctx context.Context, file *os.File, quit func()) {
	const lookFor = 50 // milliseconds
	key := make([]byte, 16)
	for ctx.Err() == nil {
		ready := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, lookFor)
		if err == unix.EINTR || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return
		}
		n, err = unix.Read(int(file.Fd()), key)
		if n <= 0 || err != nil { // hung up
			quit()
			return
		}
		for _, k := range key[:n] {
			if k == 'q' || k == 'Q' || k == ctrlC || k == ctrlD {
				quit()
				return
			}
		}
	}
}
