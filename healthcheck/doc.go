// Package healthcheck asks upstreams, from this edge, whether they work.
//
// What a catalog says about an upstream is hearsay: the catalog may say
// "passing" while this edge cannot connect. So every edge probes for itself,
// and an upstream takes traffic only after its own good answers.
//
// # Probes
//
// A [Probe] is one check against one address:
//
//   - [HTTP] sends a request and judges the status and, if asked, the body;
//   - [TCP] opens a connection, with a TLS handshake if asked;
//   - [GRPC] calls grpc.health.v1.
//
// Each probe opens a connection of its own, because a reused one proves only
// that an old connection still works. An upstream is taken to be hostile: what
// it sends is read up to a bound, and what is told of it is escaped and cut.
//
// # Verdicts
//
// A [Threshold] turns answers into a verdict: Rise passes in a row make an
// upstream healthy, Fall failures in a row make it unhealthy. Nothing starts
// healthy. An upstream that falls again and again is held down, each time
// longer, so that it does not take traffic every few seconds only to drop it.
//
// # Running
//
// A [Checker] runs all the checks of one upstream and publishes a [Status]
// after each answer. The upstream is healthy when all of its checks are:
//
//	checker := healthcheck.NewChecker("10.0.0.7:8080", []healthcheck.Check{
//		{Name: "ready", Probe: healthcheck.HTTP{Path: "/healthz"}},
//		{Name: "rpc", Probe: healthcheck.GRPC{Service: "media.Catalog"}},
//	}, nil, func(s healthcheck.Status) { health.Store(&s) })
//	go checker.Run(ctx) // and wait for it after ending ctx
//
// When the configuration changes, give the last Status to the next Checker as
// its seed, and the verdict continues: a reload drops no upstream. Never seed
// from disk: after a restart probes come before traffic.
//
// # Addresses
//
// Addresses have Caddy's form: "host:port", "[v6]:port", "tcp/host:port" or
// "unix//path/to.sock".
package healthcheck
