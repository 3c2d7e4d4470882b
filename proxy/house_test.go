package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
	"github.com/greenroom-proxy/greenroom/internal/testcert"
	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// house is a Caddy with Greenroom in this process, of which there is one at a
// time.
type house struct {
	t     *testing.T
	dir   string
	http  string // address of the plaintext site
	https string // address of the site with TLS, HTTP/2 and HTTP/3
	admin string // address of Caddy's admin API

	secure  bool   // serve on https too
	globals string // more global options
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), http: freeAddress(t), https: freeAddress(t), admin: freeAddress(t)}
	t.Cleanup(func() {
		must(t, caddy.Stop())
		if t.Failed() {
			log := h.log()
			t.Logf("log:\n%s", log[max(0, len(log)-6000):])
		}
	})
	return h
}

// caddyfile is a config with the given inside of the option greenroom, and the
// given directives for each site.
func (h *house) caddyfile(greenroom, site string) string {
	text := fmt.Sprintf(`{
	admin %[1]s
	persist_config off
	storage file_system %[2]s/caddy
	skip_install_trust
	# TLS sites have a certificate: see testcert
	auto_https disable_redirects
	grace_period 1s
	log {
		output file %[2]s/log {
			roll_disabled
		}
		level DEBUG
	}
	%[3]s
	greenroom {
		state_dir %[2]s/state
		%[4]s
	}
}
http://%[5]s, http://next.example.com:%[6]s {
	%[7]s
}
`, h.admin, h.dir, h.globals, greenroom, h.http, portOf(h.http), site)
	if h.secure {
		cert, key, err := testcert.Write(h.dir)
		must(h.t, err)
		text += fmt.Sprintf("https://localhost:%s {\n\tbind 127.0.0.1\n\ttls %s %s\n\t%s\n}\n", portOf(h.https), cert, key, site)
	}
	return text
}

// services is the inside of the global option for the given services, with a
// control socket.
func (h *house) services(services string) string {
	return fmt.Sprintf("control {\n\tsocket %s\n}\n%s", h.socket(), services)
}

func (h *house) socket() string { return filepath.Join(h.dir, "control.sock") }

// load wants the config to run.
func (h *house) load(services, site string) {
	h.t.Helper()
	if err := h.try(h.caddyfile(h.services(services), site)); err != nil {
		h.t.Fatal(err)
	}
}

// try loads a config.
func (h *house) try(caddyfile string) error {
	config, err := adapt(caddyfile)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

func (h *house) client() *control.Client { return control.NewClient(h.socket()) }

func (h *house) view(service string) switcher.ServiceView {
	h.t.Helper()
	v, err := h.client().View(h.t.Context(), service)
	must(h.t, err)
	return v
}

// healthy waits until all upstreams of the services are healthy.
func (h *house) healthy(services ...string) {
	h.t.Helper()
	for _, name := range services {
		until(h.t, "all upstreams of "+name+" are healthy", func() bool {
			v := h.view(name)
			return v.Blue.Healthy == v.Blue.Total && v.Green.Healthy == v.Green.Total && v.Blue.Total+v.Green.Total > 0
		})
	}
}

func (h *house) cutover(service string, to switcher.Color) {
	h.t.Helper()
	_, err := h.client().Cutover(h.t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{service}}, To: to})
	must(h.t, err)
}

// log returns what has been logged.
func (h *house) log() string { return fileText(filepath.Join(h.dir, "log")) }

func fileText(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// answer is a response, read whole.
type answer struct {
	status int
	body   string
	header http.Header
}

// get asks the plaintext site, on a connection of its own.
func (h *house) get(path string, edit ...func(*http.Request)) answer {
	h.t.Helper()
	return ask(h.t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+h.http+path, edit...)
}

// ask makes a request, and again if its connection ends without an answer, as
// Caddy's do in a reload (see keepAsking).
func ask(t *testing.T, client *http.Client, url string, edit ...func(*http.Request)) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		must(t, err)
		for _, f := range edit {
			f(r)
		}
		res, err := client.Do(r)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			continue
		}
		must(t, err)
		defer res.Body.Close()
		return answer{res.StatusCode, readAll(t, res.Body), res.Header}
	}
}

// with sets a header field of a request.
func with(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
}

// saying is an upstream that answers with text.
func saying(t *testing.T, text string) string {
	return upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

// counting is an upstream that counts the requests it gets, without probes.
func counting(t *testing.T, h http.HandlerFunc) (address string, count *atomic.Int64) {
	count = new(atomic.Int64)
	return upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			count.Add(1)
			h(w, r)
		}
	}), count
}

// quickCheck is a health check that has its verdict soon.
const quickCheck = `health tcp {
	interval 100ms
	rise 1
	fall 1
}
`

// pair is a service with one upstream for each color.
func pair(name, blue, green string, options ...string) string {
	text := fmt.Sprintf("service %s {\n\tblue %s\n\tgreen %s\n\t%s", name, blue, green, quickCheck)
	for _, o := range options {
		text += "\t" + o + "\n"
	}
	return text + "}\n"
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// freeAddress is one on which nobody else listens until the test ends.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, release, err := realserver.Reserve()
	must(t, err)
	t.Cleanup(release)
	return address
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
