package consultest

import (
	"testing"

	"github.com/hashicorp/consul/api"
)

// Put writes a key, as "consul kv put" does, and returns its ModifyIndex.
func (s *Server) Put(t testing.TB, key, value string) uint64 {
	t.Helper()
	if _, err := s.API.KV().Put(&api.KVPair{Key: key, Value: []byte(value)}, nil); err != nil {
		t.Fatal(err)
	}
	pair, _, err := s.API.KV().Get(key, nil)
	if err != nil || pair == nil {
		t.Fatalf("key %s was written, and is not there: %v", key, err)
	}
	return pair.ModifyIndex
}
