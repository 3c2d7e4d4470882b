package media

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
)

func TestACacheThatNoConfigHasEndsWithItsLastRequest(t *testing.T) {
	c, err := openCell(new(Cache), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	closed := func() bool {
		_, err := c.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), cache.Request{Key: "a"})
		return errors.Is(err, cache.ErrClosed)
	}
	if !c.take() || !c.take() {
		t.Fatal("a new cache is not to be used")
	}
	c.give()
	if err := c.Destruct(); err != nil {
		t.Fatal(err)
	}
	if c.take() {
		t.Error("it is used for another request after its end")
	}
	c.mu.Lock()
	users := c.users
	c.mu.Unlock()
	if users != 1 {
		t.Errorf("%d users", users)
	}
	c.give()
	if !closed() {
		t.Error("it is not closed after its last request")
	}
}
