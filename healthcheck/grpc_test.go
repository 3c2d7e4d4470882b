package healthcheck

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func serveGRPC(t *testing.T, l net.Listener, service grpc_health_v1.HealthServer, options ...grpc.ServerOption) {
	t.Helper()
	server := grpc.NewServer(options...)
	if service != nil {
		grpc_health_v1.RegisterHealthServer(server, service)
	}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })
}

func TestAGRPCProbePassesOnlyOnServing(t *testing.T) {
	service := health.NewServer()
	service.SetServingStatus("media.Player", grpc_health_v1.HealthCheckResponse_SERVING)
	service.SetServingStatus("media.Catalog", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	l := listen(t)
	serveGRPC(t, l, service)
	address := l.Addr().String()

	wantPass(t, GRPC{}, address)
	wantPass(t, GRPC{Service: "media.Player"}, "tcp/"+address)
	wantFailure(t, GRPC{Service: "media.Catalog"}, address, `service "media.Catalog" is NOT_SERVING, want SERVING`)
	wantFailure(t, GRPC{Service: "media.Other"}, address, `service "media.Other" is unknown to grpc.health.v1`)

	service.Shutdown()
	wantFailure(t, GRPC{}, address, "server is NOT_SERVING, want SERVING")
}

func TestAGRPCServerWithoutHealthServiceFails(t *testing.T) {
	l, address := listenUnix(t)
	serveGRPC(t, l, nil)
	wantFailure(t, GRPC{}, address, "grpc.health.v1 is UNIMPLEMENTED")
}

// hostile answers with the error it is told, or with too long a message.
type hostile struct {
	grpc_health_v1.UnimplementedHealthServer
	err error
}

func (h hostile) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	response := &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
	response.ProtoReflect().SetUnknown(append([]byte{0x7a, 0x80, 0x40}, make([]byte, 8<<10)...)) // field 15, 8 KiB
	return response, h.err
}

func TestWhatAHostileGRPCServerSaysIsEscapedAndBounded(t *testing.T) {
	l := listen(t)
	serveGRPC(t, l, hostile{})
	wantFailure(t, GRPC{}, l.Addr().String(), "grpc ResourceExhausted: grpc: received message larger than max (8197 vs. 4096)")

	l = listen(t)
	serveGRPC(t, l, hostile{err: status.Error(codes.Internal, "\x1b[2J\n"+strings.Repeat("x", 1000))})
	wantFailure(t, GRPC{}, l.Addr().String(), `grpc Internal: \x1b[2J\n`+strings.Repeat("x", maxText-24)+"…")
}

func TestAServerThatDoesNotSpeakGRPCFails(t *testing.T) {
	closed := closedAddress(t)
	wantFailure(t, GRPC{}, closed, "dial tcp "+closed+": connect: connection refused")
	for name, address := range map[string]string{
		"http/1": serveHTTP(t, answer(200, "ok")),
		"ssh":    serveRaw(t, func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-x\r\n") }),
		"closes": serveRaw(t, func(net.Conn) {}),
		"resets": serveRaw(t, reset),
	} {
		if err := check(t, GRPC{}, address); err == nil || !strings.HasPrefix(err.Error(), "grpc Unavailable: ") {
			t.Errorf("%s: %v, want grpc Unavailable", name, err)
		}
	}
}

// reset resets the connection.
func reset(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) }

func TestAGRPCProbeSpeaksTLSAndChecksTheName(t *testing.T) {
	lender := httptest.NewTLSServer(nil) // lends its certificate
	defer lender.Close()
	l := listen(t)
	serveGRPC(t, l, health.NewServer(), grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: lender.TLS.Certificates})))
	_, trust := serveTLS(t, nil)

	wantPass(t, GRPC{TLS: trust}, l.Addr().String())
	err := check(t, GRPC{TLS: &tls.Config{RootCAs: trust.RootCAs, ServerName: "other.test"}}, l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "failed to verify certificate") {
		t.Errorf("a wrong name gave %v", err)
	}
}
