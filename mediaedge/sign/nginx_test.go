package sign

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nginxConfig has the two formats that the signer knows.
const nginxConfig = `
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
	server {
		listen %s;
		secure_link $arg_md5,$arg_expires;
		location /bound/ {
			secure_link_md5 "$secure_link_expires$uri$remote_addr hush";
			if ($secure_link = "") { return 403; }
			if ($secure_link = "0") { return 410; }
			return 204;
		}
		location / {
			secure_link_md5 "$secure_link_expires$uri hush";
			if ($secure_link = "") { return 403; }
			if ($secure_link = "0") { return 410; }
			return 204;
		}
	}
}`

// nginx runs Debian's nginx on a socket that listens before it starts, so that
// nobody has to wait for it, and returns its address. It has a worker, since
// an nginx of one process crashes on a socket that it inherits.
func nginx(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatalf("nginx is not installed; Debian's package is nginx-light: apt-get install nginx-light (%v)", err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	dir := t.TempDir()
	address := listener.Addr().String()
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConfig, address), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends its worker then
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(os.Environ(), "NGINX=3;") // sockets that it inherits
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was told to
		if t.Failed() {
			t.Logf("nginx: %s", &said)
		}
	})
	return address
}

// from asks for a URL from a local address.
func from(t *testing.T, ip, target string) int {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get(target)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestNginxTakesWhatIsSignedForIt(t *testing.T) {
	origin := "http://" + nginx(t)
	keys := keyFile(t, Text, "a hush")
	g := Window{}.Grant(time.Now()) // nginx has a clock of its own
	bound := g
	bound.ClientIP = netip.MustParseAddr("127.0.0.1")
	for _, path := range []string{"/vod/a.mp4", "/vod/a b+c=d~é.mp4", "/vod/*!'.mp4", "/vod/a.mp4?x=%2F&y=z"} {
		free := signed(t, made[*NGINX](t)(NewNGINX(keys, false)), origin+path, g).URL
		tied := signed(t, made[*NGINX](t)(NewNGINX(keys, true)), origin+"/bound"+path, bound).URL
		for target, want := range map[string]int{
			free: 204,
			tied: 204,
			strings.Replace(free, "/vod/", "/vod/x", 1):          403,
			strings.Replace(free, "expires=", "expires=9", 1):    403,
			strings.Replace(free, "md5=", "md5=x", 1):            403,
			strings.Replace(tied, "/bound/vod/", "/bound/v/", 1): 403,
			strings.Replace(tied, "/bound/", "/", 1):             403,
		} {
			if got := from(t, "127.0.0.1", target); got != want {
				t.Errorf("%s: %d, want %d", target, got, want)
			}
		}
		if got := from(t, "127.0.0.2", tied); got != 403 {
			t.Errorf("%s from another address: %d", tied, got)
		}
		if got := from(t, "127.0.0.2", free); got != 204 {
			t.Errorf("%s from another address: %d", free, got)
		}
		old := Window{}.Grant(time.Now().Add(-time.Hour))
		if got := from(t, "127.0.0.1", signed(t, made[*NGINX](t)(NewNGINX(keys, false)), origin+path, old).URL); got != 410 {
			t.Errorf("%s an hour ago: %d", path, got)
		}
	}
}
