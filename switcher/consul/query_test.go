package consul

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// asked is what one request asked for, as far as it is a matter of config.
func asked(u *url.URL) string {
	q := u.Query()
	for _, key := range []string{"index", "wait", "passing", "recurse"} {
		q.Del(key)
	}
	return u.Path + "?" + q.Encode()
}

// Namespaces and partitions are Consul Enterprise's; a server of the Community
// Edition refuses them.
func TestAQueryIsAskedWhereTheConfigSays(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = asked(r.URL)
		_ = json.NewEncoder(w).Encode([]any{})
	}))
	defer server.Close()
	plain := testClient(t, Config{Address: server.URL})
	placed := testClient(t, Config{Address: server.URL, Datacenter: "dc2", Namespace: "media", Partition: "edge"})
	for _, c := range []struct {
		client *Client
		query  Query
		want   string
	}{
		{plain, Query{}, "/v1/health/service/app?"},
		{plain, Query{Tag: "live"}, "/v1/health/service/app?tag=live"},
		{plain, Query{Datacenter: "dc3"}, "/v1/health/service/app?dc=dc3"},
		{plain, Query{Namespace: "web"}, "/v1/health/service/app?ns=web"},
		{plain, Query{Partition: "west"}, "/v1/health/service/app?partition=west"},
		{plain, Query{Near: "_agent"}, "/v1/health/service/app?near=_agent"},
		{plain, Query{Filter: `Service.Meta.zone == "a"`}, "/v1/health/service/app?filter=Service.Meta.zone+%3D%3D+%22a%22"},
		{placed, Query{}, "/v1/health/service/app?dc=dc2&ns=media&partition=edge"},
		{placed, Query{Datacenter: "dc3", Namespace: "web", Partition: "west"}, "/v1/health/service/app?dc=dc3&ns=web&partition=west"},
	} {
		c.query.Service = "app"
		if _, _, err := c.query.ask(c.client.api, sightless()); err != nil || got != c.want {
			t.Errorf("%+v: asked %s, want %s; %v", c.query, got, c.want, err)
		}
	}
	const where = "?dc=dc2&ns=media&partition=edge"
	_, _ = placed.readKey(t.Context(), "greenroom/app/state", time.Second)
	if got != "/v1/kv/greenroom/app/state"+where {
		t.Errorf("read %s", got)
	}
	_ = placed.writeKey(t.Context(), "greenroom/app/status/edge-1", nil, time.Second)
	if got != "/v1/kv/greenroom/app/status/edge-1"+where {
		t.Errorf("wrote %s", got)
	}
	_, _ = placed.swapKey(t.Context(), "greenroom/app/state", nil, 0, time.Second)
	if got != "/v1/txn"+where {
		t.Errorf("swapped %s", got)
	}
}
