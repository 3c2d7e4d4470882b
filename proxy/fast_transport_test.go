package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// borrower is a connection to an upstream on which, with each write, others borrow
// copy buffers and write into them: as other exchanges can at any time.
type borrower struct{ net.Conn }

func (b borrower) Write(p []byte) (int, error) {
	for range 4 { // or it could be that a buffer which has just been lent on waits behind others
		other := copyBuffers.Get().(*[copyBufferSize]byte)
		defer copyBuffers.Put(other)
		copy(other[:], bytes.Repeat([]byte{'!'}, copyBufferSize))
	}
	return b.Conn.Write(p)
}

// ebbing is a body whose pieces are read as they are.
type ebbing struct{ pieces [][]byte }

func (e *ebbing) Read(p []byte) (int, error) {
	if len(e.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.pieces[0])
	if e.pieces[0] = e.pieces[0][n:]; len(e.pieces[0]) == 0 {
		e.pieces = e.pieces[1:]
	}
	return n, nil
}

func (*ebbing) Close() error { return nil }

func TestThePieceOfAnUploadThatIsBeingSentIsInNoBufferThatOthersBorrow(t *testing.T) {
	// Each time a copy buffer is borrowed, and given back as the flow ebbs.
	body := new(ebbing)
	for i := range 50 {
		for _, n := range []int{idleBufferSize, copyBufferSize, idleBufferSize - 1, 1} {
			body.pieces = append(body.pieces, bytes.Repeat([]byte{byte('a' + i%26)}, n))
		}
	}
	want := bytes.Join(body.pieces, nil)
	got := make(chan []byte, 1)
	addr := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		all := make([]byte, len(want))
		n, _ := io.ReadFull(br, all)
		got <- all[:n]
		send(t, c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	tr := newFastTransport(transport(t, nil), new(Forwarding))
	t.Cleanup(tr.CloseIdleConnections)
	tr.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return borrower{c}, err
	}
	r, err := http.NewRequest(http.MethodPut, "http://"+addr+"/", body)
	must(t, err)
	r.ContentLength = int64(len(want))
	res, err := tr.RoundTrip(r)
	must(t, err)
	res.Body.Close()
	sent := receive(t, got)
	equal(t, "bytes", len(sent), len(want))
	if n := bytes.Count(sent, []byte{'!'}); n > 0 || !bytes.Equal(sent, want) {
		t.Errorf("%d bytes of what was sent are another's", n)
	}
}

func TestABodyThatIsNotAsLongAsAnnouncedEndsTheExchange(t *testing.T) {
	addr := rawUpstream(t, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) }) // it waits for the rest
	tr := newFastTransport(transport(t, nil), new(Forwarding))
	t.Cleanup(tr.CloseIdleConnections)
	for what, body := range map[string]string{"less": "12345", "more": "12345678901"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+addr+"/", io.NopCloser(strings.NewReader(body)))
		must(t, err)
		r.ContentLength = 10
		res, err := tr.RoundTrip(r)
		if err == nil {
			res.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), what+" content than") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}
