package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// feed answers every call with numbered messages for ever.
type feed struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (feed) StreamingOutputCall(_ *grpc_testing.StreamingOutputCallRequest, stream grpc_testing.TestService_StreamingOutputCallServer) error {
	for n := uint64(0); ; n++ {
		body := numbered(n)
		if n%8 == 7 { // longer than any buffer on its way
			body = append(body, make([]byte, 200<<10)...)
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: body}}); err != nil {
			return err
		}
		rest(stream.Context(), rand.N(20*time.Millisecond))
	}
}

// follow reads messages until the call ends, and returns how.
func follow(ctx context.Context, conn *grpc.ClientConn, heard func()) error {
	stream, err := grpc_testing.NewTestServiceClient(conn).StreamingOutputCall(ctx, new(grpc_testing.StreamingOutputCallRequest))
	if err != nil {
		return err
	}
	for n := uint64(0); ; n++ {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		body := message.GetPayload().GetBody()
		if n%8 == 7 {
			if len(body) < 200<<10 {
				return fmt.Errorf("message %d has %d bytes", n, len(body))
			}
			body = body[:len(body)-200<<10]
		}
		if err := isNumbered(body, n); err != nil {
			return err
		}
		if n == 20 {
			heard()
		}
	}
}

func TestGRPCStreamsEndAsUnavailableAfterAWholeMessage(t *testing.T) {
	const count = 20
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, feed{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue %s
			green %s
			health tcp
			drain_timeout 500ms
			evict 20
			transport http {
				versions h2c 2
			}
		}`, listener.Addr(), newBackend(t, saying("green")).address))
	e.start()
	e.healthy()
	conn, err := grpc.NewClient("localhost:"+port(e.https), grpc.WithTransportCredentials(credentials.NewTLS(insecure())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	var heard atomic.Int64
	ends := make(chan error, count)
	for range count {
		go func() { ends <- follow(t.Context(), conn, func() { heard.Add(1) }) }()
	}
	e.until("all hear messages", func() bool {
		select {
		case err := <-ends:
			t.Fatalf("before anything was done: %v", err)
		default:
		}
		return heard.Load() == count
	})
	page, err := e.client().Streams(t.Context(), "app", switcher.StreamQuery{Kinds: []switcher.StreamKind{switcher.StreamGRPC}})
	if err != nil || page.Total != count {
		t.Errorf("%d calls are listed: %v", page.Total, err)
	}
	if _, err := e.client().Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: switcher.Green}); err != nil {
		t.Fatal(err)
	}
	for range count {
		// Of the trailers: one whose stream broke has this code too, but a
		// text of the client's own.
		if err := <-ends; status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "the service moves: try again" {
			t.Errorf("a call ended with %v", err)
		}
	}
	e.evicted(count)
}
