package bucket_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put uses a ticket, and returns the status.
func put(t *testing.T, ticket bucket.Ticket, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), ticket.Method, ticket.URL, strings.NewReader(body))
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

func TestATicketIsGoodForOneObjectOfOneSize(t *testing.T) {
	b := fixture.Bucket(t)
	ticket, err := b.Ticket(t.Context(), "uploads/a", 5, time.Minute)
	must(t, err)
	if got := put(t, ticket, "too long"); got/100 != 4 {
		t.Errorf("a body of another size: %d", got)
	}
	other := ticket
	other.URL = strings.Replace(ticket.URL, "uploads/a", "uploads/b", 1)
	if got := put(t, other, "hello"); got/100 != 4 {
		t.Errorf("another object: %d", got)
	}
	if _, err := b.Head(t.Context(), "uploads/a"); !errors.Is(err, bucket.ErrNone) {
		t.Fatalf("there is an object: %v", err)
	}
	if got := put(t, ticket, "hello"); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	o, err := b.Head(t.Context(), "uploads/a")
	must(t, err)
	body, err := b.Get(t.Context(), "uploads/a")
	must(t, err)
	text, err := io.ReadAll(body)
	must(t, err)
	if string(text) != "hello" || o.Size != 5 {
		t.Errorf("%q, %+v", text, o)
	}
	must(t, b.Delete(t.Context(), "uploads/a"))
	must(t, b.Make(t.Context())) // it is there already
}

func TestATicketGoesThroughAnEdgeThatKeepsTheHost(t *testing.T) {
	c := fixture.BucketConfig(t)
	server, err := url.Parse(c.Endpoint)
	must(t, err)
	edge := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(server)
		r.Out.Host = r.In.Host
	}})
	defer edge.Close()
	c.Public = edge.URL
	b := bucket.New(c)
	must(t, b.Make(t.Context()))
	ticket, err := b.Ticket(t.Context(), "uploads/a", 5, time.Minute)
	must(t, err)
	if got := put(t, ticket, "hello"); !strings.HasPrefix(ticket.URL, edge.URL) || got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}

func TestKeysComeFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	var c bucket.Config
	for text, good := range map[string]bool{"id secret\n": true, "id": false, "": false, "a b c": false} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		err := c.Keys(file)
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "a b") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if c.Key != "id" || c.Secret != "secret" {
		t.Errorf("got %q", c.Key)
	}
}
