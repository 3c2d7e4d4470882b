// Package consultest runs real Consul servers for tests, on loopback.
//
//	server := consultest.Start(t, consultest.Options{})
//	server.Register(t, consultest.Instance{Service: "app", ID: "1", Address: "127.0.0.1", Port: 9001, Tags: []string{"blue"}})
//	server.Kill(t)
//	server.Restart(t) // an in-memory server comes back empty
//
// The server is Consul as package consultest finds it: a Go tool of the module
// internal/tools/consul, which Go builds once (some 15 minutes) and caches. Under
// -short, tests that need one are skipped.
//
// [Shared] is one in-memory server for all tests of a package; TestMain ends it
// with [StopShared]. [Cluster] is several that elect a leader. [NewProxy] stands
// between a client and a server, and cuts or stalls what passes.
//
// Every server is a child of the test's process, and dies with it (on Linux,
// however the process ends). Helpers fail the test themselves.
package consultest
