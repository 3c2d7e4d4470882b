package proxy

import (
	"errors"
	"io"
	"sync"
	"time"
)

// tunnel joins two connections until both directions have ended. It holds
// nothing of the request it came from, and costs two goroutines and a small
// buffer each while idle.
type tunnel struct {
	client, upstream io.ReadWriteCloser
	lanes            lanes
	// linger bounds one direction after the other has ended, lest a peer
	// that ignores the end keeps the exchange in-flight for ever.
	linger time.Duration
	finish func() // called once, when both directions have ended

	mu    sync.Mutex
	ended int         // guarded by mu; directions
	timer *time.Timer // guarded by mu
}

// start begins to copy both ways. ahead are bytes the client sent already.
func (t *tunnel) start(ahead []byte) {
	go t.run(&t.lanes.toUpstream, t.upstream, t.client, ahead)
	go t.run(&t.lanes.toClient, t.client, t.upstream, nil)
}

// cut ends both directions.
func (t *tunnel) cut(error) {
	_, _ = t.client.Close(), t.upstream.Close()
}

func (t *tunnel) run(l *lane, dst io.Writer, src io.Reader, ahead []byte) {
	err := copyAhead(l, ahead)
	if err == nil {
		err = pump(l, src)
	}
	l.Stop()
	if err == nil {
		err = closeWrite(dst)
	}
	if err != nil {
		t.lanes.stop()
		t.cut(err)
	}
	t.end()
}

// end counts a direction out; the last one closes what is left.
func (t *tunnel) end() {
	t.mu.Lock()
	t.ended++
	last := t.ended == 2
	if !last {
		t.timer = time.AfterFunc(t.linger, func() { t.cut(nil) })
	} else if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	if last {
		t.cut(nil)
		t.finish()
	}
}

func copyAhead(dst io.Writer, ahead []byte) error {
	if len(ahead) == 0 {
		return nil
	}
	_, err := dst.Write(ahead)
	return err
}

// closeWrite passes the end of one direction on and leaves the other open.
func closeWrite(dst io.Writer) error {
	if cw, ok := dst.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// pump copies until src ends (nil) or either side fails.
func pump(dst io.Writer, src io.Reader) error {
	var buffers loan
	defer buffers.giveBack()
	for {
		buf := buffers.buffer()
		n, err := src.Read(buf)
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		buffers.passed(n)
	}
}
