// Package switcher moves the traffic of a service between its blue and its
// green pool.
//
// It is the domain of Greenroom and knows neither Caddy nor Consul nor HTTP.
//
// A [Switcher] holds any number of services. The data plane asks a [Service]
// for a [Lease] with [Service.Acquire]: one step, without a lock, that chooses
// a color and counts the request on it. Everything else (commands, pools,
// cutovers in progress) goes through one goroutine, [Switcher.Run], which is
// the only one that replaces the board of immutable [Table]s that Acquire
// reads.
//
//	sw := switcher.New(store, switcher.Hooks{}, log)
//	go sw.Run(ctx)
//	err := sw.Restore(ctx)
//	err = sw.Configure(ctx, map[string]switcher.Config{"app": {Active: switcher.Blue}})
//	err = sw.SetPools(ctx, "app", switcher.Pools{…})
//	…
//	receipt, err := sw.Cutover(ctx, switcher.CutoverRequest{Services: []string{"app"}, To: switcher.Green})
//
// What the package promises:
//
//   - Once Cutover, Rollback or another move has been acknowledged, no Lease
//     of [Service.Acquire] taken afterwards names a color that the new table
//     does not serve. [Service.AcquireSession] may still name the color that was
//     left, for a session that was pinned to it before, until the drain of that
//     color lets no traffic through any more ([Table.Held]).
//   - The state is in the [Store] before a move is acknowledged; only what
//     takes traffic back does not wait for a Store that fails.
//   - Nothing starts healthy: an upstream takes traffic after somebody said
//     so with [Switcher.SetHealth].
//   - Rollback and Abort work in every phase, under a lock, and when the Store
//     fails.
package switcher
