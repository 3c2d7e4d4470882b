package handover

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// Conn is a conversation of two processes: JSON documents, one a line, in turns.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
	part []byte // of a document whose end has not come yet
}

// maxLine bounds one document.
const maxLine = 16 << 20

func newConn(f *os.File) (*Conn, error) {
	c, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return NewConn(c), nil
}

// NewConn returns a conversation over c.
func NewConn(c net.Conn) *Conn { return &Conn{conn: c, in: bufio.NewReaderSize(c, 64<<10)} }

// pair returns one end, and the other as a file for a new process.
func pair() (*Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("a pair of sockets: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "handover")
	ours, err := newConn(os.NewFile(uintptr(fds[0]), "handover"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// Send says v. It fails if the other does not take it within patience; the
// conversation is then at its end.
func (c *Conn) Send(v any, patience time.Duration) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = c.conn.Write(append(line, '\n'))
	return err
}

// Receive waits for what the other says; 0 waits for as long as it lives. What
// comes after patience has ended is what the next Receive gets.
func (c *Conn) Receive(v any, patience time.Duration) error {
	var deadline time.Time
	if patience > 0 {
		deadline = time.Now().Add(patience)
	}
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	for {
		part, err := c.in.ReadSlice('\n')
		c.part = append(c.part, part...)
		switch {
		case len(c.part) > maxLine:
			return errors.New("a document of the other process is too long")
		case err == nil:
			line := c.part
			c.part = nil
			return json.Unmarshal(line, v)
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// Close ends the conversation.
func (c *Conn) Close() error { return c.conn.Close() }
