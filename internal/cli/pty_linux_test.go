package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// tty is a pseudo terminal of 80 by 24 cells, and what has been printed on it.
type tty struct {
	keyboard *os.File
	screen   *os.File
	printed  *output
}

func newTTY(t *testing.T) *tty {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal("no pseudo terminals here: ", err)
	}
	must(t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	must(t, err)
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	x := &tty{keyboard: keyboard, screen: screen, printed: newOutput()}
	read := make(chan struct{})
	go func() { _, _ = io.Copy(x.printed, keyboard); close(read) }() // ends with an error of the terminal
	t.Cleanup(func() {
		must(t, screen.Close())
		<-read
		must(t, keyboard.Close())
	})
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	return x
}

func (x *tty) start(t *testing.T, h *house, args ...string) *running {
	t.Helper()
	t.Setenv("GREENROOM_SOCKET", h.socket)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r := &running{out: x.printed, errs: newOutput(), interrupt: cancel, done: make(chan int, 1)}
	root := newRoot(x.screen, x.screen, r.errs, args)
	go func() { r.done <- exitCodeOf(root.ExecuteContext(ctx)) }()
	return r
}

func TestWatchRedrawsLiveAndGivesTheTerminalBack(t *testing.T) {
	for name, key := range map[string]string{"q": "q", "Ctrl-C": "\x03"} {
		t.Run(name, func(t *testing.T) {
			h := open(t, app)
			x := newTTY(t)
			before, err := unix.IoctlGetTermios(int(x.screen.Fd()), unix.TCGETS)
			must(t, err)
			r := x.start(t, h, "watch")
			r.out.awaits("q quits")
			h.run(t, "split", "app", "green=25").wants(t, exitDone, "")
			r.out.awaits(" 75/25")
			r.out.awaits("traffic: blue 75%, green 25%")
			_, err = x.keyboard.WriteString("x" + key)
			must(t, err)
			if code := <-r.done; code != exitDone {
				t.Errorf("exit %d: %s", code, r.errs)
			}
			r.out.awaits(altOff)
			if text := r.out.String(); !strings.HasPrefix(text, altOn) || strings.LastIndex(text, showCursor) < strings.LastIndex(text, hideCursor) {
				t.Errorf("%q", text)
			}
			after, err := unix.IoctlGetTermios(int(x.screen.Fd()), unix.TCGETS)
			must(t, err)
			if *after != *before {
				t.Errorf("the terminal was %+v and is %+v", before, after)
			}
		})
	}
}

func TestCutoverShowsItsProgressOnATerminal(t *testing.T) {
	h := open(t, app)
	release := h.busy(t, "app")
	x := newTTY(t)
	r := x.start(t, h, "cutover", "app", "--to", "green")
	r.out.awaits("1 of 1 in-flight")
	release()
	if code := <-r.done; code != exitDone {
		t.Errorf("exit %d: %s", code, r.errs)
	}
	r.out.awaits("safe to stop")
	text := r.out.String()
	if last := text[strings.LastIndex(text, showCursor):]; !strings.Contains(last, "serves 100%") {
		t.Errorf("the cursor comes back too late:\n%q", text)
	}
	if !strings.Contains(text, ansi[greenInk]) {
		t.Errorf("no colors:\n%q", text)
	}
}

func TestWatchShowsTheOldestStreamsOfADrain(t *testing.T) {
	h := open(t, app)
	h.ledger.has(oldestShown+2, switcher.Blue)
	h.ledger.has(1, switcher.Green)
	release := h.busy(t, "app")
	h.run(t, "cutover", "app", "--to", "green", "--no-wait").wants(t, exitDone, "")
	x := newTTY(t)
	r := x.start(t, h, "watch")
	r.out.awaits("streams, the oldest 5 of 7")
	release()
	r.out.awaits("cutover \x1b[32mdone")
	r.interrupt()
	if code := <-r.done; code != exitDone {
		t.Errorf("exit %d: %s", code, r.errs)
	}
}

func TestNoColorIsHeededOnATerminal(t *testing.T) {
	h := open(t, map[string]switcher.Config{"app": {}, "api": {}})
	x := newTTY(t)
	t.Setenv("NO_COLOR", "1")
	r := x.start(t, h, "status")
	<-r.done
	r.out.awaits("api")
	if strings.Contains(r.out.String(), "\x1b") {
		t.Errorf("%q", r.out)
	}
}
