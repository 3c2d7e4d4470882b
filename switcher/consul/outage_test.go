package consul

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

const readAll = `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`

// acl is one server with ACLs for the tests below, and a token in a file.
type acl struct {
	*consultest.Server
	service, policy, secret, file string
}

func newACL(t *testing.T, server *consultest.Server) *acl {
	a := &acl{Server: server, service: uniqueName(), file: filepath.Join(t.TempDir(), "token")}
	a.policy = "policy-" + a.service
	a.Policy(t, a.policy, readAll)
	a.secret = a.NewToken(t, a.policy)
	a.write(t, a.secret)
	a.Apply(t, instances(a.service, switcher.Blue, 4), nil)
	a.Apply(t, instances(a.service, switcher.Green, 2), nil)
	return a
}

func (a *acl) write(t *testing.T, secret string) {
	t.Helper()
	if err := os.WriteFile(a.file+".new", []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(a.file+".new", a.file); err != nil {
		t.Fatal(err)
	}
}

// wantNothingLost checks that no pool ever told was smaller than these.
func wantNothingLost(t *testing.T, reports []switchertest.Report, blue, green int) {
	t.Helper()
	if b, g := smallest(reports); b < blue || g < green {
		t.Errorf("pools shrank to %d blue and %d green, want at least %d and %d", b, g, blue, green)
	}
}

// waitWords waits until the last report is a failure that says word.
func waitWords(t *testing.T, sink *switchertest.Sink, word string) {
	t.Helper()
	sink.Wait(t, "the words "+word, func(reports []switchertest.Report) bool {
		n := len(reports)
		return n > 0 && reports[n-1].Err != nil && bytes.Contains([]byte(reports[n-1].Err.Error()), []byte(word))
	})
}

func TestACLsAndTokens(t *testing.T) {
	server := consultest.Start(t, consultest.Options{ACL: true})
	for name, test := range map[string]func(*testing.T, *acl){
		"an ACL narrowed to nothing during a watch loses nothing":              narrowed,
		"a deleted token loses nothing, and another in the file recovers":      deleted,
		"a token that is rotated in its file is used at once":                  rotated,
		"a token file that vanishes leaves the last good token in use":         vanished,
		"an anonymous client that sees nothing has no pools, and says so":      anonymous,
		"an ACL narrowed before a restart keeps the pools of the last process": narrowedBefore,
	} {
		t.Run(name, func(t *testing.T) { test(t, newACL(t, server)) })
	}
}

func (a *acl) source(t *testing.T, c SourceConfig) *Source {
	c.Query.Service = a.service
	return NewSource(testClient(t, Config{Address: a.Address, TokenFile: a.file, Wait: switcher.Duration(time.Second)}), c)
}

func narrowed(t *testing.T, a *acl) {
	source := a.source(t, SourceConfig{Hold: switcher.Duration(time.Second), Reads: 1})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 4, 2)
	a.Policy(t, a.policy, `service "other" { policy = "read" }`)
	waitWords(t, sink, "ACLs filter the answer")
	since := time.Now()
	waitStatus(t, source, "reads beyond the hold", func(s Status) bool { return s.Answered.Sub(since) > 1500*time.Millisecond })
	if st := source.Status(); st.Held.Blue != 4 || st.Held.Green != 2 {
		t.Errorf("held %+v", st.Held)
	}
	a.Policy(t, a.policy, readAll)
	waitRecovery(t, sink, 4, 2)
	wantNothingLost(t, sink.Reports(), 4, 2)
}

func deleted(t *testing.T, a *acl) {
	source := a.source(t, SourceConfig{})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 4, 2)
	a.DeleteToken(t, a.secret)
	waitWords(t, sink, "answered 403")
	a.write(t, a.NewToken(t, a.policy))
	waitRecovery(t, sink, 4, 2)
	wantNothingLost(t, sink.Reports(), 4, 2)
	for _, r := range sink.Reports() {
		if r.Err != nil && bytes.Contains([]byte(r.Err.Error()), []byte(a.secret)) {
			t.Errorf("the secret is in %v", r.Err)
		}
	}
}

func rotated(t *testing.T, a *acl) {
	source := a.source(t, SourceConfig{})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 4, 2)
	a.write(t, a.NewToken(t, a.policy))
	more := instances(a.service, switcher.Green, 3)
	a.Apply(t, more, nil) // wakes; what follows is asked with the new token
	waitRecovery(t, sink, 4, 3)
	a.DeleteToken(t, a.secret)
	a.Apply(t, instances(a.service, switcher.Green, 4), nil)
	waitRecovery(t, sink, 4, 4)
	wantNothingLost(t, sink.Reports(), 4, 2)
}

func vanished(t *testing.T, a *acl) {
	var said lockedBuffer
	client, err := NewClient(Config{Address: a.Address, TokenFile: a.file}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	quick(client)
	sink, stop := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: a.service}}))
	defer stop()
	waitRecovery(t, sink, 4, 2)
	if err := os.Remove(a.file); err != nil {
		t.Fatal(err)
	}
	for n := 3; n < 6; n++ {
		a.Apply(t, instances(a.service, switcher.Green, n), nil)
		waitRecovery(t, sink, 4, n)
	}
	if text := said.String(); bytes.Count([]byte(text), []byte("the last one stays")) != 1 || bytes.Contains([]byte(text), []byte(a.secret)) {
		t.Errorf("logged: %s", text)
	}
}

