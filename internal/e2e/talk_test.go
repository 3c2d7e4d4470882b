package e2e

//lint:file-ignore SA1019 the Transport of net/http refuses to send :protocol

import (
	"bytes"
	"context"
	"crypto/sha1" // what RFC 6455 §1.3 prescribes
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
)

// talker is one end of a WebSocket on which both say numbered messages of random
// sizes, some of them in several frames, until done; then each tells what it has
// said, and the other compares.
type talker struct {
	conn  *websocket.Conn
	every time.Duration // between two messages, about
	done  <-chan struct{}
	first func() // called when the first message has come; may be nil
}

// talk returns nil when both have heard all that was said, else why it ended.
func (k talker) talk(ctx context.Context) error {
	k.conn.SetReadLimit(1 << 20)
	ctx, stop := context.WithCancel(ctx)
	var saying sync.WaitGroup
	saying.Go(func() { k.say(ctx) })
	err := k.listen(ctx)
	if err != nil {
		stop()
	}
	saying.Wait()
	stop()
	return err
}

// say ignores that it fails: listen learns of it too.
func (k talker) say(ctx context.Context) {
	said := sha256.New()
	for n := uint64(0); ; n++ {
		select {
		case <-k.done:
			_ = k.conn.Write(ctx, websocket.MessageText, []byte(account(n, said)))
			return
		case <-ctx.Done():
			return
		default:
		}
		message := numbered(n)
		said.Write(message)
		if k.write(ctx, message) != nil {
			return
		}
		rest(ctx, k.every/2+rand.N(k.every))
	}
}

// write sends a message, one in four in up to five frames.
func (k talker) write(ctx context.Context, message []byte) error {
	if rand.N(4) > 0 {
		return k.conn.Write(ctx, websocket.MessageBinary, message)
	}
	w, err := k.conn.Writer(ctx, websocket.MessageBinary)
	if err != nil {
		return err
	}
	for range rand.N(4) {
		part := rand.N(len(message))
		if _, err := w.Write(message[:part]); err != nil {
			return err
		}
		message = message[part:]
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return w.Close()
}

func (k talker) listen(ctx context.Context) error {
	heard := sha256.New()
	for n := uint64(0); ; n++ {
		kind, message, err := k.conn.Read(ctx)
		if err != nil {
			return err
		}
		if kind == websocket.MessageText {
			if mine := account(n, heard); string(message) != mine {
				return fmt.Errorf("the other end said %q, but heard was %q", message, mine)
			}
			return nil
		}
		if err := isNumbered(message, n); err != nil {
			return err
		}
		heard.Write(message)
		if n == 0 && k.first != nil {
			k.first()
		}
	}
}

func account(n uint64, sum hash.Hash) string { return fmt.Sprintf("%d %x", n, sum.Sum(nil)) }

// numbered makes the n-th message: a number, a body of random length, its hash.
func numbered(n uint64) []byte {
	body := fmt.Appendf(nil, "%020d", n)
	body = append(body, bytes.Repeat([]byte{byte(n)}, rand.N(1+rand.N(12<<10)))...)
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

func isNumbered(message []byte, n uint64) error {
	at := len(message) - sha256.Size
	if at < 20 || sha256.Sum256(message[:at]) != [sha256.Size]byte(message[at:]) {
		return fmt.Errorf("message %d of %d bytes is not whole", n, len(message))
	}
	if got := string(message[:20]); got != fmt.Sprintf("%020d", n) {
		return fmt.Errorf("message %s came where %d was due", got, n)
	}
	return nil
}

// rest paces traffic; nothing depends on how long it is.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// tornConn tears some of its writes in two, so that frames come in pieces that
// are some time apart.
type tornConn struct{ net.Conn }

func (c tornConn) Write(p []byte) (int, error) {
	if len(p) < 2 || rand.N(3) > 0 {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:1+rand.N(len(p)-1)])
	if err != nil {
		return n, err
	}
	rest(context.Background(), rand.N(50*time.Millisecond))
	m, err := c.Conn.Write(p[n:])
	return n + m, err
}

type tornListener struct{ net.Listener }

func (l tornListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tornConn{c}, nil
}

// tornClient is a client over HTTP/1.1 whose connections are torn.
func tornClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return tornConn{c}, nil
		},
	}}
}

// extended turns a WebSocket's upgrade into an extended CONNECT over HTTP/2
// (RFC 8441), and its answer back.
type extended struct{ h2 *http2.Transport }

func extendedClient() *http.Client {
	return &http.Client{Transport: extended{&http2.Transport{TLSClientConfig: insecure()}}}
}

func (t extended) RoundTrip(r *http.Request) (*http.Response, error) {
	key := r.Header.Get("Sec-Websocket-Key")
	body, out := io.Pipe()
	connect := (&http.Request{
		Method: http.MethodConnect, URL: r.URL, Host: r.Host, Body: body,
		Header: http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}},
	}).WithContext(r.Context())
	res, err := t.h2.RoundTrip(connect)
	if err != nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	res.StatusCode = http.StatusSwitchingProtocols
	res.Header.Set("Connection", "Upgrade")
	res.Header.Set("Upgrade", "websocket")
	res.Header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	res.Body = bothWays{res.Body, out}
	return res, nil
}

// bothWays is a stream of HTTP/2.
type bothWays struct {
	io.ReadCloser
	out *io.PipeWriter
}

func (b bothWays) Write(p []byte) (int, error) { return b.out.Write(p) }

func (b bothWays) Close() error {
	_ = b.out.Close()
	return b.ReadCloser.Close()
}
