package origin

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// buffers are large, because each read of that size goes past the buffer of
// the connection, and each write past those of the server.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// Forward answers r with the object, without a cache: Range and conditions go
// to the origin as they are, and 206, 304, 412 and 416 come back as they are.
// edit, if not nil, may change the status and the fields of the response before
// they are sent.
//
// An error that wraps ErrHeadSent means that the client must be cut. After any
// other nothing has been written: it is that of r's context if that has ended,
// else an *Error, whose Status is to be answered.
func (b Object) Forward(w http.ResponseWriter, r *http.Request, edit func(*http.Response)) error {
	res, err := b.Fetch(r.Context(), r.Method, r.Header)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if edit != nil {
		edit(res)
	}
	header := w.Header()
	for name, values := range res.Header {
		header[name] = values
	}
	w.WriteHeader(res.StatusCode)
	if res.Body == http.NoBody {
		return nil
	}
	return pump(w, res)
}

// pump copies the body. What is of unknown length may be live, and is flushed.
func pump(w http.ResponseWriter, res *http.Response) error {
	controller := http.NewResponseController(w)
	live := res.ContentLength < 0
	buffer := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buffer)
	for {
		n, err := res.Body.Read(buffer[:])
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return fmt.Errorf("%w: writing to the client: %w", ErrHeadSent, err)
			}
			if live {
				_ = controller.Flush() // unsupported, it comes later
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrHeadSent, err)
		}
	}
}
