package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// closing is a body that the server closes as soon as it was read, as it does
// when it begins to answer.
type closing struct{ rest *strings.Reader }

func (c closing) Read(p []byte) (int, error) {
	if c.rest.Len() == 0 {
		return 0, http.ErrBodyReadAfterClose
	}
	return c.rest.Read(p)
}

func TestABodyThatWasReadIsWholeThoughTheServerHasClosedIt(t *testing.T) {
	b := &requestBody{src: closing{strings.NewReader("hello")}, size: 5}
	equal(t, "body", readAll(t, b), "hello")
	_, err := b.release()
	must(t, err)
	_, err = b.Read(make([]byte, 1)) // by a transport that is late
	equal(t, "behind its end", err, io.EOF)
}
