package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/testcert"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// binary is the greenroom that all tests run, built once by TestMain, which makes
// the certificate of their TLS sites too.
var binary, certFile, keyFile string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "greenroom-e2e")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil { // other users run it too
			panic(err)
		}
		binary = filepath.Join(dir, "greenroom")
		if certFile, keyFile, err = testcert.Write(dir); err != nil {
			panic(err)
		}
		build := exec.Command("go", "build", raceFlag, "-o", binary, "../..")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building greenroom:", err)
			return 1
		}
		return m.Run()
	}())
}

// patience bounds every wait; it is long because a slow machine is no failure.
const patience = 60 * time.Second

// edge is a greenroom process and the directory it lives in.
type edge struct {
	t      testing.TB
	dir    string // state, sockets, config
	http   string // address of the plaintext site
	https  string // address of the TLS site
	admin  string // address of Caddy's admin API
	config string // the Caddyfile

	control string // the control socket, if not the one in dir
	options string // more options of the control block

	mu     sync.Mutex
	cmd    *exec.Cmd     // guarded by mu; nil: not running
	exited chan struct{} // closed when cmd has ended, and all that have taken over from it
	heirs  []int         // guarded by mu; the processes that have taken over
	log    *syncBuffer
}

// newEdge makes a place for an edge whose services block is given, as the
// inside of the global option "greenroom"; it is not started. Sites for the
// service "app" listen on e.http and e.https.
func newEdge(t testing.TB, services string) *edge {
	t.Helper()
	e := &edge{t: t, dir: t.TempDir(), http: freeAddress(t), https: freeAddress(t), admin: freeAddress(t), log: new(syncBuffer)}
	e.write(services, siteBlueGreen)
	t.Cleanup(e.kill)
	return e
}

// siteBlueGreen serves the service "app".
const siteBlueGreen = "blue_green app"

// checkedApp is the service "app" of upstreams whose health is asked often, with more
// options, one a line.
func checkedApp(blue, green, options string) string {
	return fmt.Sprintf(`
		service app {
			blue %s
			green %s
			health http /healthz {
				interval 100ms
			}
			%s
		}`, blue, green, options)
}

// write replaces the config file.
func (e *edge) write(services, site string) {
	e.t.Helper()
	e.rewrite(fmt.Sprintf(`{
	admin %[1]s
	storage file_system %[2]s/caddy
	skip_install_trust
	# TLS sites have a certificate: see testcert
	auto_https disable_redirects
	grace_period 10s
	greenroom {
		state_dir %[2]s/state
		control {
			socket %[2]s/run/control.sock
			%[7]s
		}
%[3]s
	}
}
http://%[4]s {
	%[6]s
}
https://localhost:%[5]s {
	bind 127.0.0.1
	tls %[8]s %[9]s
	%[6]s
}
`, e.admin, e.dir, services, e.http, port(e.https), site, e.options, certFile, keyFile))
}

