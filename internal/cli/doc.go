// Package cli is the command line of Greenroom: subcommands of the one binary
// that talk to a running edge over its control socket.
//
// main.go calls [Register] once, before caddycmd.Main. Each command is a thin
// shell over two pure parts: renderings, from views to lines, and [follow],
// which knows how a move goes on from the events and views it is fed.
//
// Whatever the edge says (names, reasons, addresses, metadata) is hostile to a
// terminal. It is printed through [line] only, which escapes what could move
// the cursor or reorder text; nothing else writes escape sequences but the
// styles and [screen].
//
// # Exit codes
//
// Codes 1 to 3 are Caddy's own; those of Greenroom do not collide with them.
//
//	  0  done
//	  1  wrong usage, an audit log that does not hold, or an error that has no
//	     code of its own
//	 10  refused by a gate: no traffic moved; upgrade: the new process did not
//	     take over
//	 11  timed out waiting: the move goes on
//	 12  conflict: generation, another move, or a lock
//	 13  the edge's socket cannot be reached
//	 14  not allowed
//	 15  the move was undone while it was waited for: aborted, rolled back,
//	     superseded or interrupted; rollback-window: the last cutover was undone
//	 16  unknown service
//	 17  invalid request
//	 18  the edge cannot store its state or write its audit log
//	 19  not all edges of the fleet are where it is, or Consul cannot be asked
//	 20  rollback-window: a rollback is still open
//	130  interrupted by Ctrl-C while waiting: the move goes on
package cli
