package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/bench/rig"
)

// flipper moves all traffic of a proxy to a color.
type flipper interface {
	// prepare does what is no part of the command.
	prepare(to byte) error
	// command returns when the proxy has acknowledged it.
	command(ctx context.Context, to byte) error
}

var colorNames = map[byte]string{blue: "blue", green: "green"}

// poster posts to a Unix socket, on a connection of its own each time, as the commands of an
// operator do.
type poster struct {
	socket, path string
	body         map[byte][]byte
	awaited      string // in the answer
}

func (p *poster) prepare(byte) error { return nil }

func (p *poster) command(ctx context.Context, to byte) error {
	client := unixClient(p.socket)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+p.path, bytes.NewReader(p.body[to]))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	body, err := askFor(client, r)
	if err == nil && !bytes.Contains(body, []byte(p.awaited)) {
		err = fmt.Errorf("%s: answered without %s: %.300q", p.path, p.awaited, body)
	}
	return err
}

func unixClient(socket string) *http.Client {
	return &http.Client{Timeout: rig.Patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}

func askFor(client *http.Client, r *http.Request) ([]byte, error) {
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.300q", r.URL.Path, res.StatusCode, body)
	}
	return body, err
}

func newGreenroomFlipper(ctx context.Context, _ backends, dir string) (flipper, error) {
	p := &poster{socket: filepath.Join(dir, controlSocket), path: "/v1/services/app/cutover", body: make(map[byte][]byte), awaited: `"changed":true`}
	for color, name := range colorNames {
		p.body[color] = fmt.Appendf(nil, `{"to":%q}`, name)
	}
	client := unixClient(p.socket)
	return p, rig.Until(ctx, "a cutover would go through", func() (bool, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v1/services/app/plan", bytes.NewReader(p.body[green]))
		if err != nil {
			return false, err
		}
		r.Header.Set("Content-Type", "application/json")
		body, err := askFor(client, r)
		return err == nil && !bytes.Contains(body, []byte(`"blocked"`)), err
	})
}

// newCaddyFlipper loads, for each color, the config that runs with that color's upstream.
func newCaddyFlipper(ctx context.Context, at backends, dir string) (flipper, error) {
	socket := rig.AdminSocket(dir)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/config/", nil)
	if err != nil {
		return nil, err
	}
	config, err := askFor(unixClient(socket), r)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(config, []byte(at.Blue)) {
		return nil, errors.New("its config does not name the upstream")
	}
	return &poster{socket: socket, path: "/load", body: map[byte][]byte{
		blue: config, green: bytes.ReplaceAll(config, []byte(at.Blue), []byte(at.Green)),
	}}, nil
}

// haproxyFlipper sets a map by the runtime API.
type haproxyFlipper struct{ socket, file string }

func newHAProxyFlipper(_ context.Context, _ backends, dir string) (flipper, error) {
	return haproxyFlipper{filepath.Join(dir, haproxySocket), filepath.Join(dir, haproxyMap)}, nil
}

func (f haproxyFlipper) prepare(byte) error { return nil }

func (f haproxyFlipper) command(ctx context.Context, to byte) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", f.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "set map %s app %s\n", f.file, colorNames[to]); err != nil {
		return err
	}
	said, err := io.ReadAll(conn)
	if err == nil && strings.TrimSpace(string(said)) != "" {
		err = fmt.Errorf("set map: %.300q", said)
	}
	return err
}

// nginxFlipper reloads a config in which the upstream is another.
type nginxFlipper struct {
	binary, dir string
	address     map[byte]string
}

func newNginxFlipper(binary string) func(context.Context, backends, string) (flipper, error) {
	return func(_ context.Context, at backends, dir string) (flipper, error) {
		return nginxFlipper{binary, dir, map[byte]string{blue: at.Blue, green: at.Green}}, nil
	}
}

func (f nginxFlipper) prepare(to byte) error { return writeNginxUpstream(f.dir, f.address[to]) }

func (f nginxFlipper) command(ctx context.Context, _ byte) error {
	out, err := exec.CommandContext(ctx, f.binary, "-p", f.dir, "-c", "nginx.conf", "-e", "stderr", "-s", "reload").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("nginx -s reload: %w: %.300q", err, out)
	}
	return err
}
