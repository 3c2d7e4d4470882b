// Package file keeps what a switcher needs on the local disk: its state, and
// pools that somebody else writes.
//
// # State
//
// A [Store] keeps one document in a directory of its own, which one process
// owns at a time:
//
//	state.json              the newest generation
//	state.json.prev         the one before it
//	state.json.corrupt-<n>  what could not be used, for inspection; the newest 5
//	lock                    held by the owner, and holds its pid
//
// A save is written beside the document, synced, and renamed over it, after the
// document has become the previous generation by a hard link: at every instant
// a whole document is in place, whatever kills the process. It carries a
// checksum. What does not pass is never half believed: [Store.Load] returns the
// previous generation together with an error that wraps switcher.ErrStale and
// says what was wrong.
//
// # Pools
//
// A [Source] watches the JSON file that holds the pools of one service:
//
//	{
//	  "version": 1,
//	  "blue":  [{"address": "127.0.0.1:9001", "weight": 1, "meta": {"version": "1.4.2"}}],
//	  "green": []
//	}
//
// Both colors must be there: an empty array is a pool that is meant to be
// empty, a missing one is a mistake. The weight, 1 to 1000, is 1 if not given.
// [ParsePools] lists what else is refused. A file that is missing or refused
// changes no pool; it is reported, and the last good pools stay.
//
// Replace the file by a rename, as Kubernetes, Consul Template and "mv" do. A
// writer that writes in place is tolerated: what it leaves half written does
// not parse, and is an alarm only if it stays so.
package file
