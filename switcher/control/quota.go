package control

import (
	"net"
	"sync"
	"time"
)

// quota bounds the connections, so that nobody keeps an operator out: peers
// without a role share a sixteenth of max, each user gets at most a quarter,
// and a quarter is left for those with RoleForce.
type quota struct {
	max int

	mu        sync.Mutex
	total     int            // guarded by mu
	ordinary  int            // guarded by mu; those without RoleForce
	strangers int            // guarded by mu
	users     map[uint32]int // guarded by mu; ordinary ones, by uid
}

// take reports whether uid may have one connection more. If so, release gives
// it back.
func (q *quota) take(uid uint32, role Role) (release func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ordinary, stranger := role < RoleForce, role == RoleNone
	switch {
	case q.total >= q.max,
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

const busyAnswer = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/problem+json\r\n\r\n" +
	`{"type":"urn:greenroom:problem:busy","title":"Too many connections","status":503,"code":"busy",` +
	`"detail":"too many connections to the admin socket: close event streams that nobody reads"}` + "\n"

// turnAway never blocks: the buffer of a new socket is empty.
func turnAway(conn net.Conn) error {
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err := conn.Write([]byte(busyAnswer))
	return err
}
