package stage

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

// instances is how many a color has.
const instances = 2

// Deploy replaces what a color runs by instances of a version, which register in
// Consul. It returns when they answer; that they take no traffic until
// Greenroom's own probes know them is Greenroom's business.
func (s *Stage) Deploy(ctx context.Context, color, version string) error {
	s.Retire(color)
	ports, err := realserver.Ports(instances)
	if err != nil {
		return err
	}
	for n, port := range ports {
		id, address := fmt.Sprintf("%s-%s-%d", color, version, n+1), fmt.Sprintf("127.0.0.1:%d", port)
		one, err := s.start(id, s.Platform, []string{
			"app", "-version", version, "-color", color, "-listen", address, "-instance", id,
		}, s.env...)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.colors[color] = append(s.colors[color], one)
		s.mu.Unlock()
		if err := one.until(ctx, func() error { _, err := get(ctx, "http://"+address+"/healthz"); return err }); err != nil {
			return err
		}
	}
	return nil
}

// Retire ends a color's instances, which take themselves out of Consul. It is for
// a color that Greenroom says is safe to stop.
func (s *Stage) Retire(color string) {
	s.mu.Lock()
	gone := s.colors[color]
	delete(s.colors, color)
	s.mu.Unlock()
	for _, one := range gone {
		s.forget(one)
		one.stop()
	}
}

// get asks a server, and fails if it answers 400 and above.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(said)))
	}
	return string(said), err
}
