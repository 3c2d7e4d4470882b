// Package registry is where instances of the app say that they are there: Consul's
// catalog, by the agent on the same machine.
package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Instance is one of the app.
type Instance struct {
	// ID is its own.
	ID string
	// Address is where it listens.
	Address netip.AddrPort
	// Color is the tag by which Greenroom puts it into a pool.
	Color string
	// Version is for people.
	Version string
}

// Agent is the address of Consul's agent, host:port.
type Agent string

// Register says that an instance is there, and has Consul look at its /healthz.
// Saying so again replaces what was said.
func (a Agent) Register(ctx context.Context, i Instance) error {
	return a.put(ctx, "register", map[string]any{
		"ID": i.ID, "Name": "app", "Address": i.Address.Addr().String(), "Port": i.Address.Port(),
		"Tags": []string{i.Color}, "Meta": map[string]string{"version": i.Version},
		"Check": map[string]any{
			"HTTP": "http://" + i.Address.String() + "/healthz", "Interval": "1s", "Timeout": "1s", "Status": "passing",
			// One that was killed takes itself off no list.
			"DeregisterCriticalServiceAfter": "1m",
		},
	})
}

// Deregister says that an instance goes.
func (a Agent) Deregister(ctx context.Context, id string) error {
	return a.put(ctx, "deregister/"+url.PathEscape(id), nil)
}

// patience is how long the agent, on the same machine, has to answer.
const patience = 5 * time.Second

func (a Agent) put(ctx context.Context, what string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+string(a)+"/v1/agent/service/"+what, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the agent of Consul: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status says enough
		return fmt.Errorf("the agent of Consul answers %s: %s", resp.Status, bytes.TrimSpace(said))
	}
	return nil
}
