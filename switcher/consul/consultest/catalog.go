package consultest

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// Instance is one instance of a service, as a catalog knows it.
type Instance struct {
	Service, ID string
	// Address; if empty that of the node stands for it.
	Address string
	Port    int
	Tags    []string
	Meta    map[string]string
	// Weight of a passing instance, 1 if 0; Warning of one that warns.
	Weight, Warning int
	// Status of the instance's only check: "passing", "warning" or
	// "critical"; none if empty.
	Status string
	// Node is where it runs, "edge-test" if empty; NodeAddress is 10.9.9.9
	// if empty.
	Node, NodeAddress string
}

// Apply registers and deregisters instances, all in one transaction of at most
// 64 instances.
func (s *Server) Apply(t testing.TB, register, deregister []Instance) {
	t.Helper()
	var ops api.TxnOps
	for _, i := range register {
		ops = append(ops, i.node(api.NodeSet), i.service(api.ServiceSet))
		if i.Status != "" {
			ops = append(ops, i.check())
		}
	}
	for _, i := range deregister {
		ops = append(ops, i.service(api.ServiceDelete))
	}
	ok, response, _, err := s.API.Txn().Txn(ops, nil)
	if err != nil || !ok {
		t.Fatalf("consultest: the catalog refused: %v %v", err, response)
	}
}

// Register adds or changes one instance.
func (s *Server) Register(t testing.TB, i Instance) { t.Helper(); s.Apply(t, []Instance{i}, nil) }

// Deregister removes one instance, known by service, id and node.
func (s *Server) Deregister(t testing.TB, i Instance) { t.Helper(); s.Apply(t, nil, []Instance{i}) }

func (i Instance) nodeName() string {
	if i.Node == "" {
		return "edge-test"
	}
	return i.Node
}

func (i Instance) node(verb api.NodeOp) *api.TxnOp {
	address := i.NodeAddress
	if address == "" {
		address = "10.9.9.9"
	}
	return &api.TxnOp{Node: &api.NodeTxnOp{Verb: verb, Node: api.Node{Node: i.nodeName(), Address: address}}}
}

func (i Instance) service(verb api.ServiceOp) *api.TxnOp {
	return &api.TxnOp{Service: &api.ServiceTxnOp{Verb: verb, Node: i.nodeName(), Service: api.AgentService{
		ID: i.Service + "-" + i.ID, Service: i.Service, Address: i.Address, Port: i.Port, Tags: i.Tags, Meta: i.Meta,
		Weights: api.AgentWeights{Passing: max(i.Weight, 1), Warning: i.Warning},
	}}}
}

func (i Instance) check() *api.TxnOp {
	return &api.TxnOp{Check: &api.CheckTxnOp{Verb: api.CheckSet, Check: api.HealthCheck{
		Node: i.nodeName(), CheckID: i.Service + "-" + i.ID, Name: "test", Status: i.Status, ServiceID: i.Service + "-" + i.ID,
	}}}
}

// Policy makes or changes an ACL policy with rules, as `service_prefix "" {
// policy = "read" }`.
func (s *Server) Policy(t testing.TB, name, rules string) {
	t.Helper()
	policy := &api.ACLPolicy{Name: name, Rules: rules}
	if old, _, err := s.API.ACL().PolicyReadByName(name, nil); err == nil && old != nil {
		policy.ID = old.ID
		if _, _, err := s.API.ACL().PolicyUpdate(policy, nil); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, _, err := s.API.ACL().PolicyCreate(policy, nil); err != nil {
		t.Fatal(err)
	}
}

// NewToken makes a token with policies, and returns its secret.
func (s *Server) NewToken(t testing.TB, policies ...string) string {
	t.Helper()
	return s.token(t, 0, policies)
}

// BriefToken is NewToken, of a token that expires as soon as Consul lets one:
// after a minute.
func (s *Server) BriefToken(t testing.TB, policies ...string) string {
	t.Helper()
	return s.token(t, time.Minute, policies)
}

func (s *Server) token(t testing.TB, ttl time.Duration, policies []string) string {
	t.Helper()
	token := &api.ACLToken{ExpirationTTL: ttl}
	for _, name := range policies {
		token.Policies = append(token.Policies, &api.ACLLink{Name: name})
	}
	made, _, err := s.API.ACL().TokenCreate(token, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made.SecretID
}

// DeleteToken deletes the token with this secret.
func (s *Server) DeleteToken(t testing.TB, secret string) {
	t.Helper()
	self, _, err := s.API.ACL().TokenReadSelf(&api.QueryOptions{Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.ACL().TokenDelete(self.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
}
