package proxy

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcServer echoes payloads; UnaryCall fails, with a trailer.
type grpcServer struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (grpcServer) EmptyCall(context.Context, *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	return &grpc_testing.Empty{}, nil
}

func (grpcServer) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-reason", "none"))
	return nil, status.Error(codes.FailedPrecondition, "not now")
}

func (grpcServer) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	// The head goes out before anything has come in.
	if err := stream.SendHeader(metadata.Pairs("x-ready", "yes")); err != nil {
		return err
	}
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			stream.SetTrailer(metadata.Pairs("x-done", "yes"))
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// grpcThroughFront returns a client that reaches a real server through f.
func grpcThroughFront(t *testing.T) (*front, grpc_testing.TestServiceClient) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, grpcServer{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)

	fw := transportForwarderOf(t, func(tr *reverseproxy.HTTPTransport) { must(t, tr.EnableH2C()) })
	f := newFront(t, fw, l.Addr().String()).start(t, frontH2C)
	conn, err := grpc.NewClient(f.addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return f, grpc_testing.NewTestServiceClient(conn)
}

func TestForwardGRPCCalls(t *testing.T) {
	f, client := grpcThroughFront(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := client.EmptyCall(ctx, &grpc_testing.Empty{})
	must(t, err)
	must(t, receive(t, f.results))
}

func TestForwardGRPCAnswersOfTrailersOnly(t *testing.T) {
	f, client := grpcThroughFront(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var trailer metadata.MD
	_, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, grpc.Trailer(&trailer))
	equal(t, "code", status.Code(err), codes.FailedPrecondition)
	equal(t, "message", status.Convert(err).Message(), "not now")
	equal(t, "trailers", len(trailer.Get("x-reason")), 1)
	must(t, receive(t, f.results))
}

func TestForwardGRPCStreamsBothWaysAtOnce(t *testing.T) {
	f, client := grpcThroughFront(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	must(t, err)
	head, err := stream.Header() // comes with nothing sent
	must(t, err)
	equal(t, "x-ready", len(head.Get("x-ready")), 1)
	echoes(t, stream)
	equal(t, "x-done", len(stream.Trailer().Get("x-done")), 1)
	must(t, receive(t, f.results))
}

func TestForwardGRPCCancelReachesTheServer(t *testing.T) {
	f, client := grpcThroughFront(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	must(t, err)
	_, err = stream.Header()
	must(t, err)
	cancel()
	if err := receive(t, f.results); err == nil {
		t.Error("a canceled stream ended as if whole")
	}
}

// echoes sends two messages, one after the answer to the other, and wants the
// stream to end with them.
func echoes(t *testing.T, stream grpc_testing.TestService_FullDuplexCallClient) {
	t.Helper()
	for _, text := range []string{"one", "two"} {
		must(t, stream.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(text)}}))
		in, err := stream.Recv()
		must(t, err)
		equal(t, "echo", string(in.GetPayload().GetBody()), text)
	}
	must(t, stream.CloseSend())
	_, err := stream.Recv()
	equal(t, "end", err, io.EOF)
}
