package healthcheck

import (
	"context"
	"crypto/tls"
)

// TCP passes when a connection opens. That proves a listening socket and
// little more: the kernel accepts for a process that hangs. The zero value
// speaks plaintext.
type TCP struct {
	// TLS, if not nil, adds a handshake. Its ServerName defaults to the
	// address's host. Default: nil, plaintext.
	TLS *tls.Config
}

var _ Probe = TCP{}

// Probe opens a connection and closes it.
func (p TCP) Probe(ctx context.Context, address string) error {
	return attempt(ctx, func(ctx context.Context) error {
		target, err := parseAddress(address)
		if err != nil {
			return err
		}
		conn, err := target.dialTLS(ctx, p.TLS, target.host)
		if err != nil {
			return err
		}
		conn.Close() // it has proved what it had to; a failing close proves nothing
		return nil
	})
}

func (p TCP) String() string {
	if p.TLS != nil {
		return "tcp+tls"
	}
	return "tcp"
}
