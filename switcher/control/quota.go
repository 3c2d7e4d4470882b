package control

import (
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

// quota bounds the connections, so that nobody keeps an operator out: peers
// without a role share a sixteenth of max, each user gets at most a quarter,
// and a quarter is left for those with RoleForce. Event streams, which may be
// forgotten, leave room for commands.
type quota struct {
	max int

	mu        sync.Mutex
	total     int            // guarded by mu
	ordinary  int            // guarded by mu; those without RoleForce
	strangers int            // guarded by mu
	users     map[uint32]int // guarded by mu; ordinary ones, by uid
	streams   []*stream      // guarded by mu; oldest first
}

// take reports whether uid may have one connection more. If so, release gives
// it back.
func (q *quota) take(uid uint32, role Role) (release func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ordinary, stranger := role < RoleForce, role == RoleNone
	switch {
	case q.total >= q.max,
		ordinary && q.total >= q.max-q.max/8,
		ordinary && q.ordinary >= q.max-q.max/4,
		ordinary && q.users[uid] >= max(q.max/4, 1),
		stranger && q.strangers >= max(q.max/16, 1):
		return nil, false
	}
	q.add(uid, ordinary, stranger, 1)
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.add(uid, ordinary, stranger, -1)
	}), true
}

// add counts one connection in or out; the caller holds mu.
func (q *quota) add(uid uint32, ordinary, stranger bool, n int) {
	q.total += n
	if stranger {
		q.strangers += n
	}
	if !ordinary {
		return
	}
	q.ordinary += n
	if q.users == nil {
		q.users = make(map[uint32]int)
	}
	if q.users[uid] += n; q.users[uid] == 0 {
		delete(q.users, uid)
	}
}

const busyDetail = "too many connections to the admin socket: close event streams that nobody reads"

// turnAway answers before it has read anything, and never blocks: the buffer
// of a new socket is empty. A client that is still writing may see a broken
// connection instead.
func turnAway(conn net.Conn) error {
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	body, err := json.Marshal(newProblem(CodeBusy, busyDetail))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"+
		"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err
}
