// Package consul takes the pools of services from Consul's catalog.
//
// # Pools
//
// One [Client] serves a process. A [Source] of it tells the pools of one service
// by the health endpoint; a [Naming] says which instances are blue and which
// green:
//
//	by tag      instances of one service with the tag "blue" or "green"
//	by meta     instances of one service with the metadata color=blue or green
//	by service  two services, as app-blue and app-green
//
// Sources with the same [Query] share one watch. By tag and by meta both colors
// come from one query, and so from one instant. The address of an upstream is
// the service's, else the node's; its weight that of the instance's state, at
// most 1000. An instance of weight 0 takes no traffic and is left out. Its
// metadata is the service's, with consul.id, consul.node and consul.datacenter.
//
// Passing in Consul never means healthy here: an upstream serves when this
// edge's own probes say so.
//
// # What is believed
//
// An agent answers a blocking query from a view of its own (Consul's streaming
// backend), for which no leader vouches, and which may be empty for no reason
// but a changed ACL. Such an answer only wakes: the truth is then read, without
// blocking, through the leader. Agents' caches (?cached) and stale reads are
// never asked for.
//
// An error is not an empty list. A Consul that is down, leaderless, slow, busy,
// or talks nonsense, and a token that is refused, change no pool: the failure is
// told, and polling goes on with full jitter and at most 15 s between polls.
// After a failure, and when the index goes backwards, the next poll begins at
// index 0.
//
// What an answer adds is taken at once. What it no longer has is
//
//   - let go at once, if it is at most half of the pool;
//   - else held until our own probes call it unhealthy; or, if they know nothing
//     of it, until 3 reads 5 s apart agree; or until it has been missing for 30 s;
//   - if the first answer of a process misses more than half of what the last one
//     knew, held likewise, but for 3 minutes instead of 30 s: Consul may have been
//     wiped when nobody looked;
//   - held, however little it is, while no leader vouches for the answer, while
//     ACLs filter it that did not before, and for 3 minutes after the catalog
//     went back in time (wiped, or restored from a snapshot).
//
// To a client without a token Consul does not say that ACLs filter an answer. It
// is taken for filtered if the default policy is deny. A first answer that is
// empty and filtered is a failure, and no empty pool.
//
// While something is held the sink is told pools with what is held in them, and
// then the failure that says so: "3 of 4 upstreams of green vanished from the
// catalog at once: held until our probes agree or further reads do, or 12:00:30".
// An instance that cannot be used, for its address or its port, is left out
// alone, and is named in [Source.Status] and the log; if no other is left in its
// color, the last pool stays.
//
// [Source.Status] also has the age of the data: when Consul last gave a good
// answer, also if nothing had changed.
//
// # Secrets
//
// The token comes from a file, which is read again when it changes, or from the
// environment. It shows in no log, error or JSON, goes through no proxy, and
// follows no redirect.
//
// # Load
//
// A watch costs one connection and, in calm, two requests each 15 s. At most 100
// queries block at once, since an agent allows one address 200 connections; if
// there are more they take turns, so that each is asked within about 15 s.
package consul
