package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
)

// obeySignals has SIGUSR2 begin an upgrade.
func (rt *runtime) obeySignals(ctx context.Context) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR2)
	defer signal.Stop(asked)
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			if err := rt.Upgrade(ctx); err != nil {
				rt.log.Error("SIGUSR2: no upgrade", "error", err)
			}
		}
	}
}

// notifyMainPid tells systemd which process the service is from now on
// (sd_notify(3)).
func notifyMainPid(pid int) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "MAINPID=%d", pid) // who does not listen is no systemd
}

// restorePidFile writes this process's pid where it was told to by args, over
// that of one that did not take over.
func restorePidFile(args []string) error {
	path := ""
	for i, arg := range args {
		if value, joined := strings.CutPrefix(arg, "--pidfile="); joined {
			path = value
		} else if arg == "--pidfile" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if path == "" {
		return nil
	}
	return caddy.PIDFile(path)
}