func anonymous(t *testing.T, a *acl) {
	source := NewSource(testClient(t, Config{Address: a.Address}), SourceConfig{Query: Query{Service: a.service}})
	sink, _ := runSource(t, source)
	waitWords(t, sink, "ACLs filter the answer")
	if p, ok := lastPools(sink.Reports()); ok {
		t.Errorf("told pools: %v", p)
	}
}

func narrowedBefore(t *testing.T, a *acl) {
	sink, stop := runSource(t, a.source(t, SourceConfig{}))
	waitRecovery(t, sink, 4, 2)
	last, _ := lastPools(sink.Reports())
	stop()
	a.Policy(t, a.policy, `service "other" { policy = "read" }`)
	sink, _ = runSource(t, a.source(t, SourceConfig{Last: last}))
	waitWords(t, sink, "ACLs filter the answer")
	waitSizes(t, sink, 4, 2)
	a.Policy(t, a.policy, readAll)
	waitRecovery(t, sink, 4, 2)
	wantNothingLost(t, sink.Reports(), 4, 2)
}

func TestAServerThatIsKilledAndRestartedLosesNothing(t *testing.T) {
	server := consultest.Start(t, consultest.Options{Persistent: true})
	server.Apply(t, instances("app", switcher.Blue, 3), nil)
	source := NewSource(testClient(t, Config{Address: server.Address}), SourceConfig{Query: Query{Service: "app"}})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 3, 0)
	server.Kill(t)
	waitWords(t, sink, "connection refused")
	before := source.Status()
	server.Restart(t)
	ready := time.Now()
	waitRecovery(t, sink, 3, 0)
	t.Logf("recovered %s after Consul", time.Since(ready).Round(time.Millisecond))
	wantNothingLost(t, sink.Reports(), 3, 0)
	if after := source.Status(); !after.Answered.After(before.Answered) || before.Error == "" || after.Error != "" {
		t.Errorf("status was %+v, and is %+v", before, after)
	}
}

func TestAProcessThatStartsDuringAnOutageBeginsWithItsLastPools(t *testing.T) {
	server := consultest.Start(t, consultest.Options{})
	list := instances("app", switcher.Blue, 3)
	server.Apply(t, list, nil)
	server.Kill(t)
	last := switcher.Pools{Blue: []switcher.Upstream{{Address: "10.0.0.1:9001", Weight: 1}, {Address: "10.0.0.9:9001", Weight: 1}}}
	source := NewSource(testClient(t, Config{Address: server.Address}), SourceConfig{Query: Query{Service: "app"}, Last: last})
	sink, _ := runSource(t, source)
	waitWords(t, sink, "connection refused")
	if reports := sink.Reports(); !switchertest.SamePools(reports[0].Pools, last) || source.Status().Answered != (time.Time{}) {
		t.Errorf("told %v first; status %+v", reports[0], source.Status())
	}
	server.Restart(t)
	server.Apply(t, list, nil)
	sink.Wait(t, "the catalog's", func(reports []switchertest.Report) bool {
		p, ok := lastPools(reports)
		return ok && len(p.Blue) == 3 && p.Blue[2].Address == "10.0.0.3:9001"
	})
}

func TestAWipedCatalogIsHeldUntilItIsRestored(t *testing.T) {
	server := consultest.Start(t, consultest.Options{})
	for i := range 50 { // so that the index after the wipe is lower for certain
		if _, err := server.API.KV().Put(&api.KVPair{Key: fmt.Sprint("x", i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	list := instances("app", switcher.Blue, 4)
	server.Apply(t, append(list, instances("app", switcher.Green, 2)...), nil)
	source := NewSource(testClient(t, Config{Address: server.Address}),
		SourceConfig{Query: Query{Service: "app"}, Hold: switcher.Duration(time.Second), Reads: 1})
	sink, _ := runSource(t, source)
	waitRecovery(t, sink, 4, 2)
	index := source.Status().Index
	server.Restart(t) // in memory: it comes back empty
	waitWords(t, sink, "went back in time")
	since := time.Now()
	st := waitStatus(t, source, "reads beyond the hold", func(s Status) bool { return s.Answered.Sub(since) > 1500*time.Millisecond })
	if st.Index >= index || st.Held.Blue != 4 || st.Held.Green != 2 {
		t.Errorf("index was %d; status is %+v", index, st)
	}
	server.Apply(t, list[:3], nil)
	server.Apply(t, append(list[3:], instances("app", switcher.Green, 3)...), nil)
	waitRecovery(t, sink, 4, 3)
	wantNothingLost(t, sink.Reports(), 4, 2)
}

func TestAServerThatStallsIsNoticedAndItsReturnToo(t *testing.T) {
	server, service := consultest.Shared(t), uniqueName()
	server.Apply(t, instances(service, switcher.Blue, 2), nil)
	proxy := consultest.NewProxy(t, server.Address)
	client := testClient(t, Config{Address: proxy.Address, Wait: switcher.Duration(200 * time.Millisecond)})
	client.pace.slack = 300 * time.Millisecond
	sink, _ := runSource(t, NewSource(client, SourceConfig{Query: Query{Service: service}}))
	waitRecovery(t, sink, 2, 0)
	proxy.Stall()
	waitWords(t, sink, "no answer within")
	server.Apply(t, instances(service, switcher.Blue, 3), nil)
	proxy.Resume()
	waitRecovery(t, sink, 3, 0)
	wantNothingLost(t, sink.Reports(), 2, 0)
}
