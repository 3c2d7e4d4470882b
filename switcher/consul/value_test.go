package consul

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

func TestAValueIsReadOrItIsSaidWhyNot(t *testing.T) {
	f := newFake()
	client := fakeClient(t, f, Config{})
	for _, c := range []struct {
		name, body string
		status     int
		leader     string
		want, says string
	}{
		{"there", `[{"Key":"app/schema","Value":"` + base64.StdEncoding.EncodeToString([]byte("14\n")) + `","ModifyIndex":9}]`, 200, "true", "14\n", ""},
		{"not there", ``, 404, "true", "", "key app/schema: Consul has none such"},
		{"forbidden", `Permission denied`, 403, "true", "", "app/schema"},
		{"without a leader", `[{"Key":"app/schema","Value":"MTQ=","ModifyIndex":9}]`, 200, "false", "", "no leader"},
		{"too long", `[{"Key":"app/schema","Value":"` + base64.StdEncoding.EncodeToString(make([]byte, maxValue+1)) + `","ModifyIndex":9}]`, 200, "true", "", "more than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.change(func() {
				f.instead = func(*http.Request) (*http.Response, error) {
					r := answerWith(c.status, c.body)
					r.Header.Set("X-Consul-Index", "100")
					r.Header.Set("X-Consul-KnownLeader", c.leader)
					r.Header.Set("X-Consul-LastContact", "0")
					return r, nil
				}
			})
			got, err := client.Value(t.Context(), "app/schema")
			if string(got) != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestAKeyIsNamesWithSlashes(t *testing.T) {
	for key, well := range map[string]bool{"app/schema": true, "schema": true, "": false, "/app": false, "a//b": false, "a/": false, strings.Repeat("x", 300): false} {
		if err := ValidateKey(key); (err == nil) != well {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestAValueOfARealConsulIsRead(t *testing.T) {
	server, key := consultest.Shared(t), uniqueName()+"/schema"
	client := testClient(t, Config{Address: server.Address})
	if _, err := client.Value(t.Context(), key); err == nil || !strings.Contains(err.Error(), "has none such") {
		t.Errorf("of a key that is not there: %v", err)
	}
	if _, err := server.API.KV().Put(&api.KVPair{Key: key, Value: []byte("14")}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Value(t.Context(), key); string(got) != "14" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
