// Package control is Greenroom's admin socket: its server, who may do what,
// the audit log, and the client that the command line uses.
//
// # Asking by hand
//
//	S="curl -sS --unix-socket /run/greenroom/control.sock"
//	$S http://greenroom/v1/services
//	$S http://greenroom/v1/services/app
//	$S http://greenroom/v1/services/app/history
//	$S -N http://greenroom/v1/events?service=app
//	$S -X POST http://greenroom/v1/services/app/rollback
//	$S --json '{"to":"green","ramp":"10:5m,50:10m","reason":"release 41"}' \
//	   http://greenroom/v1/services/app/cutover
//	$S --json '{"services":["api"],"to":"green","if_generation":7}' \
//	   http://greenroom/v1/services/app/plan
//
// # Routes
//
//	GET  /v1/services                  {"services":[view, …]}
//	GET  /v1/services/{name}           one view; "rollback_window" says whether a rollback is open
//	GET  /v1/services/{name}/history   {"moves":[move, …]}, newest first
//	GET  /v1/services/{name}/streams   {"streams":[stream, …],"total":n,"next":id}
//	GET  /v1/events                    every change, as server-sent events
//	GET  /v1/fleet                     what the edges on one Consul report
//	GET  /v1/process                   the process that answers, and those before it
//	GET  /v1/media                     origins, cache and rules of the media edge
//	POST /v1/purge                     takes media out of the cache; the answer says how much, by origin
//	POST /v1/upgrade                   starts a process that takes over; the answer is that of /v1/process
//	POST /v1/services/{name}/plan      a plan; changes nothing
//	POST /v1/services/{name}/{command} a receipt
//
// Streams are the oldest first; ?color=, ?kind= (repeatable), ?limit= (100, at most
// 1000) and ?after=<next> choose among them.
//
// The commands are cutover, evict, split, rollback, abort, hold, resume, lock, unlock
// and drain. The body is the request of the switcher package, in JSON, or
// empty for the zero request. {name} comes first among its services; more for
// a group may follow in "services".
//
// A purge names either a "path" or a "prefix" of whole segments, as
// {"path":"/vod/42/master.m3u8"} or {"prefix":"/vod/42/"}; the prefix "/" wants
// "all":true too. With "origin" it is only of what came from there. It
// needs flip: what it drops is asked of the origins anew, all at once.
//
// Bodies are read strictly: one object in UTF-8 of at most 64 KiB, of type
// application/json, with known fields, each once and none of them null. Query
// parameters that a route does not know are refused too. A command that was
// accepted is carried out even if its caller hangs up.
//
// # Events
//
// The stream begins with "event: hello", whose data is that of
// /v1/services, so that nothing is missed between looking and listening. Each
// change follows with its number as id, its type as event, and
// [switcher.Event] as data. One that hello contains already may come again;
// its generation tells. Events that a slow reader lost are replaced by "event:
// lost" and another hello. A comment comes each 15 seconds of silence. With
// ?service=, which may be repeated, only those services are told of.
//
// # Problems
//
// Every other answer is application/problem+json (RFC 9457) with a code that
// keeps its meaning:
//
//	code                    status  when
//	unknown_service         404     no such service
//	not_found               404     no such path, or nothing of the kind in the config
//	method_not_allowed      405     Allow says which
//	refused_by_gate         409     the gates said no; "gates" has their verdicts
//	conflict                409     another move is under way, or if_generation is not the generation
//	locked                  423     the service is locked
//	invalid                 400     "field" and "offset" say where, in a body
//	too_large               413     the body has more than 64 KiB
//	unsupported_media_type  415     a body that is not said to be application/json
//	not_allowed             403     the caller's role is too low
//	audit_failed            503     the audit log cannot be written
//	store_failed            503     the state cannot be stored
//	closed                  503     Greenroom is stopping
//	busy                    503     too many connections
//	internal                500     a bug
//
// What is not HTTP at all, or has headers of more than 32 KiB, is answered by
// net/http in plain text.
//
// # Who may do what
//
// The socket has mode 0660, in a directory that is made with mode 0750: the
// file system keeps out all but the owner and one group ([Settings.Group]).
// Beside it stays a file with ".lock" at the end of its name, so that two
// processes that start at once do not take the path from each other.
// Of those who connect, the kernel says which user and groups they have
// (SO_PEERCRED, SO_PEERGROUPS), as of when they connected. A [Policy] turns
// that into a [Role], anew for each request: the highest that a rule gives.
//
//	role   may
//	view   every GET, and plan
//	drain  drain, hold
//	flip   cutover, evict, split, purge, rollback, abort, resume, lock, unlock
//	force  upgrade, rollback with "force": true
//
// Root and the user that Greenroom runs as have force until a rule names
// their uid; everybody else needs a rule. A caller without any role gets the
// same 403 for every path.
//
// Of the 256 connections ([Settings.MaxConns]), a quarter is left for those
// with force, one user gets at most a quarter, and callers without a role
// share a sixteenth; who comes after that is told "busy". Event streams may
// take half of all connections, and one user's half of his quarter, and the
// last eighth is only for commands of those with force, so that a rollback gets
// through however many streams were forgotten: a stream too many ends the
// oldest of that user, or of the user who has most.
//
// [Handler] can be mounted elsewhere too. Whoever does so says who asks:
//
//	h := control.NewHandler(sw, audit, log)
//	mux.Handle("/greenroom/", http.StripPrefix("/greenroom", http.HandlerFunc(
//		func(w http.ResponseWriter, r *http.Request) {
//			id := control.Identity{Name: "admin API", Role: control.RoleFlip}
//			h.ServeHTTP(w, r.WithContext(control.WithIdentity(r.Context(), id)))
//		})))
//
// Requests that a browser sends from another site's page are refused there.
//
// # The audit log
//
// Each command leaves two lines of JSON: one before it is carried out, which is
// on the disk before anything happens, and one with its outcome. Both have the
// same "ref". A first line without a second means that the process ended in
// between: look at the history. Plans and reads are not noted; requests that
// are malformed never become commands.
//
//	{"seq":7,"time":"2026-01-02T15:04:05.123456789Z","ref":7,
//	 "who":{"name":"uid 1000 (alice)","role":"flip","uid":1000,"gid":1000,"pid":4711},
//	 "action":"cutover","services":["app"],"request":{"to":"green"},
//	 "reason":"release 41","decision":"allowed","prev":"…","hash":"…"}
//	{"seq":8,"time":"…","ref":7,"action":"cutover","outcome":"done",
//	 "move":"k3v9x2","changed":true,"prev":"…","hash":"…"}
//
// "hash" is the SHA-256 of the line without its newline and without
// `,"hash":"…"`; "prev" is the hash of the line before, and empty in the
// first. [VerifyAudit] finds the first line that was changed, removed, added
// or moved; so does greenroom audit verify. A line torn by a crash stays, and
// the next one has its length and hash in "recovered".
//
// To rotate the log, move the file: the next command or config reload, or the
// end of the process, begins a new one with
//
//	{"seq":9,…,"action":"continued","continued":{"seq":8,"hash":"…"},"prev":"…",…}
//
// which says after which line it goes on. Whether that line is there, only the
// file before can prove: check both together, oldest first ([VerifyAuditAfter]).
// "ref" may point into the file before. Where the file itself was cut short, as
// by copytruncate, "continued" has "cut" with the bytes that were expected and
// found; lines that were cut off and are in no copy are missing for good, and a
// check of the files says which. So rather move it. What is put at the path
// must be empty: a log of other lines is refused, and so is one that cannot be
// verified. Move it aside, and a new one is begun.
//
// Where the log cannot be written, moves are refused with audit_failed, but
// rollback and abort go through, with a warning in the process's own log: a
// full disk must not keep a bad version on air.
//
// What comes through a [Deputy], as from Consul's KV, is noted in the same way,
// with its source as the name.
//
// Refused callers are noted too ("decision":"refused"), each ten times at
// once and then once a minute, with "suppressed" counting the rest, so that
// one that loops cannot fill the disk.
package control
