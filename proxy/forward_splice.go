package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/internal/resume"
)

// Bodies of some size that come over plain TCP and go out over plain TCP are moved
// by the kernel (splice(2), on Linux). It happens in pieces, so that the ledger
// knows how far a body is, and that Caddy's idle timeout is measured as for writes:
// a client that takes nothing of a piece in that time is cut.
const (
	spliceLeast  = 128 << 10 // of a body, or what is left of it, for the trouble
	slowPiece    = 64 << 10  // as much as Caddy writes at a time
	firstPiece   = 256 << 10
	fastestPiece = 4 << 20
	// fastPace is that of a client whose pieces may grow: it takes the largest
	// within a fraction of any sensible timeout.
	fastPace = 1 << 20 // bytes per second
)

// splicer moves a response's body to its client. The zero value cannot.
type splicer struct {
	to    io.ReaderFrom // net/http's own writer; nil: there is no way
	idle  *caddyhttp.IdleTimeoutWriter
	piece int64
}

// spliceable is a body whose bytes somebody else may take from its connection.
type spliceable interface {
	// bulk has what was read ahead, which comes first, and the connection;
	// left is how much there is in all. nil: there is only Read.
	bulk() (ahead []byte, from *net.TCPConn, left int64)
	// took says that n bytes have been taken.
	took(n int64)
}

// newSplicer looks for a way to the client's connection past writers that do nothing
// but what is done here too. A writer that changes, counts or keeps what is written
// is not passed.
func newSplicer(w http.ResponseWriter, r *http.Request) splicer {
	s := splicer{piece: firstPiece}
	if r.ProtoMajor != 1 || r.TLS != nil || r.Method == http.MethodHead {
		return s
	}
	for {
		switch known := w.(type) {
		case *caddyhttp.IdleTimeoutWriter:
			if known.Deadline.MinRate > 0 || known.MaxChunk != caddyhttp.DefaultMaxWriteChunk {
				return s // the server is to be strict, or was told otherwise
			}
			s.idle, w = known, known.ResponseWriter
			continue
		case interface{ Unwrap() http.ResponseWriter }:
			if reflect.TypeOf(w).String() == "*caddyhttp.readDeadlineWriter" {
				w = known.Unwrap()
				continue
			}
			return s
		}
		if reflect.TypeOf(w).String() == "*http.response" {
			s.to = w.(io.ReaderFrom)
		}
		return s
	}
}

// splice moves as much of body as can be moved. What is left, and what has become
// of the upstream, Read tells.
func (a *attempt) splice(s *splicer, body io.Reader, media *leakCount) (writeErr error) {
	for s.to != nil {
		from, reserve := body, int64(0)
		onward, resumes := body.(*resume.Body)
		if resumes {
			// The last bytes are for Read, which looks at what follows them.
			from, reserve = onward.Source(), 1
		}
		source, ok := from.(spliceable)
		if !ok {
			return nil
		}
		ahead, tcp, left := source.bulk()
		if tcp == nil || left < spliceLeast {
			return nil
		}
		var n int64
		if len(ahead) > 0 {
			var written int
			written, writeErr = a.w.Write(ahead)
			n = int64(written)
		} else if n, writeErr = s.move(tcp, left-reserve); n == 0 && writeErr == nil {
			return nil // Read will say why
		}
		source.took(n)
		if resumes {
			if err := onward.Took(n); err != nil {
				return err
			}
		}
		a.x.Sent(int(n))
		media.passed(int(n))
		if writeErr != nil {
			return writeErr
		}
	}
	return nil
}

// move moves a piece of at most left bytes. An error is the client's. The upstream's
// are not told: the next Read of it meets them. They are told apart by what a
// connection does afterwards: one that was reset or closed never takes a byte again.
func (s *splicer) move(from *net.TCPConn, left int64) (int64, error) {
	if s.idle != nil {
		if err := s.idle.FlushError(); err != nil { // which sets the deadline anew
			return 0, err
		}
	}
	piece := min(left, s.piece)
	begun := time.Now()
	n, err := s.to.ReadFrom(&io.LimitedReader{R: from, N: piece})
	s.piece = nextPiece(s.piece, n, time.Since(begun))
	if err != nil && connectionGone(err) {
		s.to = nil
		return n, nil
	}
	return n, err
}

// connectionGone reports whether err says that one of two connections is over. After
// any other, like a deadline, bytes may be lost between the two.
func connectionGone(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// nextPiece is how much to move at once to a client that has taken n bytes in a time.
func nextPiece(piece, n int64, took time.Duration) int64 {
	switch {
	case n < slowPiece:
		return piece
	case took <= time.Duration(n)*time.Second/fastPace:
		return min(2*piece, fastestPiece)
	}
	return slowPiece
}
