package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

// TestMain lets the test binary stand in for greenroom itself. All times are
// printed in the same zone everywhere.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	if os.Getenv("GREENROOM_TEST_MAIN") != "" {
		Register()
		caddycmd.Main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// house is an edge with a real Switcher behind a real socket.
type house struct {
	sw     *switcher.Switcher
	store  *switchertest.MemoryStore
	server *control.Server
	socket string
	ledger *fakeStreams
	media  *fakeMedia
}

// open starts an edge with services that have two healthy upstreams on each
// side.
func open(t *testing.T, configs map[string]switcher.Config) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "greenroom")
	must(t, err)
	must(t, os.Chmod(dir, 0o700))
	h := &house{store: &switchertest.MemoryStore{}, socket: filepath.Join(dir, "control.sock")}
	h.sw = switcher.New(h.store, switcher.Hooks{}, nil)
	audit, err := control.OpenAudit(filepath.Join(dir, "audit.jsonl"))
	must(t, err)
	h.ledger = &fakeStreams{sw: h.sw}
	handler := control.NewHandler(h.sw, audit, nil)
	handler.SetStreams(h.ledger)
	h.media = &fakeMedia{}
	handler.SetMedia(h.media)
	h.server, err = control.Listen(control.Settings{Socket: h.socket}, handler, nil)
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	serving, stopServing := context.WithCancel(context.Background())
	var running, answering sync.WaitGroup
	running.Go(func() { h.sw.Run(ctx) })
	answering.Go(func() {
		if err := h.server.Run(serving); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stopServing()
		answering.Wait()
		stop()
		running.Wait()
		must(t, errors.Join(audit.Close(), os.RemoveAll(dir)))
	})
	must(t, h.sw.Configure(ctx, configs))
	for name := range configs {
		h.pools(t, name, switcher.Pools{
			Blue:  []switcher.Upstream{{Address: "10.0.0.1:80"}, {Address: "10.0.0.2:80"}},
			Green: []switcher.Upstream{{Address: "10.0.1.1:80"}, {Address: "10.0.1.2:80"}},
		})
	}
	return h
}

// pools sets pools, all of them healthy.
func (h *house) pools(t *testing.T, name string, pools switcher.Pools) {
	t.Helper()
	endpoints, err := h.sw.SetPools(context.Background(), name, pools)
	must(t, err)
	for _, e := range endpoints {
		h.sw.SetHealth(e, switcher.Health{Healthy: true, Known: true})
	}
}

// busy counts one exchange on a color until release is called.
func (h *house) busy(t *testing.T, name string) (release func()) {
	t.Helper()
	lease, ok := h.sw.Service(name).Acquire(0)
	if !ok {
		t.Fatal("no lease")
	}
	return sync.OnceFunc(lease.Release)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ran is what came of a command line.
type ran struct {
	out, errs string
	exit      int
}

// run runs a command line against h to its end.
func (h *house) run(t *testing.T, args ...string) ran {
	t.Helper()
	return h.start(t, args...).wait()
}

// running is a command line that has not ended yet.
type running struct {
	out, errs *output
	interrupt context.CancelFunc
	done      chan int
}

func (h *house) start(t *testing.T, args ...string) *running {
	t.Helper()
	t.Setenv("GREENROOM_SOCKET", h.socket)
	r := &running{out: newOutput(), errs: newOutput(), done: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	r.interrupt = cancel
	t.Cleanup(cancel)
	root := newRoot(nil, r.out, r.errs, args)
	go func() { r.done <- exitCodeOf(root.ExecuteContext(ctx)) }()
	return r
}

func (r *running) wait() ran {
	code := <-r.done
	return ran{r.out.String(), r.errs.String(), code}
}

// newRoot builds the commands as Caddy does.
func newRoot(in io.Reader, out, errs io.Writer, args []string) *cobra.Command {
	root := &cobra.Command{Use: "greenroom", SilenceUsage: true}
	for _, c := range commands() {
		of := c.caddy()
		cmd := &cobra.Command{Use: of.Name + " " + of.Usage, Short: of.Short, Long: of.Long}
		of.CobraFunc(cmd)
		root.AddCommand(cmd)
	}
	audit := &cobra.Command{Use: "audit"}
	auditCommand().CobraFunc(audit)
	root.AddCommand(audit)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	root.SetArgs(args)
	return root
}

// exitCodeOf does what caddycmd.Main does with an error.
func exitCodeOf(err error) int {
	if err == nil {
		return 0
	}
	if code := reflect.Indirect(reflect.ValueOf(err)).FieldByName("ExitCode"); code.IsValid() {
		return int(code.Int())
	}
	return 1
}

// output is a buffer that can be waited on.
type output struct {
	mu      sync.Mutex
	written *sync.Cond
	buf     bytes.Buffer // guarded by mu
}

func newOutput() *output {
	o := &output{}
	o.written = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.written.Broadcast()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// awaits blocks until text has been written.
func (o *output) awaits(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !strings.Contains(o.buf.String(), text) {
		o.written.Wait()
	}
}

// wants checks an ended command: its code, and words of what it printed.
func (r ran) wants(t *testing.T, exit int, out string, errs ...string) {
	t.Helper()
	if r.exit != exit || !strings.Contains(r.out, out) {
		t.Errorf("exit %d, want %d; wanted %q in:\n%s%s", r.exit, exit, out, r.out, r.errs)
	}
	for _, e := range errs {
		if !strings.Contains(r.errs, e) {
			t.Errorf("wanted %q on stderr:\n%s", e, r.errs)
		}
	}
}
