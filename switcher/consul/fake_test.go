package consul

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// fake is a Consul in memory, for what a real one cannot be made to do, and for
// the time of a synctest bubble. It answers blocking queries as the streaming
// backend does: no leader vouches for them.
type fake struct {
	mu       sync.Mutex
	changed  chan struct{}                               // closed with the next change; guarded by mu
	index    uint64                                      // guarded by mu
	entries  []*api.ServiceEntry                         // guarded by mu
	header   http.Header                                 // instead of the usual; guarded by mu
	instead  func(*http.Request) (*http.Response, error) // of an answer, if it returns one; guarded by mu
	requests []time.Time                                 // guarded by mu
	most     int                                         // requests open at once; guarded by mu
	open     int                                         // guarded by mu
	classic  bool                                        // the leader vouches for blocking queries, too; guarded by mu
	queries  []string                                    // guarded by mu
}

func newFake() *fake {
	return &fake{index: 100, changed: make(chan struct{}), header: http.Header{}}
}

// fakeClient asks f at the usual pace.
func fakeClient(t *testing.T, f *fake, c Config) *Client {
	t.Helper()
	client, err := NewClient(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	client.api, err = api.NewClient(&api.Config{
		Address: "consul.test", Token: hidden,
		HttpClient: &http.Client{Transport: f, Timeout: client.pace.timeout(MaxWait)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// change does something to the fake, and raises the index.
func (f *fake) change(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index++
	what()
	close(f.changed)
	f.changed = make(chan struct{})
}

// hosts makes the catalog hold these, which are blue.
func (f *fake) hosts(addresses ...string) {
	f.change(func() {
		f.entries = []*api.ServiceEntry{}
		for _, a := range addresses {
			f.entries = append(f.entries, entryAt(a))
		}
	})
}

func entryAt(address string) *api.ServiceEntry {
	return &api.ServiceEntry{
		Node:    &api.Node{Node: "n", Address: "10.9.9.9", Datacenter: "dc1"},
		Service: &api.AgentService{ID: "app-" + address, Service: "app", Address: address, Port: 9001, Tags: []string{"blue"}},
	}
}

// RoundTrip implements http.RoundTripper.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.requests = append(f.requests, time.Now())
	f.queries = append(f.queries, r.URL.RawQuery)
	f.open++
	f.most = max(f.most, f.open)
	instead := f.instead
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open--
	}()
	if instead != nil {
		if response, err := instead(r); response != nil || err != nil {
			return response, err
		}
	}
	index, _ := strconv.ParseUint(r.URL.Query().Get("index"), 10, 64)
	if index > 0 {
		wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
		if err != nil {
			return nil, err
		}
		if err := f.block(r, index, wait); err != nil {
			return nil, err
		}
	}
	return f.respond(index > 0)
}

func (f *fake) block(r *http.Request, index uint64, wait time.Duration) error {
	timer := time.NewTimer(wait + wait/16)
	defer timer.Stop()
	for {
		f.mu.Lock()
		now, changed := f.index, f.changed
		f.mu.Unlock()
		if now > index {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}

func (f *fake) respond(blocked bool) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := json.Marshal(f.entries)
	if err != nil {
		return nil, err
	}
	response := answerWith(http.StatusOK, string(body))
	response.Header.Set("X-Consul-Index", strconv.FormatUint(f.index, 10))
	response.Header.Set("X-Consul-KnownLeader", strconv.FormatBool(!blocked || f.classic))
	response.Header.Set("X-Consul-LastContact", "0")
	for key := range f.header {
		response.Header.Set(key, f.header.Get(key))
	}
	return response, nil
}

func answerWith(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: &http.Request{},
	}
}

// fails makes every answer from now on this one; with status 0 none comes.
func (f *fake) fails(status int, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = func(r *http.Request) (*http.Response, error) {
		if status == 0 {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return answerWith(status, body), nil
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// works ends what fails began.
func (f *fake) works() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = nil
}

// asked returns how many requests there were since.
func (f *fake) asked(since time.Time) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.requests {
		if !at.Before(since) {
			n++
		}
	}
	return n
}
