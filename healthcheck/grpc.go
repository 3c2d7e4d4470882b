package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// maxHealthMessage is generous: a HealthCheckResponse has two bytes.
const maxHealthMessage = 4 << 10

// GRPC passes when grpc.health.v1 answers SERVING. The zero value asks for the
// server as a whole, in plaintext.
type GRPC struct {
	// Service asked for, like "media.Catalog". Default: "", the whole server.
	Service string

	// TLS, if not nil, adds a handshake. Its ServerName defaults to the
	// address's host. Default: nil, plaintext.
	TLS *tls.Config
}

var _ Probe = GRPC{}

// Probe asks once.
func (p GRPC) Probe(ctx context.Context, address string) error {
	return attempt(ctx, func(ctx context.Context) error {
		target, err := parseAddress(address)
		if err != nil {
			return err
		}
		// Dialed here, not by the client, which would wrap the reason in its own words.
		conn, err := target.dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		client, err := grpc.NewClient("passthrough:///"+url.PathEscape(target.authority()), p.options(conn)...)
		if err != nil {
			return err
		}
		defer client.Close()
		request := &grpc_health_v1.HealthCheckRequest{Service: p.Service}
		response, err := grpc_health_v1.NewHealthClient(client).Check(ctx, request)
		if err != nil {
			return p.explain(err)
		}
		if got := response.GetStatus(); got != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("%s is %v, want SERVING", p.subject(), got)
		}
		return nil
	})
}

func (p GRPC) String() string {
	text := "grpc"
	if p.TLS != nil {
		text = "grpc+tls"
	}
	if p.Service != "" {
		text += " " + p.Service
	}
	return text
}

// options makes a client that uses conn and never another connection.
func (p GRPC) options(conn net.Conn) []grpc.DialOption {
	var used atomic.Bool
	security := insecure.NewCredentials()
	if p.TLS != nil {
		security = credentials.NewTLS(p.TLS)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errors.New("the connection was lost")
			}
			return conn, nil
		}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxHealthMessage)),
		grpc.WithUserAgent("greenroom-healthcheck"),
	}
}

func (p GRPC) subject() string {
	if p.Service == "" {
		return "server"
	}
	return fmt.Sprintf("service %q", p.Service)
}

// explain puts the status of a failed call into words.
func (p GRPC) explain(err error) error {
	switch s := status.Convert(err); s.Code() {
	case codes.NotFound:
		return fmt.Errorf("%s is unknown to grpc.health.v1", p.subject())
	case codes.Unimplemented:
		return errors.New("grpc.health.v1 is UNIMPLEMENTED")
	default:
		return fmt.Errorf("grpc %v: %s", s.Code(), s.Message())
	}
}
