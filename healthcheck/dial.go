package healthcheck

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

// target is an address taken apart.
type target struct {
	network string // tcp, tcp4, tcp6 or unix
	address string // host:port, or a path
	host    string // without port or brackets; empty for unix
}

// ValidateAddress reports why address cannot be dialed, or nil.
func ValidateAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (target, error) {
	network, rest, found := strings.Cut(address, "/")
	if !found {
		network, rest = "tcp", address
	}
	switch network {
	case "unix":
		if rest == "" {
			return target{}, fmt.Errorf("address %q: no path", address)
		}
		return target{network: network, address: rest}, nil
	case "tcp", "tcp4", "tcp6":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return target{}, fmt.Errorf("address %q: want host:port", address)
		}
		if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
			return target{}, fmt.Errorf("address %q: bad port %q", address, port)
		}
		return target{network: network, address: rest, host: host}, nil
	}
	return target{}, fmt.Errorf("address %q: network %q, want tcp, tcp4, tcp6 or unix", address, network)
}

// authority is what HTTP says in Host and gRPC in :authority by default.
func (t target) authority() string {
	if t.network == "unix" {
		return "localhost"
	}
	return t.address
}

// dial opens a new connection; it is the caller's to close.
func (t target) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1} // it lives for one answer
	return dialer.DialContext(ctx, t.network, t.address)
}

// dialTLS is dial with a handshake. A nil config means plaintext; a config
// without a name gets serverName.
func (t target) dialTLS(ctx context.Context, config *tls.Config, serverName string) (net.Conn, error) {
	conn, err := t.dial(ctx)
	if err != nil || config == nil {
		return conn, err
	}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName = serverName
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	return secure, nil
}