// rewrite replaces the whole config file.
func (e *edge) rewrite(config string) {
	e.t.Helper()
	e.config = config
	if err := os.WriteFile(e.configPath(), []byte(e.config), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e *edge) configPath() string { return filepath.Join(e.dir, "Caddyfile") }

func (e *edge) socket() string {
	if e.control != "" {
		return e.control
	}
	return filepath.Join(e.dir, "run", "control.sock")
}

// start runs the edge and waits until it answers on its control socket.
func (e *edge) start() {
	e.t.Helper()
	cmd := exec.Command(binary, "run", "--config", e.configPath())
	cmd.Env = append(os.Environ(), "HOME="+e.dir, "XDG_CONFIG_HOME="+e.dir, "XDG_DATA_HOME="+e.dir)
	exited := e.launch(cmd)
	e.until("the edge answers", func() bool {
		select {
		case <-exited:
			e.t.Fatalf("the edge ended while it started:\n%s", e.log)
		default:
		}
		_, err := e.client().Services(e.t.Context())
		return err == nil && listening(e.http) && e.hasCertificate()
	})
}

// hasCertificate reports whether the TLS site can complete a handshake: its
// certificate is made after it has begun to listen.
func (e *edge) hasCertificate() bool {
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port(e.https), &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// launch starts cmd as the edge's process.
func (e *edge) launch(cmd *exec.Cmd) (exited chan struct{}) {
	e.t.Helper()
	cmd.Stdout, cmd.Stderr = e.log, e.log
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	exited = make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	e.mu.Lock()
	e.cmd, e.exited, e.heirs = cmd, exited, nil
	e.mu.Unlock()
	return exited
}

// listening reports whether somebody accepts connections at address.
func listening(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// stop ends the edge as systemd would, and waits for it.
func (e *edge) stop() { e.signal(syscall.SIGTERM) }

// kill ends the edge without a chance to do anything.
func (e *edge) kill() { e.signal(syscall.SIGKILL) }

func (e *edge) signal(s syscall.Signal) {
	e.mu.Lock()
	cmd, exited, heirs := e.cmd, e.exited, e.heirs
	e.cmd = nil
	e.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(s)
	for _, pid := range heirs {
		_ = syscall.Kill(pid, s)
	}
	select {
	case <-exited:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		for _, pid := range heirs {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		e.t.Errorf("the edge did not end after %s:\n%s", s, e.log)
	}
	if strings.Contains(e.log.String(), "DATA RACE") {
		e.t.Errorf("a data race in the edge:\n%s", e.log)
	}
}

// reload loads the config file as "greenroom reload" does.
func (e *edge) reload() {
	e.t.Helper()
	if out := e.cli("reload", "--config", e.configPath(), "--address", e.admin, "--force"); out.code != 0 {
		e.t.Fatalf("reload: %s\nlog:\n%s", out, e.log)
	}
}

func (e *edge) client() *control.Client { return control.NewClient(e.socket()) }

// view returns the service "app".
func (e *edge) view() switcher.ServiceView {
	e.t.Helper()
	v, err := e.client().View(e.t.Context(), "app")
	if err != nil {
		e.t.Fatalf("view: %v\nlog:\n%s", err, e.log)
	}
	return v
}

// healthy waits until all upstreams of the service "app" are healthy.
func (e *edge) healthy() {
	e.t.Helper()
	e.until("all upstreams are healthy", func() bool {
		v := e.view()
		return v.Blue.Healthy == v.Blue.Total && v.Green.Healthy == v.Green.Total && v.Blue.Total+v.Green.Total > 0
	})
}

// until waits for a condition.
func (e *edge) until(what string, holds func() bool) {
	e.t.Helper()
	waitUntil(e.t, what, holds, func() string { return e.log.String() })
}

func waitUntil(t testing.TB, what string, holds func() bool, explain func() string) {
	t.Helper()
	waitAtMost(t, patience, what, holds, explain)
}

func waitAtMost(t testing.TB, most time.Duration, what string, holds func() bool, explain func() string) {
	t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain until %s\n%s", what, explain())
		}
	}
}

// output is what a command printed, and its exit code.
type output struct {
	stdout, stderr string
	code           int
}

func (o output) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", o.code, o.stdout, o.stderr)
}

// cli runs a greenroom command against this edge.
func (e *edge) cli(args ...string) output {
	e.t.Helper()
	return e.cliAs(nil, args...)
}

// cliAs is cli as another user.
func (e *edge) cliAs(who *syscall.Credential, args ...string) output {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+e.dir, "XDG_CONFIG_HOME="+e.dir, "XDG_DATA_HOME="+e.dir, "GREENROOM_SOCKET="+e.socket())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		e.t.Fatalf("%v: %v", args, err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// syncBuffer is a buffer that a process writes and a test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// explain shows the end of the edge's log.
func (e *edge) explain() {
	e.t.Helper()
	log := e.log.String()
	e.t.Logf("log:\n%s", log[max(0, len(log)-8000):])
}
