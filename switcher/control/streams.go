package control

import (
	"context"
	"slices"
)

// stream is a connection that carries events.
type stream struct {
	uid uint32
	end func() // must not be called under the quota's mu
}

// enter counts a connection as an event stream until leave is called. Where
// that is one too many, another ends for it: the oldest of the same user if it
// is his share that is used up, else the oldest of the user who has most. It
// reports false only where there is none to end.
func (q *quota) enter(uid uint32, role Role, end func()) (leave func(), ok bool) {
	entered := &stream{uid, end}
	q.mu.Lock()
	victim, full := q.victim(uid, role)
	if full && victim == nil {
		q.mu.Unlock()
		return nil, false
	}
	q.streams = append(q.without(victim), entered)
	q.mu.Unlock()
	if victim != nil {
		victim.end()
	}
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.streams = q.without(entered)
	}, true
}

// victim reports whether there is no room for one more stream of uid, and which
// is to end then. The caller holds mu.
func (q *quota) victim(uid uint32, role Role) (s *stream, full bool) {
	count := make(map[uint32]int)
	for _, s := range q.streams {
		count[s.uid]++
	}
	if role < RoleForce && count[uid] >= max(q.max/8, 1) {
		return q.oldest(func(s *stream) bool { return s.uid == uid }), true
	}
	if len(q.streams) < q.max/2 && q.total <= q.max-q.max/8 {
		return nil, false
	}
	most := 0
	for _, n := range count {
		most = max(most, n)
	}
	return q.oldest(func(s *stream) bool { return count[s.uid] == most }), true
}

func (q *quota) oldest(of func(*stream) bool) *stream {
	if i := slices.IndexFunc(q.streams, of); i >= 0 {
		return q.streams[i]
	}
	return nil
}

// without returns the streams but one; the caller holds mu.
func (q *quota) without(one *stream) []*stream {
	return slices.DeleteFunc(q.streams, func(s *stream) bool { return s == one })
}

// enterStream counts the connection of a request as an event stream, where the
// request came through a Server.
func enterStream(ctx context.Context) (leave func(), ok bool) {
	conn, limited := ctx.Value(peerKey{}).(*peerConn)
	if !limited {
		return func() {}, true
	}
	return conn.quota.enter(conn.peer.uid, conn.role, func() { _ = conn.Close() }) // its reader is told by that
}
